/* See filter_listener.h. */
#define _GNU_SOURCE
#include "filter_listener.h"
#include "../../common/cleanup.h"
#include "../../common/send_descriptor.h"
#include "sync.h"
#include "syscalls.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

/* An agent that does not accept, or does not read, ends the start. */
#define AGENT_TIMEOUT_SEC 10

int filter_offer_listener(int sync_fd, int listener, struct error **err) {
    struct sync_message message;
    memset(&message, 0, sizeof(message));
    message.type = SYNC_LISTENER;
    message.pid = listener;
    if (write(sync_fd, &message, sizeof(message)) != (ssize_t)sizeof(message))
        return error_set(err, errno, "hand over", "the seccomp listener");
    ssize_t got;
    do {
        got = read(sync_fd, &message, sizeof(message));
    } while (got < 0 && errno == EINTR);
    /* The parent has nothing to say but its own end: it reports what went wrong itself. */
    if (got != (ssize_t)sizeof(message) || message.type != SYNC_GO)
        _exit(125);
    return 0;
}

static int listener_take(pid_t pid, int number, struct error **err) {
    cleanup_close int pidfd = sys_pidfd_open(pid);
    int taken = pidfd < 0 ? -1 : sys_pidfd_getfd(pidfd, number);
    if (taken < 0)
        return error_set(err, errno, "take", "the seccomp listener");
    return taken;
}

static int listener_connect(const char *path, struct error **err) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = AGENT_TIMEOUT_SEC};
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, ENAMETOOLONG, "connect to the seccomp agent at", path);
    strcpy(address.sun_path, path);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_set(err, errno, "connect to the seccomp agent at", path);
    return steal_fd(&fd);
}

static char *listener_message(const struct seccomp_filter *filter,
                              const struct hooks_container *about, const char *status, pid_t pid) {
    json_t *state = hooks_about(about, status);
    json_t *message = state == NULL ? NULL
                                    : json_pack("{s:O,s:[s],s:i,s:o}", "ociVersion",
                                                json_object_get(state, "ociVersion"), "fds",
                                                "seccompFd", "pid", (int)pid, "state", state);
    if (message != NULL && filter->listener_metadata != NULL)
        json_object_set_new(message, "metadata", json_string(filter->listener_metadata));
    char *text = message == NULL ? NULL : json_dumps(message, JSON_COMPACT);
    json_decref(message);
    return text;
}

static int listener_send(int fd, const char *text, int listener) {
    for (size_t left = strlen(text); left > 0;) {
        ssize_t sent = send_descriptor(fd, text, left, listener);
        if (sent <= 0)
            return -1;
        text += sent;
        left -= (size_t)sent;
        /* The descriptor went with the first byte. */
        listener = -1;
    }
    return 0;
}

int filter_forward_listener(const struct seccomp_filter *filter,
                            const struct hooks_container *about, const char *status, pid_t pid,
                            int number, int sync_fd, struct error **err) {
    cleanup_close int listener = listener_take(pid, number, err);
    if (listener < 0)
        return -1;
    cleanup_close int agent = listener_connect(filter->listener_path, err);
    if (agent < 0)
        return -1;
    cleanup_free char *text = listener_message(filter, about, status, pid);
    if (text == NULL)
        return fields_no_memory(err);
    if (listener_send(agent, text, listener) < 0)
        return error_set(err, errno, "send to the seccomp agent at", filter->listener_path);
    /* A child that is gone by now is heard of where its next message is awaited. */
    sync_send(sync_fd, SYNC_GO, 0, -1);
    return 0;
}
