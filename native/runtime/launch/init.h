/* The container's init, from clone to exec: its side of launch_create and launch_start. */
#ifndef MYDOCK_INIT_H
#define MYDOCK_INIT_H

#include "launch.h"
#include "launch_container.h"
#include "namespaces.h"

struct init {
    const struct launch_container *container;
    const struct launch_options *options;
    const struct namespaces *namespaces;
    const struct launch_stdio *stdio;
    /* The child's end of the channel (sync.h). */
    int sync_fd;
};

/* In the child that namespaces_fork made. Never returns. */
void init_run(const struct init *init) __attribute__((noreturn));

/* With a user namespace: in a plain child, which becomes the parent's helper. It opens what takes
 * the host's root, enters the user namespace, forks the init, which becomes the parent's child,
 * sends SYNC_PID and leaves. Never returns. */
void init_run_mapped(const struct init *init) __attribute__((noreturn));

#endif
