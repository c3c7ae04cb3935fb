/*
 * The container's log in Docker's json-file format: one JSON object a line,
 * {"log":"text\n","stream":"stdout","attrs":{…},"time":"…"}, with rotation. Lines longer than
 * LOG_LINE_MAX are written in parts, of which only the last has the "\n". Trouble with the disk
 * never reaches the container: lines are dropped, counted, and the log says so once it can be
 * written again.
 */
#ifndef MYDOCK_LOG_H
#define MYDOCK_LOG_H

#include "../common/error.h"
#include "timestamp.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX 16384

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

/* Opens (appending) or creates path, mode 0640. max_bytes 0: never rotated. max_files counts path
 * itself; 0 counts as
 * 1. attributes: the text of a JSON object, or NULL. */
int log_open(const char *path, uint64_t max_bytes, unsigned max_files, const char *attributes,
             struct log **log, struct error **err);
/* Adds output that was read at `now`. Everything up to the last line end is in the file when it
 * returns. */
void log_write(struct log *log, struct log_stream *stream, const unsigned char *data, size_t length,
               const struct timespec *now);
/* The stream has ended: writes the line that has no end, as it is, and releases the stream's
 * memory. */
void log_finish(struct log *log, struct log_stream *stream, const struct timespec *now);
/* Releases buffers that only busy logs need. */
void log_trim(struct log *log);
/* NULL is allowed. */
void log_close(struct log *log);

#endif
