/*
 * One netlink request and all answers to it. What the messages say is TypeScript's business
 * (src/network/netlink/); here only the fixed header (nlmsghdr) is read, to know which answers are
 * still to come.
 */
#ifndef MYDOCK_ADDON_NETLINK_EXCHANGE_H
#define MYDOCK_ADDON_NETLINK_EXCHANGE_H

#include "module.h"

struct exchange {
    int fd;
    struct bytes request;
    /* How many messages of the request still wait for their end; those numbers, and the batch's
     * own. */
    size_t waiting;
    uint32_t *sequences;
    size_t sequence_count;
    bool has_batch;
    uint32_t batch_sequence;
    uint8_t *answer;
    size_t answer_length;
    size_t answer_capacity;
    int error;
    const char *step;
};

/* A socket with room for large batches, in the namespace of the calling thread. -1 with errno, and
 * *step what failed. */
int netlink_socket(int protocol, const char **step);
/* Sends `request` over `fd` and collects in `answer` what comes, until nothing is waited for.
 * Failures are in `error` and `step`; `answer` is the caller's to free in either case. */
void exchange_run(struct exchange *exchange);

#endif
