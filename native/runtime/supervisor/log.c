/*
 * The json-file log: see log.h. Lines are formatted into one buffer that is written when it is full
 * and at the end of each log_write, so that a follower sees every line at once and a busy container
 * costs one write(2) for many lines.
 */
#include "log.h"
#include "json_escape.h"
#include "log_file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_BYTES = 256 * 1024 };

static const char line_start[] = "{\"log\":\"";

/* What stands behind a line's text: `","stream":…,"time":"…"}\n`. */
struct tail {
    char *text;
    size_t length;
    /* Where the timestamp goes. */
    size_t time_offset;
};

struct log {
    struct log_file file;
    /* Made at first use, by name of the stream: 0 stdout, 1 stderr. */
    struct tail tails[2];
    char *attributes;
    /* NULL where lines are kept here only. */
    struct log_forward *forward;
    /* When the output that is being logged was read. */
    struct timespec now;
    /* Formatted lines that are not in the file yet. NULL while idle. */
    unsigned char *buffer;
    size_t used;
    size_t capacity;
};

int log_open(const struct log_options *options, struct log_forward *forward, struct log **out,
             struct error **err) {
    struct log *log = calloc(1, sizeof(*log));
    if (log == NULL) {
        log_forward_close(forward);
        return error_set(err, ENOMEM, "open log", "");
    }
    log->forward = forward;
    log->file.fd = -1;
    if (options->attributes != NULL)
        log->attributes = strdup(options->attributes);
    if (options->attributes != NULL && log->attributes == NULL) {
        log_close(log);
        return error_set(err, ENOMEM, "open log", "");
    }
    if (options->path != NULL && log_file_open(&log->file, options->path, options->max_bytes,
                                               options->max_files, err) != 0) {
        log_close(log);
        return -1;
    }
    log->file.compress = options->compress;
    *out = log;
    return 0;
}

static char *append(char *at, const char *text) {
    size_t length = strlen(text);
    memcpy(at, text, length);
    return at + length;
}

static const struct tail *tail_of(struct log *log, const char *stream) {
    struct tail *tail = &log->tails[strcmp(stream, "stderr") == 0];
    if (tail->text != NULL)
        return tail;
    const char *attributes = log->attributes == NULL ? "" : log->attributes;
    tail->text = malloc(strlen(attributes) + TIMESTAMP_LENGTH + 64);
    if (tail->text == NULL)
        return NULL;
    char *at = append(tail->text, "\",\"stream\":\"");
    at = append(at, stream);
    at = append(at, "\"");
    if (log->attributes != NULL) {
        at = append(at, ",\"attrs\":");
        at = append(at, attributes);
    }
    at = append(at, ",\"time\":\"");
    tail->time_offset = (size_t)(at - tail->text);
    at = append(at + TIMESTAMP_LENGTH, "\"}\n");
    tail->length = (size_t)(at - tail->text);
    return tail;
}

static void flush(struct log *log) {
    if (log->used > 0)
        log_file_write(&log->file, log->buffer, log->used);
    log->used = 0;
}

/* Room for one line of any content, or NULL without memory. */
static unsigned char *line_room(struct log *log, size_t text_length, size_t tail_length) {
    size_t needed = sizeof(line_start) + 2 + JSON_ESCAPE_ROOM(text_length) + tail_length;
    if (log->capacity - log->used >= needed)
        return log->buffer + log->used;
    flush(log);
    if (log->capacity >= needed)
        return log->buffer;
    free(log->buffer);
    log->capacity = needed > BUFFER_BYTES ? needed : BUFFER_BYTES;
    log->buffer = malloc(log->capacity);
    if (log->buffer == NULL)
        log->capacity = 0;
    return log->buffer;
}

/* Formats one line or part of a line behind those that wait, and rotates in front of it where it
 * would not fit. */
static void add_line(struct log *log, const char *stream, const unsigned char *text, size_t length,
                     bool ended, const char *time) {
    if (log->forward != NULL)
        log_forward_line(log->forward, text, length, strcmp(stream, "stderr") == 0, ended,
                         &log->now);
    if (log->file.path == NULL)
        return;
    const struct tail *tail = tail_of(log, stream);
    unsigned char *start = tail == NULL ? NULL : line_room(log, length, tail->length);
    if (start == NULL) {
        log_file_dropped(&log->file, 1, ENOMEM);
        return;
    }
    memcpy(start, line_start, sizeof(line_start) - 1);
    unsigned char *at = json_escape(start + sizeof(line_start) - 1, text, length);
    if (ended) {
        *at++ = '\\';
        *at++ = 'n';
    }
    memcpy(at, tail->text, tail->length);
    memcpy(at + tail->time_offset, time, TIMESTAMP_LENGTH);
    size_t line_length = (size_t)(at - start) + tail->length;
    if (log_file_full(&log->file, log->used, line_length)) {
        flush(log);
        log_file_rotate(&log->file);
        memmove(log->buffer, start, line_length);
    }
    log->used += line_length;
}

