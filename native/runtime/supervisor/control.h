/*
 * Control connections: the first one inherited, later ones accepted on the socket path. Cuts their
 * bytes into messages, keeps the descriptors that come with them, and queues events. A connection
 * that breaks the protocol or does not read its events is closed; the others do not notice.
 */
#ifndef MYDOCK_CONTROL_H
#define MYDOCK_CONTROL_H

#include "supervisor.h"
#include <jansson.h>

/* Listens on the configured socket path (mode 0600), in place of a socket left there. */
int control_listen(struct supervisor *supervisor, struct error **err);
/* Stops listening and removes the socket. */
void control_unlisten(struct supervisor *supervisor);

/* Takes a connected socket over. `first`: its end before START ends the container. NULL without
 * memory. */
struct connection *control_add(struct supervisor *supervisor, int fd, bool first);
/* The next received descriptor that no message has claimed, or -1. The caller owns it. */
int control_take_fd(struct connection *connection);

/* Queues an event. The payload is taken over; NULL (no memory) closes the connection, which then
 * lacks an event. */
void control_send(struct connection *connection, unsigned type, json_t *payload);
void control_broadcast(struct supervisor *supervisor, unsigned type, json_t *payload);

/* Frees closed connections. */
void control_sweep(struct supervisor *supervisor);
/* Everything queued was sent. */
bool control_flushed(const struct supervisor *supervisor);
void control_close_all(struct supervisor *supervisor);

#endif
