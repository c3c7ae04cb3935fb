/*
 * The file behind a log: whole lines in, rotation, and what happens when the disk does not take
 * them.
 */
#ifndef MYDOCK_LOG_FILE_H
#define MYDOCK_LOG_FILE_H

#include "../../common/error.h"
#include "timestamp.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct log_file {
    int fd;
    char *path;
    /* 0: never rotated. */
    uint64_t max_bytes;
    unsigned max_files;
    /* Bytes in the file, as far as this process knows. */
    uint64_t size;
    /* Lines lost since the last one that was written, and the errno that lost them. */
    uint64_t dropped;
    int drop_number;
    /* The time that a line about dropped lines carries. */
    char time[TIMESTAMP_LENGTH];
    bool rotation_failed;
    /* Rotated files become PATH.n.gz. */
    bool compress;
    /* Compresses what was rotated, or 0. */
    pid_t compressor;
};

int log_file_open(struct log_file *file, const char *path, uint64_t max_bytes, unsigned max_files,
                  struct error **err);
/* Sets the time for what follows. */
void log_file_begin(struct log_file *file, const char time[TIMESTAMP_LENGTH]);
/* Appends whole lines. What the disk does not take is dropped, at line bounds. */
void log_file_write(struct log_file *file, const unsigned char *lines, size_t length);
/* Counts lines that were lost before they got here. */
void log_file_dropped(struct log_file *file, uint64_t lines, int number);
/* True where a line would take the file past max_bytes; `waiting` bytes are to be written in front
 * of it. Never for the first line of a file. */
bool log_file_full(struct log_file *file, size_t waiting, size_t line);
/* path.(n-1) becomes path.n, …, path becomes path.1, and an empty path takes over; with one file it
 * is truncated. With `compress`, path.n becomes path.n.gz some time later. */
void log_file_rotate(struct log_file *file);
/* A child was reaped: it may have been the one that compresses. */
void log_file_reaped(struct log_file *file, pid_t pid);
void log_file_close(struct log_file *file);

#endif