/* Bytes that wait for the rest of their line. Without memory they become a part of their own. */
static void hold(struct log *log, struct log_stream *stream, const unsigned char *data,
                 size_t length, const char *time) {
    if (length == 0)
        return;
    if (stream->held == NULL)
        stream->held = malloc(LOG_LINE_MAX);
    if (stream->held == NULL) {
        add_line(log, stream->name, data, length, false, time);
        return;
    }
    memcpy(stream->held + stream->held_length, data, length);
    stream->held_length += length;
}

static void begin_parts(struct log_stream *stream, const char *time) {
    if (stream->in_parts)
        return;
    memcpy(stream->part_time, time, TIMESTAMP_LENGTH);
    stream->in_parts = true;
}

/* Writes a line that was (partly) held, or the next part of it, and holds back a torn character at
 * the part's end. */
static void add_held(struct log *log, struct log_stream *stream, bool ended, unsigned char next,
                     const char *time) {
    size_t torn = ended ? 0 : json_escape_torn(stream->held, stream->held_length, next);
    size_t length = stream->held_length - torn;
    add_line(log, stream->name, stream->held, length, ended,
             stream->in_parts ? stream->part_time : time);
    memmove(stream->held, stream->held + length, torn);
    stream->held_length = torn;
}

/* Takes the beginning of `data`, up to a line's end or to where the line must be cut; returns how
 * much it took. */
static size_t take(struct log *log, struct log_stream *stream, const unsigned char *data,
                   size_t length, const char *time) {
    size_t room = LOG_LINE_MAX - stream->held_length;
    size_t reach = length < room ? length : room;
    const unsigned char *newline = memchr(data, '\n', reach);
    size_t text = newline == NULL ? reach : (size_t)(newline - data);
    if (newline != NULL && stream->held_length == 0) {
        add_line(log, stream->name, data, text, true, stream->in_parts ? stream->part_time : time);
        stream->in_parts = false;
        return text + 1;
    }
    if (newline == NULL && length > room) {
        /* The line is longer than a part, and the byte behind the cut is known. */
        begin_parts(stream, time);
        if (stream->held_length == 0) {
            text -= json_escape_torn(data, text, data[text]);
            add_line(log, stream->name, data, text, false, stream->part_time);
            return text;
        }
        hold(log, stream, data, text, time);
        if (stream->held_length > 0)
            add_held(log, stream, false, data[text], time);
        return text;
    }
    hold(log, stream, data, text, time);
    if (newline == NULL)
        return text;
    if (stream->held_length > 0)
        add_held(log, stream, true, '\n', time);
    stream->in_parts = false;
    return text + 1;
}

void log_write(struct log *log, struct log_stream *stream, const unsigned char *data, size_t length,
               const struct timespec *now) {
    char time[TIMESTAMP_LENGTH];
    timestamp_write(time, now);
    log_file_begin(&log->file, time);
    log->now = *now;
    while (length > 0) {
        size_t taken = take(log, stream, data, length, time);
        data += taken;
        length -= taken;
    }
    flush(log);
    if (stream->held_length == 0) {
        free(stream->held);
        stream->held = NULL;
    }
}

void log_finish(struct log *log, struct log_stream *stream, const struct timespec *now) {
    char time[TIMESTAMP_LENGTH];
    timestamp_write(time, now);
    log_file_begin(&log->file, time);
    log->now = *now;
    if (stream->held_length > 0)
        add_held(log, stream, false, '\n', time);
    flush(log);
    free(stream->held);
    stream->held = NULL;
    stream->in_parts = false;
}

size_t log_room(const struct log *log) {
    if (log->forward == NULL)
        return SIZE_MAX;
    return log_forward_congested(log->forward) ? 0 : LOG_FORWARDED_BYTES;
}

void log_reaped(struct log *log, pid_t pid) {
    log_file_reaped(&log->file, pid);
}

void log_trim(struct log *log) {
    free(log->buffer);
    log->buffer = NULL;
    log->capacity = 0;
}

void log_close(struct log *log) {
    if (log == NULL)
        return;
    log_file_close(&log->file);
    log_forward_close(log->forward);
    for (int i = 0; i < 2; i++)
        free(log->tails[i].text);
    free(log->attributes);
    free(log->buffer);
    free(log);
}
