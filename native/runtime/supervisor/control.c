/* Control connections: see control.h. */
#include "control.h"
#include "../../common/cleanup.h"
#include "../../common/protocol.h"
#include "../../common/warn.h"
#include "byte_queue.h"
#include "commands.h"
#include "events.h"
#include "sockets.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,
    OUT_BOUND = 1024 * 1024,
    UNCLAIMED_MAX = 32,
    /* SCM_MAX_FD: the kernel never delivers more at once. */
    FDS_PER_READ = 253,
};

struct connection {
    struct watch watch;
    struct supervisor *supervisor;
    struct connection *next;
    struct byte_queue in;
    struct byte_queue out;
    /* Received, in order, claimed by no message yet. */
    int fds[UNCLAIMED_MAX];
    unsigned fd_count;
    bool first;
};

static bool is_alone(const struct supervisor *supervisor) {
    for (const struct connection *at = supervisor->connections; at != NULL; at = at->next)
        if (at->watch.fd >= 0)
            return false;
    return true;
}

static void close_connection(struct connection *connection) {
    struct supervisor *supervisor = connection->supervisor;
    if (connection->watch.fd < 0)
        return;
    loop_forget(&supervisor->loop, &connection->watch);
    socket_end(connection->watch.fd);
    connection->watch.fd = -1;
    for (unsigned i = 0; i < connection->fd_count; i++)
        close(connection->fds[i]);
    connection->fd_count = 0;
    queue_clear(&connection->in);
    queue_clear(&connection->out);
    supervisor->changed = true;
    if (is_alone(supervisor))
        supervisor->alone_ms = loop_now_ms();
    supervisor_end_declared(supervisor, connection);
    if (!connection->first || supervisor->state != SUPERVISOR_CREATED)
        return;
    struct error *err = NULL;
    error_setf(&err, 0, "start", "", "the daemon left before the container was started");
    supervisor_abort(supervisor, err);
}

/* --- events out
 * --------------------------------------------------------------------------------------------------
 */

static void flush(struct connection *connection) {
    while (connection->watch.fd >= 0 && connection->out.length > 0) {
        ssize_t count = send(connection->watch.fd, queue_front(&connection->out),
                             connection->out.length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            break;
        if (count < 0) {
            /* What the daemon sent before it left is still to be read. */
            queue_clear(&connection->out);
            break;
        }
        queue_consume(&connection->out, (size_t)count);
    }
    if (connection->watch.fd < 0)
        return;
    connection->supervisor->changed = true;
    uint32_t events = EPOLLIN | (connection->out.length > 0 ? EPOLLOUT : 0);
    if (loop_watch(&connection->supervisor->loop, &connection->watch, events) != 0)
        close_connection(connection);
}

static void put_number(unsigned char *out, uint32_t value) {
    for (int i = 0; i < 4; i++)
        out[i] = (unsigned char)(value >> (8 * i));
}

static void queue_message(struct connection *connection, unsigned type, const char *text) {
    if (connection->watch.fd < 0)
        return;
    size_t length = text == NULL ? 0 : strlen(text);
    unsigned char header[PROTOCOL_HEADER_BYTES];
    put_number(header, type);
    put_number(header + 4, (uint32_t)length);
    if (text == NULL || connection->out.length + length > OUT_BOUND ||
        !queue_append(&connection->out, header, sizeof(header)) ||
        !queue_append(&connection->out, text, length)) {
        warn("a control connection does not read its events and is closed");
        close_connection(connection);
        return;
    }
    flush(connection);
}

void control_send(struct connection *connection, unsigned type, json_t *payload) {
    cleanup_free char *text = payload == NULL ? NULL : json_dumps(payload, JSON_COMPACT);
    json_decref(payload);
    queue_message(connection, type, text);
}

void control_broadcast(struct supervisor *supervisor, unsigned type, json_t *payload) {
    cleanup_free char *text = payload == NULL ? NULL : json_dumps(payload, JSON_COMPACT);
    json_decref(payload);
    for (struct connection *at = supervisor->connections; at != NULL; at = at->next)
        queue_message(at, type, text);
}

/* --- commands in
 * -------------------------------------------------------------------------------------------------
 */

int control_take_fd(struct connection *connection) {
    if (connection->fd_count == 0)
        return -1;
    int fd = connection->fds[0];
    connection->fd_count--;
    memmove(connection->fds, connection->fds + 1, connection->fd_count * sizeof(int));
    return fd;
}

/* Keeps received descriptors. False where one is lost or too many wait: nothing after that can be
 * trusted. */
static bool keep_fds(struct connection *connection, struct msghdr *message) {
    bool complete = (message->msg_flags & MSG_CTRUNC) == 0;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at != NULL; at = CMSG_NXTHDR(message, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(at) + i * sizeof(int), sizeof(int));
            if (connection->fd_count < UNCLAIMED_MAX) {
                connection->fds[connection->fd_count++] = fd;
            } else {
                close(fd);
                complete = false;
            }
        }
    }
    return complete;
}

