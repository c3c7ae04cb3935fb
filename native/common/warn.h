/*
 * Warnings of the supervisor: one line on stderr, which never waits and never fails.
 */
#ifndef MYDOCK_WARN_H
#define MYDOCK_WARN_H

/* Writes "mydock-runtime: message\n"; dropped where stderr would block. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on sink gets the message instead, without prefix and newline. */
void warn_use(void (*sink)(const char *message));

#endif
