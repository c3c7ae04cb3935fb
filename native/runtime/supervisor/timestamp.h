/*
 * RFC 3339 times in UTC with nanoseconds, as Docker writes them in logs and states.
 */
#ifndef MYDOCK_TIMESTAMP_H
#define MYDOCK_TIMESTAMP_H

#include <time.h>

/* "2026-11-20T23:59:18.123456789Z" */
#define TIMESTAMP_LENGTH 30

/* Writes exactly TIMESTAMP_LENGTH characters, without a terminating zero. Years 0 to 9999. */
void timestamp_write(char *out, const struct timespec *when);
/* The same as a string; "" for a `when` that is zero (never happened). */
void timestamp_string(char out[TIMESTAMP_LENGTH + 1], const struct timespec *when);

#endif
