/*
 * See netlink_exchange.h. The kernel's rtnetlink and nfnetlink handle a request inside sendmsg, so
 * that its answers are queued when that returns; only a dump goes on being produced while it is
 * read.
 */
#define _GNU_SOURCE
#include "netlink_exchange.h"
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel builds dumps in pieces of at most 32 KiB. */
#define RECEIVE_BYTES ((size_t)64 * 1024)
/* Room for a batch of some ten thousand elements, and for one answer each. */
#define SOCKET_BUFFER_BYTES (8 * 1024 * 1024)
/* Never reached by a working kernel. */
#define ANSWER_TIMEOUT_MS 10000
/* NFNL_MSG_BATCH_BEGIN: an error under its number ends the whole batch. */
#define BATCH_BEGIN_TYPE 0x10

int netlink_socket(int protocol, const char **step) {
    *step = "socket";
    cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return -1;
    int on = 1;
    int size = SOCKET_BUFFER_BYTES;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    /* Without CAP_NET_ADMIN in the first user namespace the system's limit has to do. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    *step = "bind";
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -1;
    return steal_fd(&fd);
}

static bool next_message(struct bytes *rest, struct nlmsghdr *header) {
    if (rest->length < sizeof *header)
        return false;
    memcpy(header, rest->data, sizeof *header);
    if (header->nlmsg_len < sizeof *header || header->nlmsg_len > rest->length)
        return false;
    size_t step = NLMSG_ALIGN((size_t)header->nlmsg_len);
    if (step > rest->length)
        step = rest->length;
    rest->data += step;
    rest->length -= step;
    return true;
}

/* Notes which answers the request asks for. */
static void read_request(struct exchange *exchange) {
    struct bytes rest = exchange->request;
    struct nlmsghdr header;
    exchange->step = "netlink request";
    exchange->sequences = calloc(exchange->request.length / sizeof header + 1, sizeof(uint32_t));
    if (exchange->sequences == NULL) {
        exchange->error = ENOMEM;
        return;
    }
    while (next_message(&rest, &header)) {
        if (header.nlmsg_type == BATCH_BEGIN_TYPE && !exchange->has_batch) {
            exchange->has_batch = true;
            exchange->batch_sequence = header.nlmsg_seq;
        }
        bool dump = (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
        if (dump || (header.nlmsg_flags & NLM_F_ACK) != 0)
            exchange->sequences[exchange->sequence_count++] = header.nlmsg_seq;
    }
    exchange->waiting = exchange->sequence_count;
    if (rest.length != 0)
        exchange->error = EBADMSG;
}

static void send_request(struct exchange *exchange) {
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t sent = 0;
    exchange->step = "sendto";
    do
        sent = sendto(exchange->fd, exchange->request.data, exchange->request.length, MSG_NOSIGNAL,
                      (struct sockaddr *)&kernel, sizeof kernel);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        exchange->error = errno;
}

static void finish_sequence(struct exchange *exchange, uint32_t sequence) {
    for (size_t i = 0; i < exchange->sequence_count; i++) {
        if (exchange->sequences[i] != sequence)
            continue;
        exchange->sequences[i] = exchange->sequences[--exchange->sequence_count];
        exchange->waiting = exchange->sequence_count;
        return;
    }
}

/* Counts what the received bytes end. */
static void read_answer(struct exchange *exchange, struct bytes received) {
    struct nlmsghdr header;
    while (next_message(&received, &header)) {
        if (header.nlmsg_type != NLMSG_ERROR && header.nlmsg_type != NLMSG_DONE)
            continue;
        if (exchange->has_batch && header.nlmsg_seq == exchange->batch_sequence) {
            exchange->sequence_count = 0;
            exchange->waiting = 0;
        }
        finish_sequence(exchange, header.nlmsg_seq);
    }
}

static bool reserve(struct exchange *exchange) {
    if (exchange->answer_capacity - exchange->answer_length >= RECEIVE_BYTES)
        return true;
    size_t capacity = exchange->answer_capacity * 2 + RECEIVE_BYTES;
    uint8_t *grown = realloc(exchange->answer, capacity);
    if (grown == NULL) {
        exchange->error = ENOMEM;
        return false;
    }
    exchange->answer = grown;
    exchange->answer_capacity = capacity;
    return true;
}

/* One datagram. Returns false when there is none at the moment, or with exchange->error set. */
static bool receive_once(struct exchange *exchange) {
    struct sockaddr_nl sender = {0};
    socklen_t sender_length = sizeof sender;
    exchange->step = "recvfrom";
    if (!reserve(exchange))
        return false;
    uint8_t *place = exchange->answer + exchange->answer_length;
    ssize_t length = 0;
    do
        length = recvfrom(exchange->fd, place, RECEIVE_BYTES, MSG_DONTWAIT | MSG_TRUNC,
                          (struct sockaddr *)&sender, &sender_length);
    while (length < 0 && errno == EINTR);
    if (length < 0) {
        if (errno != EAGAIN)
            exchange->error = errno;
        return false;
    }
    if ((size_t)length > RECEIVE_BYTES) {
        exchange->error = EMSGSIZE;
        return false;
    }
    /* Only the kernel (port 0) may answer. */
    if (sender.nl_pid == 0) {
        read_answer(exchange, (struct bytes){.data = place, .length = (size_t)length});
        exchange->answer_length += (size_t)length;
    }
    return true;
}

/* Reads until nothing is waited for and the queue is empty, so that errors of messages without ACK
 * come along. */
static void receive_answers(struct exchange *exchange) {
    while (exchange->error == 0) {
        if (receive_once(exchange))
            continue;
        if (exchange->error != 0 || exchange->waiting == 0)
            return;
        struct pollfd wait = {.fd = exchange->fd, .events = POLLIN};
        int ready = poll(&wait, 1, ANSWER_TIMEOUT_MS);
        if (ready == 0 || (ready < 0 && errno != EINTR))
            exchange->error = ready == 0 ? ETIMEDOUT : errno;
    }
}

void exchange_run(struct exchange *exchange) {
    read_request(exchange);
    if (exchange->error == 0)
        send_request(exchange);
    if (exchange->error == 0)
        receive_answers(exchange);
    free(exchange->sequences);
    exchange->sequences = NULL;
}
