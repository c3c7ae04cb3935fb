/* linux.namespaces: which are made, which are joined, and the clone that does it. */
#ifndef MYDOCK_NAMESPACES_H
#define MYDOCK_NAMESPACES_H

#include "../../common/error.h"
#include "config.h"
#include <sys/types.h>

struct namespaces {
    const struct config *config;
    /* One for each of config's: the open namespace of a path, else -1. */
    int fds[CONFIG_NAMESPACES_MAX];
};

int namespaces_open(const struct config *config, struct namespaces *namespaces, struct error **err);
void namespaces_close(struct namespaces *namespaces);

/* Forks a child into the new namespaces (cgroup's apart, see namespaces_join), a pid namespace of a
 * path included. cgroup_fd: the v2 group that it starts in, or -1. *pidfd gets a descriptor of the
 * child. Returns 0 in the child, its pid in the parent. */
pid_t namespaces_fork(const struct namespaces *namespaces, int cgroup_fd, int *pidfd,
                      struct error **err);

/* In the child: joins those of paths, makes the cgroup namespace (whose root is the group that the
 * caller is in by now), and brings up the loopback device of a new network namespace. */
int namespaces_join(const struct namespaces *namespaces, struct error **err);

/* hostname and domainname. */
int namespaces_set_names(const struct config *config, struct error **err);

#endif
