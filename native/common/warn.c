/* Warnings of the supervisor: see warn.h. */
#include "warn.h"
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void (*warn_sink)(const char *message);

void warn_use(void (*sink)(const char *message)) {
    warn_sink = sink;
}

void warn(const char *format, ...) {
    char line[1024] = "mydock-runtime: ";
    size_t start = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line + start, sizeof(line) - start - 1, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    if (warn_sink != NULL) {
        warn_sink(line + start);
        return;
    }
    size_t end = start + (size_t)length;
    if (end > sizeof(line) - 2)
        end = sizeof(line) - 2;
    line[end++] = '\n';
    /* The other end may be a daemon that no longer reads. A line is shorter than PIPE_BUF: it fits
     * whole or not. */
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0 &&
        write(STDERR_FILENO, line, end) < 0)
        return; /* Nobody is left to be told. */
}
