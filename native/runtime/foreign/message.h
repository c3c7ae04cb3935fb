/*
 * What a runtime says of its failure: the last error of its log, which is what containerd shows of
 * it too, and what that means for the exit code of a start.
 */
#ifndef MYDOCK_MESSAGE_H
#define MYDOCK_MESSAGE_H

#include "../../common/error.h"

/* Sets *err from the log file (lines of JSON, or plain text), else from what stands in the pipe
 * stderr_fd (the writing end is enough; -1: none), else from the wait status. exit_code: 127 where
 * the program was not found, 126 where it cannot be executed, else 125. Returns -1. */
int message_set(const char *log, int stderr_fd, int wait_status, const char *step,
                const char *program, struct error **err);

#endif
