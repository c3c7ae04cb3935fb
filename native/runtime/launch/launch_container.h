/* A container as the files launch*.c know it, and what they share. */
#ifndef MYDOCK_LAUNCH_CONTAINER_H
#define MYDOCK_LAUNCH_CONTAINER_H

#include "cgroup.h"
#include "config.h"
#include "filter.h"
#include "hooks.h"
#include "launch.h"

struct launch_container {
    char *id, *bundle;
    struct config *config;
    struct cgroup *cgroup;
    struct seccomp_filter filter;
    /* Of the init; 0 once it is known to be gone. */
    pid_t init_pid;
    /* Of the init: what exec joins. */
    int init_pidfd;
    /* The init's channel until launch_start has used it: closing it tells a created init that it
     * never starts. */
    int init_sync_fd;
    /* From launch_options. */
    bool outlives, keep_keyring;
    unsigned preserve;
    /* The init was there: there is an end that poststop hooks may be told of. */
    bool existed;
};

/* With nothing in it but its names. NULL without memory. */
struct launch_container *launch_new(const struct launch_options *options, const char *bundle,
                                    struct error **err);

/* What its hooks are told. */
struct hooks_container launch_about(const struct launch_container *container);

/* Where its groups are: at linux.cgroupsPath, or at a place of its name's. */
int launch_name_cgroup(struct launch_container *container, bool systemd,
                       struct cgroup_request *request, struct error **err);

#endif
