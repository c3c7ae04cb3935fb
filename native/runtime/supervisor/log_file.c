/* The file behind a log: see log_file.h. */
#define _GNU_SOURCE
#include "log_file.h"
#include "../../common/warn.h"
#include "log_compress.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_append(const char *path) {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

static uint64_t size_of(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 ? (uint64_t)status.st_size : 0;
}

int log_file_open(struct log_file *file, const char *path, uint64_t max_bytes, unsigned max_files,
                  struct error **err) {
    *file = (struct log_file){.fd = -1, .max_bytes = max_bytes, .max_files = max_files};
    file->path = strdup(path);
    if (file->path == NULL)
        return error_set(err, ENOMEM, "open log", path);
    file->fd = open_append(path);
    if (file->fd < 0)
        return error_set(err, errno, "open log", path);
    file->size = size_of(file->fd);
    return 0;
}

void log_file_begin(struct log_file *file, const char time[TIMESTAMP_LENGTH]) {
    memcpy(file->time, time, TIMESTAMP_LENGTH);
}

static uint64_t count_lines(const unsigned char *lines, size_t length) {
    uint64_t count = 0;
    for (const unsigned char *at = lines, *end = lines + length; at < end; count++) {
        const unsigned char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            break;
        at = newline + 1;
    }
    return count;
}

void log_file_dropped(struct log_file *file, uint64_t lines, int number) {
    file->dropped += lines;
    file->drop_number = number;
}

/* Writes whole lines or, where it fails in the middle, cuts the torn line off again. Returns the
 * bytes that stand. */
static size_t write_lines(struct log_file *file, const unsigned char *lines, size_t length,
                          int *number) {
    size_t done = 0;
    while (done < length) {
        ssize_t count = write(file->fd, lines + done, length - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            *number = count < 0 ? errno : EIO;
            break;
        }
        done += (size_t)count;
    }
    file->size += done;
    if (done == length || done == 0)
        return done;
    const unsigned char *newline = memrchr(lines, '\n', done);
    size_t whole = newline == NULL ? 0 : (size_t)(newline + 1 - lines);
    uint64_t end = size_of(file->fd);
    if (end >= done - whole && ftruncate(file->fd, (off_t)(end - (done - whole))) == 0)
        file->size = end - (done - whole);
    return whole;
}

/* Says how many lines are missing, in the place where they are missing. False while the disk still
 * refuses. */
static bool report_dropped(struct log_file *file) {
    char line[256];
    int length = snprintf(line, sizeof(line),
                          "{\"log\":\"mydock: %llu log lines are missing here: %s\\n\","
                          "\"stream\":\"stderr\",\"time\":\"%.*s\"}\n",
                          (unsigned long long)file->dropped, strerror(file->drop_number),
                          TIMESTAMP_LENGTH, file->time);
    int number = 0;
    if (write_lines(file, (const unsigned char *)line, (size_t)length, &number) != (size_t)length)
        return false;
    warn("log %s: %llu lines were dropped: %s", file->path, (unsigned long long)file->dropped,
         strerror(file->drop_number));
    file->dropped = 0;
    return true;
}

void log_file_write(struct log_file *file, const unsigned char *lines, size_t length) {
    int number = 0;
    size_t done = 0;
    if (file->dropped == 0 || report_dropped(file))
        done = write_lines(file, lines, length, &number);
    else
        number = file->drop_number;
    if (done < length)
        log_file_dropped(file, count_lines(lines + done, length - done), number);
}

static bool too_long(const struct log_file *file, size_t waiting, size_t line) {
    uint64_t before = file->size + waiting;
    return before > 0 && before + line > file->max_bytes;
}

bool log_file_full(struct log_file *file, size_t waiting, size_t line) {
    if (file->max_bytes == 0 || !too_long(file, waiting, line))
        return false;
    /* Somebody may have truncated the file meanwhile. */
    file->size = size_of(file->fd);
    return too_long(file, waiting, line);
}

enum { NAME_BYTES = 4096 + 32 };

static void numbered(char name[NAME_BYTES], const char *path, unsigned number, const char *suffix) {
    if (number == 0)
        snprintf(name, NAME_BYTES, "%s", path);
    else
        snprintf(name, NAME_BYTES, "%s.%u%s", path, number, suffix);
}

static bool rename_numbered(const char *path, unsigned from, const char *suffix) {
    char old_name[NAME_BYTES];
    char new_name[NAME_BYTES];
    numbered(old_name, path, from, suffix);
    numbered(new_name, path, from + 1, suffix);
    return rename(old_name, new_name) == 0 || errno == ENOENT;
}

static void remove_numbered(const char *path, unsigned number, const char *suffix) {
    char name[NAME_BYTES];
    numbered(name, path, number, suffix);
    unlink(name);
}

static void stop_compressor(struct log_file *file) {
    if (file->compressor == 0)
        return;
    log_compress_stop(file->compressor, file->path);
    file->compressor = 0;
}

/* Moves all files up by one; a number has at most one file, compressed or not. */
static bool shift(const struct log_file *file) {
    remove_numbered(file->path, file->max_files - 1, "");
    remove_numbered(file->path, file->max_files - 1, ".gz");
    for (unsigned from = file->max_files - 1; from-- > 0;) {
        char packed[NAME_BYTES];
        numbered(packed, file->path, from, ".gz");
        /* Compressed, and its end came before the plain file was gone. */
        if (from > 0 && access(packed, F_OK) == 0)
            remove_numbered(file->path, from, "");
        if ((from > 0 && !rename_numbered(file->path, from, ".gz")) ||
            !rename_numbered(file->path, from, ""))
            return false;
    }
    return true;
}

static void start_compressor(struct log_file *file) {
    if (!file->compress)
        return;
    pid_t pid = log_compress_start(file->path, file->max_files);
    file->compressor = pid < 0 ? 0 : pid;
}

void log_file_reaped(struct log_file *file, pid_t pid) {
    if (file->compressor == pid)
        file->compressor = 0;
}

void log_file_rotate(struct log_file *file) {
    bool done;
    if (file->max_files <= 1) {
        done = ftruncate(file->fd, 0) == 0;
    } else {
        stop_compressor(file);
        done = shift(file);
        int fd = done ? open_append(file->path) : -1;
        done = fd >= 0;
        if (done) {
            close(file->fd);
            file->fd = fd;
            start_compressor(file);
        }
    }
    if (!done && !file->rotation_failed)
        warn("log %s: cannot be rotated and grows past %llu bytes: %s", file->path,
             (unsigned long long)file->max_bytes, strerror(errno));
    file->rotation_failed = !done;
    if (done)
        file->size = size_of(file->fd);
}

void log_file_close(struct log_file *file) {
    stop_compressor(file);
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
    free(file->path);
    file->path = NULL;
}
