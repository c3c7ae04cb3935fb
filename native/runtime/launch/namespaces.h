/* linux.namespaces: which are made, which are joined, and the clone that does it. */
#ifndef MYDOCK_NAMESPACES_H
#define MYDOCK_NAMESPACES_H

#include "../../common/error.h"
#include "config.h"
#include <sys/types.h>

struct namespaces {
    const struct config *config;
    /* One for each of config's: the open namespace of a path, else -1. A new user namespace is open
     * as well: it is there before anybody is in it. */
    int fds[CONFIG_NAMESPACES_MAX];
};

/* Opens those of paths, each checked to be of its kind, and makes the user namespace. */
int namespaces_open(const struct config *config, struct namespaces *namespaces, struct error **err);
void namespaces_close(struct namespaces *namespaces);

/* Forks a child into the new namespaces (cgroup's apart, see namespaces_join), a pid namespace of a
 * path included. cgroup_fd: the v2 group that it starts in, or -1. *pidfd gets a descriptor of the
 * child. Returns 0 in the child, its pid in the parent. */
pid_t namespaces_fork(const struct namespaces *namespaces, int cgroup_fd, int *pidfd,
                      struct error **err);

/* A plain child, in the v2 group cgroup_fd or, with -1, in the caller's. As namespaces_fork. */
pid_t namespaces_fork_helper(int cgroup_fd, int *pidfd, struct error **err);

/* Instead of it, where the container has a user namespace (namespaces_user): in a child of the
 * caller that still is the host's root. Enters the user namespace, and forks the init from there as
 * a child of the caller's parent, into new namespaces that belong to the user namespace. proc_fd:
 * the host's procfs. Returns 0 in the init. */
pid_t namespaces_fork_inside(const struct namespaces *namespaces, int proc_fd, struct error **err);

/* The open user namespace, -1 where the container stays in the caller's. */
int namespaces_user(const struct namespaces *namespaces);

/* The two halves of namespaces_join, for a container with a user namespace: what is joined takes
 * the host's root, what is made is made inside. */
int namespaces_join_paths(const struct namespaces *namespaces, struct error **err);
int namespaces_make_own(const struct namespaces *namespaces, struct error **err);

/* In the child: joins those of paths, makes the cgroup namespace (whose root is the group that the
 * caller is in by now), and brings up the loopback device of a new network namespace. */
int namespaces_join(const struct namespaces *namespaces, struct error **err);

/* hostname and domainname. */
int namespaces_set_names(const struct config *config, struct error **err);

#endif
