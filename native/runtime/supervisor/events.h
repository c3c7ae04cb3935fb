/*
 * Events to the daemon, encoded (see ../common/protocol.h). Each goes to every connection but the
 * status.
 */
#ifndef MYDOCK_EVENTS_H
#define MYDOCK_EVENTS_H

#include "process.h"
#include "supervisor.h"

void events_status(struct supervisor *supervisor, struct connection *connection);
void events_started(const struct process *process);
/* err NULL: memory ran out. */
void events_failed(struct supervisor *supervisor, const char *process, const struct error *err);
void events_exited(const struct process *process, bool oom_killed);
/* The times of marks passed since the last call, where they are kept. */
void events_steps(struct supervisor *supervisor);
/* The container is out of memory. */
void events_oom(struct supervisor *supervisor);
void events_detached(struct supervisor *supervisor, const char *process, json_int_t attachment,
                     const char *reason);

#endif
