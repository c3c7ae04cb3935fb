/* Compression of rotated logs: see log_compress.h. */
#define _GNU_SOURCE
#include "log_compress.h"
#include "../../common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

enum {
    PATH_BYTES = 4096 + 32,
    CHUNK_BYTES = 64 * 1024,
    /* Logs shrink by most of what they can at the quickest level. */
    LEVEL = 1,
    /* Window bits for a gzip header. */
    GZIP_WINDOW = 15 + 16,
    NICENESS = 10,
};

static bool write_all(int fd, const unsigned char *bytes, size_t length) {
    while (length > 0) {
        ssize_t count = write(fd, bytes, length);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        bytes += count;
        length -= (size_t)count;
    }
    return true;
}

/* Pumps `in` through the compressor into `out`. */
static bool deflate_all(z_stream *stream, int in, int out) {
    static unsigned char plain[CHUNK_BYTES];
    static unsigned char packed[CHUNK_BYTES];
    for (;;) {
        ssize_t length = read(in, plain, sizeof(plain));
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return false;
        stream->next_in = plain;
        stream->avail_in = (unsigned)length;
        int flush = length == 0 ? Z_FINISH : Z_NO_FLUSH;
        do {
            stream->next_out = packed;
            stream->avail_out = sizeof(packed);
            if (deflate(stream, flush) == Z_STREAM_ERROR ||
                !write_all(out, packed, sizeof(packed) - stream->avail_out))
                return false;
        } while (stream->avail_out == 0);
        if (length == 0)
            return true;
    }
}

static bool compress_file(int in, int out) {
    struct stat status;
    if (fstat(in, &status) != 0)
        return false;
    char name[32];
    snprintf(name, sizeof(name), "%llu", (unsigned long long)status.st_ino);
    z_stream stream = {0};
    gz_header header = {.name = (unsigned char *)name, .os = 3};
    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    bool done = deflateSetHeader(&stream, &header) == Z_OK && deflate_all(&stream, in, out);
    deflateEnd(&stream);
    return done;
}

/* False where the disk does not take it: the log stays as it is. */
static bool pack(const char *path, unsigned number, const char *temporary) {
    char plain[PATH_BYTES];
    char packed[PATH_BYTES];
    snprintf(plain, sizeof(plain), "%s.%u", path, number);
    snprintf(packed, sizeof(packed), "%s.%u.gz", path, number);
    cleanup_close int in = open(plain, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return true;
    cleanup_close int out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (out < 0 || !compress_file(in, out) || rename(temporary, packed) != 0) {
        unlink(temporary);
        return false;
    }
    unlink(plain);
    return true;
}

pid_t log_compress_start(const char *path, unsigned files) {
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    /* It must hold nothing of the container's: pipes and sockets end when their last holder ends.
     */
    close_range(0, ~0U, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    setpriority(PRIO_PROCESS, 0, NICENESS);
    char temporary[PATH_BYTES];
    snprintf(temporary, sizeof(temporary), "%s.gz.tmp", path);
    for (unsigned number = files - 1; number > 0; number--)
        if (!pack(path, number, temporary))
            _exit(1);
    _exit(0);
}

void log_compress_stop(pid_t pid, const char *path) {
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    char temporary[PATH_BYTES];
    snprintf(temporary, sizeof(temporary), "%s.gz.tmp", path);
    unlink(temporary);
}
