/*
 * When this process and those that it forks passed the marks of fault_mark.h, for a trace. Begun
 * where the environment asks for it, which is the daemon's doing; else a mark costs a comparison.
 */
#ifndef MYDOCK_STEP_TIMES_H
#define MYDOCK_STEP_TIMES_H

#include <stdint.h>
#include <sys/types.h>

/* More are not remembered until those that are there were taken. */
#define STEP_TIMES_MAX 160

struct step_time {
    /* A constant of the program. */
    const char *label;
    /* Who passed it, as that process itself is numbered. */
    pid_t process;
    /* CLOCK_REALTIME. */
    uint64_t at_us;
};

/* Begins where MYDOCK_STEP_TIMES is in the environment, from which it takes it. Without memory
 * there are no times. */
void step_times_begin(void);

/* Keeps errno. For any process, as often as there is room. */
void step_times_mark(const char *label);

/* Moves what has been passed into `out`, which has room for STEP_TIMES_MAX, and returns how many
 * there are, in order. No process that was forked may be passing marks meanwhile. */
unsigned step_times_take(struct step_time *out);

#endif
