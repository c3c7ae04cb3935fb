/*
 * Log lines on their way to journald (native protocol) or a syslog server (RFC 3164, RFC 5424),
 * over a Unix, UDP or TCP socket. Lines wait in a bounded queue while the other side is slow or
 * away; what does not fit is dropped, counted, and the count is told there once lines get through
 * again. Trouble with the other side never ends the container.
 */
#ifndef MYDOCK_LOG_FORWARD_H
#define MYDOCK_LOG_FORWARD_H

#include "../../common/error.h"
#include "loop.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct log_forward;

/* Opens from the "forward" object of supervisor.json (LogForward in
 * src/native/supervisor-protocol.ts). A receiver that is away at first is tried again later, but
 * for a Unix socket that does not exist, which is an error. `drained` is called with `context` when
 * log_forward_congested has become false. */
int log_forward_open(const json_t *options, struct loop *loop, void (*drained)(void *context),
                     void *context, struct log_forward **forward, struct error **err);
/* One line, or part of one where `ended` is false, without its line end. `error` for stderr. */
void log_forward_line(struct log_forward *forward, const unsigned char *text, size_t length,
                      bool error, bool ended, const struct timespec *now);
/* True where a container that may be slowed down should write no more for now. */
bool log_forward_congested(const struct log_forward *forward);
/* Waits a moment for what is queued. NULL is allowed. */
void log_forward_close(struct log_forward *forward);

#endif
