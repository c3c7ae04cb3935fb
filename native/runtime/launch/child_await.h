/*
 * Waiting for a child on its way to exec that other processes may see: one that shares a pid
 * namespace with it and has its user's or CAP_KILL's rights can stop it for good.
 */
#ifndef MYDOCK_CHILD_AWAIT_H
#define MYDOCK_CHILD_AWAIT_H

#include "../../common/error.h"
#include <sys/types.h>

/* Waits until the channel to the child can be read. `pids`: the caller's children at its other end,
 * 0 or less where not known; one that is stopped goes on. ETIMEDOUT where they are stopped again
 * and again, or after limit_sec (0: none); `step` is what the child is doing, for the error. */
int child_await(int sync_fd, const pid_t pids[2], int limit_sec, const char *step,
                struct error **err);

/* Reaps a child that ends, and waits for that for a moment. One that does not end, as in a frozen
 * group, stays: whoever reaps the caller's children meets it later. */
void child_reap(pid_t pid);

/* The same, of a child that is killed first. */
void child_end(pid_t pid);

#endif
