/* Forwarding of log lines: see log_forward.h. */
#define _GNU_SOURCE
#include "log_forward.h"
#include "../../common/warn.h"
#include "byte_queue.h"
#include "log_message.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    RETRY_MS = 1000,
    /* A socket that has no room, and no way to say when it has. */
    FULL_MS = 20,
    CLOSE_MS = 500,
};

struct log_forward {
    struct watch watch;
    struct timer retry;
    struct loop *loop;
    void (*drained)(void *context);
    void *context;
    struct log_message_style style;
    struct sockaddr_storage address;
    socklen_t address_length;
    int type;
    bool connecting;
    bool blocking;
    /* Messages, each behind its length. */
    struct byte_queue queue;
    /* How much of the first one was sent. */
    size_t sent;
    size_t bound;
    unsigned long long dropped;
};

static void flush(struct log_forward *forward);

/* --- connection
 * -------------------------------------------------------------------------------------------------
 */

static void disconnect(struct log_forward *forward) {
    loop_close(forward->loop, &forward->watch);
    forward->connecting = false;
    /* The receiver of a new connection must not begin with the rest of a message. */
    forward->sent = 0;
    loop_arm(forward->loop, &forward->retry, RETRY_MS);
}

/* Begins to connect; true where a connection stands or is on its way. */
static bool connect_once(struct log_forward *forward, int type) {
    int fd = socket(forward->address.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    forward->connecting = false;
    if (connect(fd, (struct sockaddr *)&forward->address, forward->address_length) != 0) {
        if (errno != EINPROGRESS) {
            int number = errno;
            close(fd);
            errno = number;
            return false;
        }
        forward->connecting = true;
    }
    forward->type = type;
    forward->watch.fd = fd;
    if (forward->connecting)
        loop_watch(forward->loop, &forward->watch, EPOLLOUT);
    return true;
}

static bool connect_any(struct log_forward *forward) {
    if (connect_once(forward, forward->type))
        return true;
    /* A local syslog may listen either way. */
    if (errno == EPROTOTYPE && forward->address.ss_family == AF_UNIX)
        return connect_once(forward, forward->type == SOCK_DGRAM ? SOCK_STREAM : SOCK_DGRAM);
    return false;
}

static void retry(struct timer *timer) {
    struct log_forward *forward =
        (struct log_forward *)((char *)timer - offsetof(struct log_forward, retry));
    if (forward->watch.fd < 0 && !connect_any(forward)) {
        loop_arm(forward->loop, &forward->retry, RETRY_MS);
        return;
    }
    flush(forward);
}

static void ready(struct watch *watch, uint32_t events) {
    struct log_forward *forward = (struct log_forward *)watch;
    (void)events;
    if (forward->connecting) {
        int number = 0;
        socklen_t length = sizeof(number);
        getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &number, &length);
        if (number != 0) {
            disconnect(forward);
            return;
        }
        forward->connecting = false;
    }
    flush(forward);
}

/* --- queue
 * -------------------------------------------------------------------------------------------------
 */

static uint32_t first_length(const struct log_forward *forward) {
    uint32_t length;
    memcpy(&length, queue_front(&forward->queue), sizeof(length));
    return length;
}

