/* The container's init, from clone to exec: its side of launch_create and launch_start. */
#ifndef MYDOCK_INIT_H
#define MYDOCK_INIT_H

#include "cgroup.h"
#include "config.h"
#include "filter.h"
#include "launch.h"
#include "namespaces.h"

struct init {
    const struct config *config;
    const struct cgroup *cgroup;
    const struct namespaces *namespaces;
    const struct seccomp_filter *filter;
    const struct launch_stdio *stdio;
    /* What relative mount sources are relative to. */
    const char *bundle;
    /* The child's end of the channel (sync.h). */
    int sync_fd;
};

/* Never returns. */
void init_run(const struct init *init) __attribute__((noreturn));

#endif
