/* Where the host has its cgroup hierarchies mounted. */
#ifndef MYDOCK_CGROUP_MOUNTS_H
#define MYDOCK_CGROUP_MOUNTS_H

#include "cgroup.h"

/* All hierarchies that the calling process sees, each once, v1 by their controllers as mounted.
 * Those of an error that were found before it are in *out all the same, for the caller to free. */
int cgroup_mounts_find(struct cgroup_hierarchy **out, size_t *count, struct error **err);

#endif
