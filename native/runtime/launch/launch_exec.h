/* What launch_exec.c, the children's half of an exec, and launch_exec_follow.c, their parent's,
 * share. */
#ifndef MYDOCK_LAUNCH_EXEC_H
#define MYDOCK_LAUNCH_EXEC_H

#include "launch_container.h"

struct exec_request {
    const struct launch_container *container;
    const struct config_process *process;
    const struct launch_stdio *stdio;
    int sync_fd;
    /* The host's procfs: -1 unless a security label is asked for, which only the process itself can
     * set. */
    int proc_fd;
    /* The process's own, or, of a process without, the container's for those that are executed. */
    struct scheduling scheduling;
};

/* The second waits for SYNC_GO in front of its exec. */
bool exec_waits(const struct exec_request *request);

/* The second child is born with its program's identity, capabilities and filter. */
bool exec_is_exposed(const struct launch_container *container);

/* Reads what the children say until end-of-file, for a bounded time. Fills out; the first child is
 * reaped. On failure both are ended, and out->console_fd may be set nevertheless. */
int exec_follow(const struct exec_request *request, int sync_fd, pid_t first,
                struct launch_process *out, struct error **err);

#endif
