/* The terminal of a process: a pty of the container's own devpts. */
#ifndef MYDOCK_CONSOLE_H
#define MYDOCK_CONSOLE_H

#include "../../common/error.h"
#include "config.h"

struct console {
    /* To be sent to the parent. */
    int master;
    /* To become 0, 1 and 2. */
    int slave;
};

/* Opens a pty through root_fd's /dev/pts/ptmx, which must really be devpts, and sets its size and
 * owner. */
int console_open(const struct config_process *process, int root_fd, struct console *console,
                 struct error **err);

/* Binds the slave to /dev/console. */
int console_bind(const struct console *console, int root_fd, struct error **err);

/* Makes the slave the controlling terminal; the caller leads a session without one. */
int console_control(const struct console *console, struct error **err);

#endif
