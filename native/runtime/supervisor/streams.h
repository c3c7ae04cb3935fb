/*
 * The standard streams of a process: pipes or a terminal, output to log and attachments, stdin from
 * attachments.
 */
#ifndef MYDOCK_STREAMS_H
#define MYDOCK_STREAMS_H

#include "../launch/launch.h"
#include "process.h"

/* A process without streams yet; with_stdin: attachments may write to its stdin. */
void streams_init(struct process *process, bool with_stdin);
/* Makes the pipes (or /dev/null) of a process and opens the supervisor's ends; `child` gets the
 * other ends, which the caller closes with streams_close_child. On failure nothing is left open. */
int streams_open(struct process *process, struct launch_stdio *child, struct error **err);
void streams_close_child(struct launch_stdio *child);
/* Takes the terminal's master over, in place of pipes. */
int streams_use_console(struct process *process, int console_fd, struct error **err);
/* Begins to read output and to write stdin. */
void streams_begin(struct process *process);
/* Closes everything. */
void streams_close(struct process *process);

/* Reads output exactly while no attachment lags behind. Call after an attachment's queue has shrunk
 * or is gone. */
void streams_flow(struct process *process);
/* All output was read. */
bool streams_drained(const struct process *process);
/* Reads what is there at once and stops reading outputs that do not end. A partial line goes to the
 * log. */
void streams_give_up(struct process *process);

/* stdin has no room now, or is not open yet: do not read more from clients. */
bool streams_input_blocked(const struct process *process);
/* Writes to stdin, or queues; dropped where the process has none (any more). */
void streams_input(struct process *process, const unsigned char *bytes, size_t length);
/* End of stdin behind what is queued; a terminal has none. */
void streams_input_end(struct process *process);

#endif
