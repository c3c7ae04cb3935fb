/*
 * Seccomp user notification (SCMP_ACT_NOTIFY): the descriptor that a filter's notifications come
 * out of goes from the process that loaded the filter to its parent, and from there to the agent
 * that listens at linux.seccomp.listenerPath.
 *
 * The filter binds at once, and the agent has nothing to answer with yet: until the parent says go
 * the child makes no system calls but one write and one read. filter_prepare refuses filters that
 * notify of write; a notified read is answered by the agent, which has the descriptor by then.
 */
#ifndef MYDOCK_FILTER_LISTENER_H
#define MYDOCK_FILTER_LISTENER_H

#include "filter.h"
#include "hooks.h"
#include <sys/types.h>

/* In the child: says the descriptor's number (SYNC_LISTENER) and waits for SYNC_GO. */
int filter_offer_listener(int sync_fd, int listener, struct error **err);

/* In the parent: takes descriptor number of its child pid, sends it with the container process
 * state (config-linux.md, "The Container Process State") over a connection of its own, and says
 * SYNC_GO. status: the container's ("creating", "running"). */
int filter_forward_listener(const struct seccomp_filter *filter,
                            const struct hooks_container *about, const char *status, pid_t pid,
                            int number, int sync_fd, struct error **err);

#endif
