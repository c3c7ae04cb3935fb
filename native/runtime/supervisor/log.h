/*
 * The container's log in Docker's json-file format: one JSON object a line,
 * {"log":"text\n","stream":"stdout","attrs":{…},"time":"…"}, with rotation. Lines longer than
 * LOG_LINE_MAX are written in parts, of which only the last has the "\n". Trouble with the disk
 * never reaches the container: lines are dropped, counted, and the log says so once it can be
 * written again.
 */
#ifndef MYDOCK_LOG_H
#define MYDOCK_LOG_H

#include "../../common/error.h"
#include "log_forward.h"
#include "timestamp.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LOG_LINE_MAX 16384
/* Read at a time where lines are forwarded: one of a single byte becomes some hundred bytes. */
#define LOG_FORWARDED_BYTES 4096

struct log;

/* One of the two output streams: what is remembered between two calls. All zero but the name at
 * first. */
struct log_stream {
    /* "stdout" or "stderr". */
    const char *name;
    /* The beginning of a line whose end has not come yet; NULL or LOG_LINE_MAX bytes. */
    unsigned char *held;
    size_t held_length;
    /* Time of the first part, which all parts of a long line carry; empty between lines. */
    char part_time[TIMESTAMP_LENGTH];
    bool in_parts;
};

struct log_options {
    /* Opened (appending) or created, mode 0640; NULL where lines are forwarded only. */
    const char *path;
    /* 0: never rotated. */
    uint64_t max_bytes;
    /* Counts path itself; 0 counts as 1. */
    unsigned max_files;
    /* Rotated files are compressed. */
    bool compress;
    /* The text of a JSON object, or NULL. */
    const char *attributes;
};

/* Takes `forward` over, which may be NULL, also where it fails. */
int log_open(const struct log_options *options, struct log_forward *forward, struct log **log,
             struct error **err);
/* Adds output that was read at `now`. Everything up to the last line end is in the file when it
 * returns. */
void log_write(struct log *log, struct log_stream *stream, const unsigned char *data, size_t length,
               const struct timespec *now);
/* The stream has ended: writes the line that has no end, as it is, and releases the stream's
 * memory. */
void log_finish(struct log *log, struct log_stream *stream, const struct timespec *now);
/* Bytes to read from the container at a time: few where every line costs much more in a queue, 0
 * where the container has to wait. */
size_t log_room(const struct log *log);
/* A child of the supervisor was reaped: one of the log's own, perhaps. */
void log_reaped(struct log *log, pid_t pid);
/* Releases buffers that only busy logs need. */
void log_trim(struct log *log);
/* NULL is allowed. */
void log_close(struct log *log);

#endif
