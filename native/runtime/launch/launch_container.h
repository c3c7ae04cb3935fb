/* A container as launch.c and launch_exec.c know it. */
#ifndef MYDOCK_LAUNCH_CONTAINER_H
#define MYDOCK_LAUNCH_CONTAINER_H

#include "cgroup.h"
#include "config.h"
#include "filter.h"

struct launch_container {
    struct config *config;
    struct cgroup *cgroup;
    struct seccomp_filter filter;
    /* Of the init: what exec joins. */
    int init_pidfd;
    /* The init's channel until launch_start has used it: closing it tells a created init that it
     * never starts. */
    int init_sync_fd;
};

#endif
