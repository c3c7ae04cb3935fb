/*
 * Unix sockets and descriptors passed over them, and what a socket that was handed to us is.
 */
#define _GNU_SOURCE
#include "module.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* The kernel's own limit (SCM_MAX_FD). */
#define SEND_FDS_MAX 253

static napi_value socket_pair(napi_env env, napi_callback_info info) {
    (void)info;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return throw_errno(env, errno, "socketpair", NULL);
    napi_value result = NULL;
    if (napi_create_array_with_length(env, 2, &result) != napi_ok ||
        napi_set_element(env, result, 0, make_int32(env, ends[0])) != napi_ok ||
        napi_set_element(env, result, 1, make_int32(env, ends[1])) != napi_ok) {
        close(ends[0]);
        close(ends[1]);
        return NULL;
    }
    return result;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One sendmsg, with fds where fd_count is not 0. Returns the bytes sent, or -1 with errno set. */
static ssize_t send_once(int socket_fd, struct bytes data, const int *fds, size_t fd_count) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(SEND_FDS_MAX * sizeof(int))];
    struct iovec vector = {.iov_base = (void *)data.data, .iov_len = data.length};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (fd_count > 0) {
        memset(control, 0, sizeof control);
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
    }
    return sendmsg(socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Returns 0 or an errno value. The descriptors go with the first byte, whatever part of the data
 * that call takes. */
static int send_all(int socket_fd, struct bytes data, const int *fds, size_t fd_count,
                    int timeout_ms) {
    int64_t deadline = now_ms() + timeout_ms;
    while (data.length > 0) {
        ssize_t sent = send_once(socket_fd, data, fds, fd_count);
        if (sent >= 0) {
            data.data += sent;
            data.length -= (size_t)sent;
            fd_count = 0;
        } else if (errno == EAGAIN) {
            int64_t left = deadline - now_ms();
            struct pollfd wait = {.fd = socket_fd, .events = POLLOUT};
            if (left <= 0)
                return EAGAIN;
            if (poll(&wait, 1, (int)left) < 0 && errno != EINTR)
                return errno;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static napi_value send_with_fds(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int socket_fd = call_int32(&call, 0, "socketFd");
    struct bytes data = call_bytes(&call, 1, "data");
    size_t fd_count = 0;
    cleanup_free int *fds = call_value_int32s(&call, call.arguments[2], "fds", &fd_count);
    int timeout_ms = call_absent(&call, 3) ? 1000 : call_int32(&call, 3, "timeoutMs");
    if (!call.failed && fd_count > SEND_FDS_MAX)
        call_type_error(&call, "fds", "at most 253 descriptors");
    if (!call.failed && data.length == 0 && fd_count > 0)
        call_type_error(&call, "data", "at least one byte where descriptors are sent");
    if (call.failed)
        return NULL;
    int error = send_all(socket_fd, data, fds, fd_count, timeout_ms);
    return error == 0 ? make_undefined(env) : throw_errno(env, error, "sendmsg", NULL);
}

static napi_value peer_credentials(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "socketFd");
    struct ucred peer;
    socklen_t length = sizeof peer;
    napi_value result = NULL;
    if (call.failed)
        return NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
        return throw_errno(env, errno, "getsockopt", NULL);
    if (napi_create_object(env, &result) == napi_ok) {
        napi_value uid = NULL;
        napi_value gid = NULL;
        napi_create_uint32(env, peer.uid, &uid);
        napi_create_uint32(env, peer.gid, &gid);
        set_property(env, result, "pid", make_int32(env, peer.pid));
        set_property(env, result, "uid", uid);
        set_property(env, result, "gid", gid);
    }
    return result;
}

static const char *family_name(int domain) {
    switch (domain) {
    case AF_UNIX:
        return "unix";
    case AF_INET:
        return "inet";
    case AF_INET6:
        return "inet6";
    default:
        return "other";
    }
}

static napi_value socket_info(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    int domain = 0;
    int listening = 0;
    socklen_t length = sizeof domain;
    napi_value result = NULL;
    if (call.failed)
        return NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0)
        return throw_errno(env, errno, "getsockopt", NULL);
    length = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0)
        listening = 0;
    if (napi_create_object(env, &result) == napi_ok) {
        set_property(env, result, "family", make_string(env, family_name(domain)));
        set_property(env, result, "listening", make_bool(env, listening != 0));
    }
    return result;
}

napi_status register_socket(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"socketPair", socket_pair},
        {"sendWithFds", send_with_fds},
        {"peerCredentials", peer_credentials},
        {"socketInfo", socket_info},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
