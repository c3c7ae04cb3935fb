/* Waiting for a process in place of its user: signals are passed on, the terminal is carried, what
 * else becomes this process's child is reaped. */
#ifndef MYDOCK_OCI_FOREGROUND_H
#define MYDOCK_OCI_FOREGROUND_H

#include "../../common/error.h"
#include <sys/types.h>

struct foreground {
    /* Reads the signals that are blocked from foreground_begin on. */
    int signal_fd;
};

/* Before the process is made: from now on no signal is lost. */
int foreground_begin(struct foreground *foreground, struct error **err);

/* Returns the process's exit status, 128+n after signal n. console_fd: the master of its terminal,
 * or -1. Our own terminal is raw meanwhile. */
int foreground_wait(struct foreground *foreground, pid_t pid, int console_fd, struct error **err);

#endif
