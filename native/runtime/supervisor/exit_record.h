/*
 * The exit record: what outlives the supervisor. Twin of ExitRecord in
 * src/native/supervisor-protocol.ts.
 */
#ifndef MYDOCK_EXIT_RECORD_H
#define MYDOCK_EXIT_RECORD_H

#include "../../common/error.h"
#include <stdbool.h>
#include <time.h>

struct exit_record {
    /* 128+n after signal n; for a start that failed 125, 126 or 127. */
    int exit_code;
    int signal;
    bool oom_killed;
    /* Zero where the program was never executed. */
    struct timespec started_at;
    struct timespec exited_at;
    /* Why it was not started, "" where it was. */
    char error[512];
};

/* Writes `path` by renaming a temporary file beside it: it is there whole or not at all. Tries for
 * up to a second where the disk is full. */
int exit_record_write(const char *path, const struct exit_record *record, struct error **err);

#endif
