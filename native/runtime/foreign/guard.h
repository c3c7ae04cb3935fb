/*
 * A process that ends a container whose supervisor was killed. The init of our own runtime dies by
 * its parent-death signal then; another runtime's cannot be given one. It waits for the death of
 * the supervisor and kills what is in the container's cgroups, which it holds by descriptors: a
 * later container with the same paths is not reached. It removes nothing; the daemon does.
 */
#ifndef MYDOCK_GUARD_H
#define MYDOCK_GUARD_H

#include "../../common/error.h"
#include "../launch/cgroup.h"

/* Its process ID; the caller is whom it waits for, and its parent. */
pid_t guard_start(const struct cgroup_request *request, struct error **err);
/* Ends and reaps it. Nothing happens for 0 and less. */
void guard_stop(pid_t pid);

#endif
