/* See sync.h. */
#define _GNU_SOURCE
#include "sync.h"
#include "../../common/cleanup.h"
#include "../../common/send_descriptor.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union sync_control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

int sync_open(int ends[2], struct error **err) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_set(err, errno, "socketpair", "");
    return 0;
}

/* Through procfs: the path of a socket may be 107 bytes long, that of the folder any length. */
static void sync_address(int directory_fd, const char *name, struct sockaddr_un *address) {
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", directory_fd,
             name);
}

int sync_listen(int directory_fd, const char *name, struct error **err) {
    struct sockaddr_un address;
    sync_address(directory_fd, name, &address);
    cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
        return error_set(err, errno, "listen on", name);
    return steal_fd(&fd);
}

int sync_accept(int listener) {
    int fd;
    do {
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

int sync_connect(int directory_fd, const char *name, struct error **err) {
    struct sockaddr_un address;
    sync_address(directory_fd, name, &address);
    cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_set(err, errno, "connect to", name);
    return steal_fd(&fd);
}

static int sync_write(int fd, const struct sync_message *message, int attached) {
    return send_descriptor(fd, message, sizeof(*message), attached) < 0 ? -1 : 0;
}

int sync_send(int fd, enum sync_type type, pid_t pid, int attached) {
    struct sync_message message;
    memset(&message, 0, sizeof(message));
    message.type = type;
    message.pid = pid;
    return sync_write(fd, &message, attached);
}

void sync_fail(int fd, const struct error *failure) {
    struct sync_message message;
    memset(&message, 0, sizeof(message));
    message.type = SYNC_FAILED;
    if (failure == NULL) {
        /* error_set had no memory for the error itself. */
        message.failure.number = ENOMEM;
        message.failure.exit_code = 125;
        strcpy(message.failure.message, "out of memory while setting up the container");
    } else {
        message.failure = *failure;
    }
    sync_write(fd, &message, -1);
    _exit(message.failure.exit_code);
}

static int sync_take_descriptor(struct msghdr *packet) {
    int taken = -1;
    for (struct cmsghdr *item = CMSG_FIRSTHDR(packet); item != NULL;
         item = CMSG_NXTHDR(packet, item)) {
        if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS &&
            item->cmsg_len == CMSG_LEN(sizeof(int)))
            memcpy(&taken, CMSG_DATA(item), sizeof(int));
    }
    return taken;
}

int sync_receive(int fd, struct sync_message *message, int *attached, struct error **err) {
    union sync_control control;
    struct iovec part = {message, sizeof(*message)};
    struct msghdr packet = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes)};
    ssize_t got;
    do {
        got = recvmsg(fd, &packet, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno != ECONNRESET)
        return error_set(err, errno, "receive", "from the child");
    cleanup_close int taken = got < 0 ? -1 : sync_take_descriptor(&packet);
    if (got <= 0) {
        memset(message, 0, sizeof(*message));
        message->type = SYNC_END;
        return 0;
    }
    if (got != (ssize_t)sizeof(*message))
        return error_setf(err, EPROTO, "receive", "from the child", "a message of %zd bytes", got);
    message->failure.step[sizeof(message->failure.step) - 1] = '\0';
    message->failure.object[sizeof(message->failure.object) - 1] = '\0';
    message->failure.message[sizeof(message->failure.message) - 1] = '\0';
    if (attached != NULL)
        *attached = steal_fd(&taken);
    return 0;
}

int sync_adopt(const struct sync_message *message, struct error **err) {
    const struct error *failure = &message->failure;
    error_setf(err, failure->number, failure->step, failure->object, "%s", failure->message);
    if (err != NULL && *err != NULL)
        (*err)->exit_code = failure->exit_code;
    return -1;
}
