/* The mount of type "cgroup": the container's view of its control groups. */
#ifndef MYDOCK_MOUNTS_CGROUP_H
#define MYDOCK_MOUNTS_CGROUP_H

#include "mounts.h"

/* Detached copies of the container's own groups, one a hierarchy. With a cgroup namespace they look
 * like a mount made inside it (its root is "/" there), at a fraction of the system calls, and the
 * host's mount options stay as they are. */
int mounts_cgroup_open(const struct cgroup *cgroup, bool mapped, int *groups, struct error **err);

/* Where the host has v2 alone: cgroup2. Else a tmpfs with a mount a hierarchy, named as on the
 * host. */
int mounts_cgroup_attach(const struct config_mount *mount, const struct cgroup *cgroup,
                         const struct mounts *mounts, int root_fd, struct error **err);

#endif
