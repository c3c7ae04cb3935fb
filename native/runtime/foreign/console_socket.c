/* Taking a terminal from a runtime: see console_socket.h. */
#define _GNU_SOURCE
#include "console_socket.h"
#include "../../common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char step[] = "console socket";

enum { TAKE_MS = 2000 };

/* sun_path holds 107 characters: a longer path goes through a descriptor of ours. */
static int name_path(struct console_socket *console, const char *folder, int pid) {
    int length = snprintf(console->path, sizeof(console->path), "%s/%s", folder, console->name);
    if (length >= (int)sizeof(console->path))
        length = snprintf(console->path, sizeof(console->path), "/proc/%d/fd/%d/%s", pid,
                          console->folder_fd, console->name);
    errno = ENAMETOOLONG;
    return length < (int)sizeof(console->path) ? 0 : -1;
}

int console_socket_open(const char *folder, const char *name, struct console_socket *made,
                        struct error **err) {
    struct console_socket console = CONSOLE_SOCKET_NONE;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(console.name, sizeof(console.name), "%s", name);
    console.folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    console.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ready = console.folder_fd >= 0 && console.fd >= 0 &&
                 name_path(&console, folder, getpid()) == 0 &&
                 (unlinkat(console.folder_fd, name, 0) == 0 || errno == ENOENT);
    if (ready) {
        memcpy(address.sun_path, console.path, sizeof(address.sun_path));
        mode_t mask = umask(0177);
        ready = bind(console.fd, (struct sockaddr *)&address, sizeof(address)) == 0;
        umask(mask);
    }
    if (ready && listen(console.fd, 1) == 0) {
        *made = console;
        return 0;
    }
    error_set(err, errno, step, folder);
    console_socket_close(&console);
    return -1;
}

static bool await_readable(int fd) {
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    int count;
    do {
        count = poll(&watched, 1, TAKE_MS);
    } while (count < 0 && errno == EINTR);
    return count > 0;
}

static bool is_trusted(int fd) {
    struct ucred peer;
    socklen_t length = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

/* The first descriptor of the message; others are closed. -1 without one. */
static int receive_fd(int fd) {
    char text[4096];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } ancillary;
    struct iovec part = {text, sizeof(text)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = ancillary.bytes,
                             .msg_controllen = sizeof(ancillary.bytes)};
    int taken = -1;
    if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0)
        return -1;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at != NULL; at = CMSG_NXTHDR(&message, at)) {
        size_t count = at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_RIGHTS
                           ? (at->cmsg_len - CMSG_LEN(0)) / sizeof(int)
                           : 0;
        for (size_t i = 0; i < count; i++) {
            int one;
            memcpy(&one, CMSG_DATA(at) + i * sizeof(int), sizeof(int));
            if (taken < 0)
                taken = one;
            else
                close(one);
        }
    }
    errno = ENODATA;
    return taken;
}

int console_socket_take(const struct console_socket *console, struct error **err) {
    unsigned number;
    errno = ETIMEDOUT;
    cleanup_close int peer = await_readable(console->fd)
                                 ? accept4(console->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)
                                 : -1;
    if (peer < 0)
        return error_setf(err, errno, step, "", "the runtime did not hand over a terminal");
    if (!is_trusted(peer))
        return error_setf(err, EPERM, step, "", "somebody else connected to the console socket");
    errno = ETIMEDOUT;
    cleanup_close int master = await_readable(peer) ? receive_fd(peer) : -1;
    /* TIOCGPTN: only the master of a terminal has a number. */
    if (master < 0 || ioctl(master, TIOCGPTN, &number) != 0)
        return error_setf(err, errno, step, "", "what the runtime handed over is no terminal: %s",
                          strerror(errno));
    return steal_fd(&master);
}

void console_socket_close(struct console_socket *console) {
    if (console->fd >= 0)
        close(console->fd);
    if (console->folder_fd >= 0) {
        unlinkat(console->folder_fd, console->name, 0);
        close(console->folder_fd);
    }
    *console = CONSOLE_SOCKET_NONE;
}
