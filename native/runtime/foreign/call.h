/*
 * One run of a runtime's program: without a shell, in a session of its own, with three standard
 * descriptors and no other, an environment that holds PATH alone, and no signal blocked. It dies
 * with the supervisor.
 */
#ifndef MYDOCK_CALL_H
#define MYDOCK_CALL_H

#include "../../common/error.h"
#include "../launch/launch.h"
#include <sys/types.h>

/* arguments: NULL at the end, the first is the program's path. stdio NULL: /dev/null. Returns its
 * process ID, to be reaped by the caller, or -1 where the program cannot be executed. */
pid_t call_start(char *const *arguments, const struct launch_stdio *stdio, struct error **err);

/* Waits for its end and reaps it. Killed after limit_ms: that is ETIMEDOUT. Returns 0 and the wait
 * status, or -1. */
int call_wait(pid_t pid, int limit_ms, int *wait_status, struct error **err);

/* Kills it and what it has started in its session's first process group. */
void call_kill(pid_t pid);

#endif
