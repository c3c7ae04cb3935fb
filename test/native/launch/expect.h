/* Judging a case of launch_test.c: one line each on stdout. */
#ifndef MYDOCK_LAUNCH_EXPECT_H
#define MYDOCK_LAUNCH_EXPECT_H

#include "run.h"
#include <stdarg.h>

static int failures;

static void report(const char *name, bool passed, const char *format, ...) {
    if (passed) {
        printf("ok %s\n", name);
    } else {
        va_list arguments;
        printf("not ok %s: ", name);
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        printf("\n");
        failures++;
    }
    fflush(stdout);
}

static const char *run_error(const struct run *run) {
    return run->err == NULL ? "no error" : run->err->message;
}

/* The script's exit code and output are as given. Takes config. */
static void expect(const char *name, json_t *config, int exit_code, const char *output) {
    struct run *run = run_all(config);
    report(name,
           run->err == NULL && run->exit_code == exit_code &&
               (output == NULL || strcmp(run->output, output) == 0),
           "%s, exit code %d, output \"%s\"", run_error(run), run->exit_code, run->output);
}

/* The start fails with the exit code, and the message contains the text. Takes config. */
static void expect_failure(const char *name, json_t *config, int exit_code, const char *text) {
    struct run *run = run_all(config);
    report(name,
           run->err != NULL && run->err->exit_code == exit_code &&
               strstr(run->err->message, text) != NULL,
           "%s, exit code %d, output \"%s\"", run_error(run),
           run->err == NULL ? run->exit_code : run->err->exit_code, run->output);
}

/* Borrowed. */
static json_t *process_of(json_t *config) {
    return json_object_get(config, "process");
}

#endif
