/*
 * Commands from the daemon, decoded and run (see ../common/protocol.h).
 */
#ifndef MYDOCK_COMMANDS_H
#define MYDOCK_COMMANDS_H

#include "supervisor.h"
#include <jansson.h>
#include <stdint.h>

/* Runs one command. False where it breaks the protocol: an unknown type, a field that is missing or
 * of the wrong type, a descriptor that did not come. A command that merely fails is no breach. */
bool commands_run(struct supervisor *supervisor, struct connection *connection, uint32_t type,
                  const json_t *payload);

#endif
