/* Reading a runtime's error: see message.h. */
#define _GNU_SOURCE
#include "message.h"
#include "../../common/cleanup.h"
#include <ctype.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { TAIL_BYTES = 64 * 1024 };

/* The end of a file, or what is in a pipe now; NULL where there is nothing. */
static char *read_tail(int fd, bool file) {
    struct stat status;
    char *text = malloc(TAIL_BYTES + 1);
    size_t length = 0;
    if (text == NULL || fd < 0)
        return steal_pointer(&text);
    if (file && fstat(fd, &status) == 0 && status.st_size > TAIL_BYTES)
        lseek(fd, -TAIL_BYTES, SEEK_END);
    for (ssize_t count = 1; count > 0 && length<TAIL_BYTES; length += count> 0 ? count : 0)
        count = read(fd, text + length, TAIL_BYTES - length);
    text[length] = '\0';
    return text;
}

/* The "msg" of a line where its level is that of an error; the caller frees it. */
static char *error_text(const char *line) {
    json_error_t problem;
    json_t *entry = json_loads(line, 0, &problem);
    const char *level = json_string_value(json_object_get(entry, "level"));
    const char *text = json_string_value(json_object_get(entry, "msg"));
    bool wanted =
        level != NULL && text != NULL &&
        (strcmp(level, "error") == 0 || strcmp(level, "fatal") == 0 || strcmp(level, "panic") == 0);
    char *copy = wanted ? strdup(text) : NULL;
    json_decref(entry);
    return copy;
}

/* The last line that is an error; in plain text, the last that is not empty. */
static char *last_error(char *tail) {
    char *found = NULL;
    char *position = NULL;
    for (char *line = strtok_r(tail, "\n", &position); line != NULL;
         line = strtok_r(NULL, "\n", &position)) {
        char *text = line[0] == '{' ? error_text(line) : strdup(line);
        if (text == NULL)
            continue;
        free(found);
        found = text;
    }
    return found;
}

static char *read_error(const char *log, int stderr_fd) {
    char path[64];
    cleanup_close int file = open(log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    cleanup_free char *logged = file < 0 ? NULL : read_tail(file, true);
    char *found = logged == NULL ? NULL : last_error(logged);
    if (found != NULL || stderr_fd < 0)
        return found;
    /* fifo(7): an end of the other kind of the same pipe. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", stderr_fd);
    cleanup_close int pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    cleanup_free char *said = pipe < 0 ? NULL : read_tail(pipe, false);
    return said == NULL ? NULL : last_error(said);
}

/* The same words that Docker and its clients look for. */
static int exit_code_of(const char *text) {
    static const char *const missing[] = {"executable file not found", "no such file or directory"};
    static const char *const denied[] = {"permission denied", "is a directory", "open executable",
                                         "exec format error"};
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
        if (strcasestr(text, missing[i]) != NULL)
            return 127;
    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
        if (strcasestr(text, denied[i]) != NULL)
            return 126;
    return 125;
}

int message_set(const char *log, int stderr_fd, int wait_status, const char *step,
                const char *program, struct error **err) {
    cleanup_free char *text = read_error(log, stderr_fd);
    if (text == NULL && WIFSIGNALED(wait_status))
        return error_setf(err, 0, step, program, "%s was killed by signal %d", program,
                          WTERMSIG(wait_status));
    if (text == NULL)
        return error_setf(err, 0, step, program, "%s ended with exit status %d, and said nothing",
                          program, WEXITSTATUS(wait_status));
    error_setf(err, 0, step, program, "%s", text);
    if (err != NULL && *err != NULL)
        (*err)->exit_code = exit_code_of(text);
    return -1;
}
