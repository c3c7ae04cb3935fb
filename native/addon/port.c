/*
 * IP sockets, in the daemon's network namespace or in another one: bound to a port, or free for
 * what Node does with them. A socket stays in the namespace that it was made in, so that all later
 * calls on it act there.
 */
#define _GNU_SOURCE
#include "module.h"
#include "netns.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* A local address of either family. Returns false where the text is no address. */
static bool read_address(const char *text, int port, struct sockaddr_storage *address,
                         socklen_t *length) {
    memset(address, 0, sizeof *address);
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *length = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *length = sizeof *v6;
        return true;
    }
    return false;
}

enum transport { TRANSPORT_NONE, TRANSPORT_TCP, TRANSPORT_UDP, TRANSPORT_SCTP };

static enum transport read_transport(const char *protocol) {
    if (strcmp(protocol, "tcp") == 0)
        return TRANSPORT_TCP;
    if (strcmp(protocol, "udp") == 0)
        return TRANSPORT_UDP;
    return strcmp(protocol, "sctp") == 0 ? TRANSPORT_SCTP : TRANSPORT_NONE;
}

/* A non-blocking socket inside the namespace at path (NULL: ours). Returns -1 with errno set. */
static int open_in_netns(const char *path, int family, enum transport transport) {
    int type = (transport == TRANSPORT_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK;
    return socket_in_netns(path, family, type, transport == TRANSPORT_SCTP ? IPPROTO_SCTP : 0);
}

/* Returns a bound socket that listens where the transport has connections, or -1 with errno and
 * *step set. */
static int open_port(const char *path, enum transport transport,
                     const struct sockaddr_storage *address, socklen_t length, const char **step) {
    int on = 1;
    bool connections = transport != TRANSPORT_UDP;
    *step = "socket";
    cleanup_close int fd = open_in_netns(path, address->ss_family, transport);
    if (fd < 0)
        return -1;
    *step = "setsockopt";
    /* Each family on its own: the wildcard of IPv6 would take IPv4's port too. */
    if (address->ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        return -1;
    /* Past connections in TIME_WAIT do not keep a port; for UDP the option would let two share
     * one. */
    if (connections && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return -1;
    *step = "bind";
    if (bind(fd, (const struct sockaddr *)address, length) < 0)
        return -1;
    *step = "listen";
    if (connections && listen(fd, SOMAXCONN) < 0)
        return -1;
    return steal_fd(&fd);
}

static napi_value bind_port(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *protocol = call_string(&call, 0, "protocol");
    cleanup_free char *text = call_string(&call, 1, "address");
    int port = call_int32(&call, 2, "port");
    cleanup_free char *path = call_absent(&call, 3) ? NULL : call_string(&call, 3, "netnsPath");
    struct sockaddr_storage address;
    socklen_t length = 0;
    enum transport transport = call.failed ? TRANSPORT_NONE : read_transport(protocol);
    if (!call.failed && transport == TRANSPORT_NONE)
        call_type_error(&call, "protocol", "tcp, udp or sctp");
    if (!call.failed && (port < 0 || port > 65535))
        call_type_error(&call, "port", "from 0 to 65535");
    if (!call.failed && !read_address(text, port, &address, &length))
        call_type_error(&call, "address", "an IP address");
    if (call.failed)
        return NULL;
    const char *step = NULL;
    int fd = open_port(path, transport, &address, length, &step);
    return fd < 0 ? throw_errno(env, errno, step, path) : make_int32(env, fd);
}

static napi_value open_socket(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *protocol = call_string(&call, 0, "protocol");
    int family = call_int32(&call, 1, "family");
    cleanup_free char *path = call_absent(&call, 2) ? NULL : call_string(&call, 2, "netnsPath");
    enum transport transport = call.failed ? TRANSPORT_NONE : read_transport(protocol);
    if (!call.failed && transport != TRANSPORT_TCP && transport != TRANSPORT_UDP)
        call_type_error(&call, "protocol", "tcp or udp");
    if (!call.failed && family != 4 && family != 6)
        call_type_error(&call, "family", "4 or 6");
    if (call.failed)
        return NULL;
    int fd = open_in_netns(path, family == 4 ? AF_INET : AF_INET6, transport);
    return fd < 0 ? throw_errno(env, errno, "socket", path) : make_int32(env, fd);
}

static napi_value keep_port(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    int off = 0;
    if (call.failed)
        return NULL;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof off) < 0)
        return throw_errno(env, errno, "setsockopt", NULL);
    return make_undefined(env);
}

static napi_value set_receive_buffer(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    int bytes = call_int32(&call, 1, "bytes");
    if (call.failed)
        return NULL;
    /* Without CAP_NET_ADMIN in the first user namespace the system's limit has to do. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) < 0)
        return throw_errno(env, errno, "setsockopt", NULL);
    return make_undefined(env);
}

napi_status register_port(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"bindPort", bind_port},
        {"openSocket", open_socket},
        {"keepPort", keep_port},
        {"setReceiveBuffer", set_receive_buffer},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
