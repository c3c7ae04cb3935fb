/*
 * The socket over which a runtime hands over the master of the terminal that it has made
 * (--console-socket): a listening socket in the bundle, for one connection that brings one
 * descriptor.
 */
#ifndef MYDOCK_CONSOLE_SOCKET_H
#define MYDOCK_CONSOLE_SOCKET_H

#include "../../common/error.h"

struct console_socket {
    /* -1: there is none. */
    int fd;
    /* The folder that it lies in, held open where the path goes through it. */
    int folder_fd;
    /* What the runtime is told: at most what sun_path holds. */
    char path[108];
    char name[32];
};

#define CONSOLE_SOCKET_NONE ((struct console_socket){.fd = -1, .folder_fd = -1})

/* Listens as `name` in the folder. */
int console_socket_open(const char *folder, const char *name, struct console_socket *made,
                        struct error **err);
/* The terminal's master, O_CLOEXEC, once the runtime has ended well: it was sent by then. Only
 * root's and the supervisor's own user's processes are listened to. */
int console_socket_take(const struct console_socket *console, struct error **err);
/* Closes and removes it. */
void console_socket_close(struct console_socket *console);

#endif
