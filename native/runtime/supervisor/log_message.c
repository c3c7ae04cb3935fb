/* Log lines for journald and syslog: see log_message.h. */
#define _GNU_SOURCE
#include "log_message.h"
#include "byte_queue.h"
#include "timestamp.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SEVERITY_ERROR = 3,
    SEVERITY_INFORMATION = 6,
    HEADER_BYTES = 1024,
};

static bool put(struct byte_queue *out, const void *bytes, size_t length) {
    return length == 0 || queue_append(out, bytes, length);
}

/* journald's form of a field whose value may hold line ends: the length is 64 bits, little-endian.
 */
static bool put_field(struct byte_queue *out, const char *name, const void *value, size_t length) {
    unsigned char size[8];
    for (int i = 0; i < 8; i++)
        size[i] = (unsigned char)((uint64_t)length >> (8 * i));
    return put(out, name, strlen(name)) && put(out, "\n", 1) && put(out, size, sizeof(size)) &&
           put(out, value, length) && put(out, "\n", 1);
}

static bool read_fields(const json_t *fields, struct log_message_style *style) {
    struct byte_queue out = {0};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)fields, name, value) {
        const char *text = json_string_value(value);
        if (text == NULL || !put_field(&out, name, text, json_string_length(value))) {
            queue_clear(&out);
            return false;
        }
    }
    /* The queue was never consumed: its block begins with the first byte. */
    style->fields = out.data;
    style->fields_length = out.length;
    return true;
}

bool log_message_style_read(const json_t *options, struct log_message_style *style) {
    static const char *const names[] = {"journald", "local", "rfc3164", "rfc5424", "rfc5424micro"};
    const char *name = json_string_value(json_object_get(options, "style"));
    unsigned kind = 0;
    while (name != NULL && kind < 5 && strcmp(names[kind], name) != 0)
        kind++;
    if (name == NULL || kind == 5)
        return false;
    style->kind = (enum log_message_kind)kind;
    if (style->kind == LOG_MESSAGE_JOURNALD)
        return read_fields(json_object_get(options, "fields"), style);
    const char *hostname = json_string_value(json_object_get(options, "hostname"));
    const char *tag = json_string_value(json_object_get(options, "tag"));
    if (hostname == NULL || tag == NULL)
        return false;
    style->facility = (unsigned)json_integer_value(json_object_get(options, "facility"));
    style->hostname = strdup(hostname);
    style->tag = strdup(tag);
    return style->hostname != NULL && style->tag != NULL;
}

void log_message_style_free(struct log_message_style *style) {
    free(style->fields);
    free(style->hostname);
    free(style->tag);
    *style = (struct log_message_style){0};
}

static bool build_journald(const struct log_message_style *style, const struct log_line *line,
                           struct byte_queue *out) {
    static const char partial[] = "CONTAINER_PARTIAL_MESSAGE=true\n";
    char variable[64];
    int length = snprintf(variable, sizeof(variable), "PRIORITY=%d\nSYSLOG_TIMESTAMP=",
                          line->error ? SEVERITY_ERROR : SEVERITY_INFORMATION);
    char time[TIMESTAMP_LENGTH + 1];
    timestamp_write(time, &line->time);
    time[TIMESTAMP_LENGTH] = '\n';
    return put_field(out, "MESSAGE", line->text, line->length) &&
           put(out, style->fields, style->fields_length) && put(out, variable, (size_t)length) &&
           put(out, time, sizeof(time)) && (line->ended || put(out, partial, sizeof(partial) - 1));
}

static int local_header(const struct log_message_style *style, const struct log_line *line,
                        unsigned priority, char *header) {
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm local;
    if (localtime_r(&line->time.tv_sec, &local) == NULL)
        return 0;
    bool host = style->kind == LOG_MESSAGE_RFC3164;
    return snprintf(header, HEADER_BYTES, "<%u>%s %2d %02d:%02d:%02d %s%s%s[%d]: ", priority,
                    months[local.tm_mon % 12], local.tm_mday, local.tm_hour, local.tm_min,
                    local.tm_sec, host ? style->hostname : "", host ? " " : "", style->tag,
                    (int)getpid());
}

static int rfc5424_header(const struct log_message_style *style, const struct log_line *line,
                          unsigned priority, char *header) {
    char time[TIMESTAMP_LENGTH];
    timestamp_write(time, &line->time);
    /* Seconds, or microseconds, which is all that the format allows. */
    int digits = style->kind == LOG_MESSAGE_RFC5424_MICRO ? 26 : 19;
    return snprintf(header, HEADER_BYTES, "<%u>1 %.*sZ %s %s %d %s - ", priority, digits, time,
                    style->hostname, style->tag, (int)getpid(), style->tag);
}

static bool build_syslog(const struct log_message_style *style, const struct log_line *line,
                         struct byte_queue *out) {
    char header[HEADER_BYTES];
    unsigned priority = style->facility * 8 + (line->error ? SEVERITY_ERROR : SEVERITY_INFORMATION);
    int length = style->kind <= LOG_MESSAGE_RFC3164 ? local_header(style, line, priority, header)
                                                    : rfc5424_header(style, line, priority, header);
    if (length <= 0)
        return false;
    size_t used = length < HEADER_BYTES ? (size_t)length : HEADER_BYTES - 1;
    return put(out, header, used) && put(out, line->text, line->length) && put(out, "\n", 1);
}

size_t log_message_build(const struct log_message_style *style, const struct log_line *line,
                         unsigned char **message) {
    struct byte_queue out = {0};
    bool built = style->kind == LOG_MESSAGE_JOURNALD ? build_journald(style, line, &out)
                                                     : build_syslog(style, line, &out);
    if (!built) {
        queue_clear(&out);
        return 0;
    }
    *message = out.data;
    return out.length;
}
