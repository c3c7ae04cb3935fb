/*
 * One log line as journald and syslog servers take it: the datagram of journald's native protocol,
 * or a line of RFC 3164 or RFC 5424.
 */
#ifndef MYDOCK_LOG_MESSAGE_H
#define MYDOCK_LOG_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum log_message_kind {
    LOG_MESSAGE_JOURNALD,
    /* RFC 3164 without the host's name, as local sockets take it. */
    LOG_MESSAGE_LOCAL,
    LOG_MESSAGE_RFC3164,
    LOG_MESSAGE_RFC5424,
    LOG_MESSAGE_RFC5424_MICRO,
};

struct log_message_style {
    enum log_message_kind kind;
    /* journald: the constant fields, encoded. */
    unsigned char *fields;
    size_t fields_length;
    /* syslog. */
    unsigned facility;
    char *hostname;
    char *tag;
};

struct log_line {
    const unsigned char *text;
    size_t length;
    /* From stderr. */
    bool error;
    /* False for a part that more of the same line follows. */
    bool ended;
    struct timespec time;
};

/* Reads "style" and what belongs to it. False where it is not valid; free it either way. */
bool log_message_style_read(const json_t *options, struct log_message_style *style);
void log_message_style_free(struct log_message_style *style);
/* Encodes a line into memory that the caller frees. Returns its length, or 0 without memory. */
size_t log_message_build(const struct log_message_style *style, const struct log_line *line,
                         unsigned char **message);

#endif
