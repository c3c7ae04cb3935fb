/* What a caller of create, run and exec gives and gets beside the command line: descriptors that
 * the process inherits, a terminal's master, a pid in a file. */
#ifndef MYDOCK_OCI_CHANNELS_H
#define MYDOCK_OCI_CHANNELS_H

#include "../../common/error.h"
#include "../launch/launch.h"
#include <stdint.h>
#include <sys/types.h>

struct channels {
    /* --console-socket and --pid-file; NULL: none. */
    const char *console_socket, *pid_file;
    /* --preserve-fds. */
    int64_t preserve;
    /* Internal: the connection, and LISTEN_FDS (sd_listen_fds(3)) for the process. */
    int console_fd;
    const char *environment[3];
    char listen_fds[32];
};

/* Before any descriptor is opened: checks that those to be preserved are there, and sets
 * options->preserve and ->environment. */
int channels_prepare(struct channels *channels, struct launch_options *options, struct error **err);

/* Connects to the console socket, so that a wrong one is noticed before anything is made. */
int channels_connect(struct channels *channels, struct error **err);

/* Sends the terminal's master, if there is one; without one the console socket is an error.
 * foreground: the caller keeps it where no socket was given. */
int channels_deliver(struct channels *channels, struct launch_process *process, bool foreground,
                     struct error **err);

/* Writes the pid file in one step. */
int channels_write_pid(const struct channels *channels, pid_t pid, struct error **err);

#endif