static uint32_t get_number(const unsigned char *in) {
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

/* Runs the messages that are complete. False where one breaks the protocol. */
static bool run_messages(struct connection *connection) {
    while (connection->watch.fd >= 0 && connection->in.length >= PROTOCOL_HEADER_BYTES) {
        const unsigned char *front = queue_front(&connection->in);
        uint32_t type = get_number(front);
        uint32_t length = get_number(front + 4);
        if (length > PROTOCOL_PAYLOAD_MAX)
            return false;
        if (connection->in.length < PROTOCOL_HEADER_BYTES + (size_t)length)
            return true;
        json_error_t problem;
        json_t *payload =
            json_loadb((const char *)front + PROTOCOL_HEADER_BYTES, length, 0, &problem);
        queue_consume(&connection->in, PROTOCOL_HEADER_BYTES + (size_t)length);
        bool good = json_is_object(payload) &&
                    commands_run(connection->supervisor, connection, type, payload);
        json_decref(payload);
        if (!good)
            return false;
    }
    return true;
}

static void receive(struct connection *connection) {
    struct supervisor *supervisor = connection->supervisor;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FDS_PER_READ * sizeof(int))];
    } ancillary;
    struct iovec part = {supervisor->scratch, READ_BYTES};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = ancillary.bytes,
                             .msg_controllen = sizeof(ancillary.bytes)};
    ssize_t length = recvmsg(connection->watch.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        close_connection(connection);
        return;
    }
    supervisor->warm = true;
    bool good = keep_fds(connection, &message) &&
                queue_append(&connection->in, supervisor->scratch, (size_t)length) &&
                run_messages(connection);
    if (!good && connection->watch.fd >= 0) {
        warn("a control connection breaks the protocol and is closed");
        close_connection(connection);
    }
}

static void connection_ready(struct watch *watch, uint32_t events) {
    struct connection *connection = (struct connection *)watch;
    if ((events & EPOLLOUT) != 0)
        flush(connection);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && connection->watch.fd >= 0)
        receive(connection);
}

/* --- life
 * --------------------------------------------------------------------------------------------------------
 */

struct connection *control_add(struct supervisor *supervisor, int fd, bool first) {
    int flags = fcntl(fd, F_GETFL);
    struct connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        free(connection);
        close(fd);
        return NULL;
    }
    connection->watch = (struct watch){.fd = fd, .ready = connection_ready};
    connection->supervisor = supervisor;
    connection->first = first;
    connection->next = supervisor->connections;
    supervisor->connections = connection;
    flush(connection);
    return connection;
}

void control_sweep(struct supervisor *supervisor) {
    for (struct connection **at = &supervisor->connections; *at != NULL;) {
        struct connection *connection = *at;
        if (connection->watch.fd >= 0) {
            at = &connection->next;
            continue;
        }
        *at = connection->next;
        free(connection);
    }
}

bool control_flushed(const struct supervisor *supervisor) {
    for (const struct connection *at = supervisor->connections; at != NULL; at = at->next)
        if (at->out.length > 0)
            return false;
    return true;
}

void control_close_all(struct supervisor *supervisor) {
    for (struct connection *at = supervisor->connections; at != NULL; at = at->next)
        close_connection(at);
}
