/*
 * What one process needs to give its sockets to another: descriptors received over a Unix socket,
 * a second descriptor of the same socket, and a listening Unix socket whose file no close removes.
 */
#define _GNU_SOURCE
#include "module.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The kernel's own limit (SCM_MAX_FD). */
#define RECEIVE_FDS_MAX 253
#define RECEIVE_BYTES_MAX (1024 * 1024)

struct received {
    ssize_t length;
    int fds[RECEIVE_FDS_MAX];
    size_t fd_count;
    /* Descriptors were lost: this process may not have more (RLIMIT_NOFILE). */
    bool truncated;
};

static void close_received(struct received *received) {
    for (size_t i = 0; i < received->fd_count; i++)
        close(received->fds[i]);
    received->fd_count = 0;
}

static void collect_fds(struct msghdr *message, struct received *received) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (count > RECEIVE_FDS_MAX - received->fd_count)
            count = RECEIVE_FDS_MAX - received->fd_count;
        memcpy(received->fds + received->fd_count, CMSG_DATA(header), count * sizeof(int));
        received->fd_count += count;
    }
    received->truncated = (message->msg_flags & MSG_CTRUNC) != 0;
}

/* One recvmsg. Returns 0, or an errno value. */
static int receive_once(int fd, void *data, size_t capacity, struct received *received) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(RECEIVE_FDS_MAX * sizeof(int))];
    struct iovec vector = {.iov_base = data, .iov_len = capacity};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    do
        received->length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (received->length < 0 && errno == EINTR);
    if (received->length < 0)
        return errno;
    collect_fds(&message, received);
    return 0;
}

static napi_value received_value(napi_env env, const void *data, struct received *received) {
    napi_value result = NULL;
    napi_value buffer = NULL;
    napi_value fds = NULL;
    if (napi_create_object(env, &result) != napi_ok ||
        napi_create_buffer_copy(env, (size_t)received->length, data, NULL, &buffer) != napi_ok ||
        napi_create_array_with_length(env, received->fd_count, &fds) != napi_ok ||
        !set_property(env, result, "data", buffer) || !set_property(env, result, "fds", fds))
        return NULL;
    for (size_t i = 0; i < received->fd_count; i++)
        if (napi_set_element(env, fds, (uint32_t)i, make_int32(env, received->fds[i])) != napi_ok)
            return NULL;
    return result;
}

static napi_value receive_with_fds(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "socketFd");
    uint64_t capacity = call_uint64(&call, 1, "maxBytes");
    if (!call.failed && (capacity == 0 || capacity > RECEIVE_BYTES_MAX))
        call_type_error(&call, "maxBytes", "from 1 to 1048576");
    if (call.failed)
        return NULL;
    cleanup_free void *data = malloc((size_t)capacity);
    struct received received = {0};
    if (data == NULL)
        return throw_errno(env, ENOMEM, "malloc", NULL);
    int error = receive_once(fd, data, (size_t)capacity, &received);
    if (error == EAGAIN)
        return make_null(env);
    if (error == 0 && received.truncated) {
        close_received(&received);
        error = EMFILE;
    }
    if (error != 0)
        return throw_errno(env, error, "recvmsg", NULL);
    napi_value result = received_value(env, data, &received);
    if (result == NULL)
        close_received(&received);
    return result;
}

static napi_value duplicate(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    if (call.failed)
        return NULL;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? throw_errno(env, errno, "fcntl", NULL) : make_int32(env, copy);
}

static napi_value listen_unix(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *path = call_string(&call, 0, "path");
    int backlog = call_int32(&call, 1, "backlog");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!call.failed && strlen(path) >= sizeof address.sun_path)
        call_type_error(&call, "path", "at most 107 bytes");
    if (call.failed)
        return NULL;
    strcpy(address.sun_path, path);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return throw_errno(env, errno, "socket", path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return throw_errno(env, errno, "bind", path);
    if (listen(fd, backlog) < 0) {
        int error = errno;
        unlink(path);
        return throw_errno(env, error, "listen", path);
    }
    return make_int32(env, steal_fd(&fd));
}

napi_status register_handover(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"receiveWithFds", receive_with_fds},
        {"duplicate", duplicate},
        {"listenUnix", listen_unix},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