/* Sends until the socket has no room. Returns 0, or the errno that stopped it. */
static int send_queued(struct log_forward *forward) {
    while (forward->queue.length > 0) {
        uint32_t length = first_length(forward);
        const unsigned char *message = queue_front(&forward->queue) + sizeof(length);
        ssize_t count = send(forward->watch.fd, message + forward->sent, length - forward->sent,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        /* Too large for one datagram: nobody can have it. */
        bool lost = count < 0 && errno == EMSGSIZE;
        if (count < 0 && !lost)
            return errno;
        forward->dropped += lost;
        forward->sent += lost ? length : (size_t)count;
        if (forward->sent < length)
            continue;
        forward->sent = 0;
        queue_consume(&forward->queue, sizeof(length) + length);
    }
    return 0;
}

static void wait_for_room(struct log_forward *forward, int number) {
    if (number == ENOBUFS)
        loop_arm(forward->loop, &forward->retry, FULL_MS);
    else if (loop_watch(forward->loop, &forward->watch, EPOLLOUT) != 0)
        disconnect(forward);
}

static void flush(struct log_forward *forward) {
    if (forward->watch.fd < 0 || forward->connecting)
        return;
    bool congested = log_forward_congested(forward);
    int number = send_queued(forward);
    if (number == EAGAIN || number == ENOBUFS)
        wait_for_room(forward, number);
    else if (number != 0)
        disconnect(forward);
    else
        /* With nothing to send it is not watched: EPOLLHUP would spin. */
        loop_forget(forward->loop, &forward->watch);
    if (congested && !log_forward_congested(forward))
        forward->drained(forward->context);
}

static bool enqueue(struct log_forward *forward, const struct log_line *line) {
    unsigned char *message = NULL;
    size_t length = log_message_build(&forward->style, line, &message);
    uint32_t prefix = (uint32_t)length;
    bool fits = length > 0 && forward->queue.length + sizeof(prefix) + length <= forward->bound &&
                queue_append(&forward->queue, &prefix, sizeof(prefix));
    if (fits && !queue_append(&forward->queue, message, length)) {
        forward->queue.length -= sizeof(prefix);
        fits = false;
    }
    free(message);
    return fits;
}

static void report_dropped(struct log_forward *forward, const struct timespec *now) {
    char text[64];
    int length =
        snprintf(text, sizeof(text), "mydock: %llu log lines are missing here", forward->dropped);
    struct log_line line = {.text = (unsigned char *)text,
                            .length = (size_t)length,
                            .error = true,
                            .ended = true,
                            .time = *now};
    if (enqueue(forward, &line))
        forward->dropped = 0;
}

void log_forward_line(struct log_forward *forward, const unsigned char *text, size_t length,
                      bool error, bool ended, const struct timespec *now) {
    struct log_line line = {
        .text = text, .length = length, .error = error, .ended = ended, .time = *now};
    if (forward->dropped > 0)
        report_dropped(forward, now);
    bool idle = forward->queue.length == 0;
    if (forward->dropped > 0 || !enqueue(forward, &line))
        forward->dropped++;
    if (idle)
        flush(forward);
}

bool log_forward_congested(const struct log_forward *forward) {
    return forward->blocking && forward->watch.fd >= 0 && !forward->connecting &&
           forward->queue.length > forward->bound / 4;
}

/* --- life
 * --------------------------------------------------------------------------------------------------
 */

static const char *text_of(const json_t *options, const char *name) {
    const char *text = json_string_value(json_object_get(options, name));
    return text == NULL ? "" : text;
}

static bool take_address(struct log_forward *forward, const json_t *options) {
    const char *path = text_of(options, "path");
    const char *host = text_of(options, "address");
    uint16_t port = htons((uint16_t)json_integer_value(json_object_get(options, "port")));
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};
    if (path[0] != '\0') {
        if (strlen(path) >= sizeof(local.sun_path))
            return false;
        memcpy(local.sun_path, path, strlen(path));
        memcpy(&forward->address, &local, sizeof(local));
        forward->address_length = sizeof(local);
    } else if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&forward->address, &v4, sizeof(v4));
        forward->address_length = sizeof(v4);
    } else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(&forward->address, &v6, sizeof(v6));
        forward->address_length = sizeof(v6);
    } else {
        return false;
    }
    return true;
}

int log_forward_open(const json_t *options, struct loop *loop, void (*drained)(void *context),
                     void *context, struct log_forward **out, struct error **err) {
    struct log_forward *forward = calloc(1, sizeof(*forward));
    if (forward == NULL)
        return error_set(err, ENOMEM, "open log", "");
    *forward = (struct log_forward){
        .watch = {.fd = -1, .ready = ready},
        .retry = {.fire = retry},
        .loop = loop,
        .drained = drained,
        .context = context,
        .type = json_is_true(json_object_get(options, "stream")) ? SOCK_STREAM : SOCK_DGRAM,
        .blocking = json_is_true(json_object_get(options, "blocking")),
        .bound = (size_t)json_integer_value(json_object_get(options, "maxQueueBytes"))};
    if (!take_address(forward, options) || !log_message_style_read(options, &forward->style)) {
        log_forward_close(forward);
        return error_setf(err, 0, "open log", "", "supervisor.json: \"forward\" is not valid");
    }
    if (!connect_any(forward)) {
        if (forward->address.ss_family == AF_UNIX) {
            int number = errno;
            log_forward_close(forward);
            return error_set(err, number, "connect to", text_of(options, "path"));
        }
        loop_arm(loop, &forward->retry, RETRY_MS);
    }
    *out = forward;
    return 0;
}

void log_forward_close(struct log_forward *forward) {
    if (forward == NULL)
        return;
    int64_t deadline = loop_now_ms() + CLOSE_MS;
    while (forward->watch.fd >= 0 && forward->queue.length > 0) {
        int64_t rest = deadline - loop_now_ms();
        struct pollfd wait = {.fd = forward->watch.fd, .events = POLLOUT};
        if (rest <= 0 || poll(&wait, 1, (int)rest) <= 0)
            break;
        int number = send_queued(forward);
        if (number != 0 && number != EAGAIN && number != ENOTCONN)
            break;
    }
    if (forward->queue.length > 0)
        warn("log lines that were not sent are dropped");
    loop_disarm(forward->loop, &forward->retry);
    loop_close(forward->loop, &forward->watch);
    queue_clear(&forward->queue);
    log_message_style_free(&forward->style);
    free(forward);
}
