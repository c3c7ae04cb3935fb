/*
 * What systemd's manager (org.freedesktop.systemd1.Manager) is asked of a unit, by the unit's name:
 * its state, to wait for it, to stop it, and to make room for another of its name.
 */
#ifndef MYDOCK_SYSTEMD_MANAGER_H
#define MYDOCK_SYSTEMD_MANAGER_H

#include "systemd_bus.h"

#define SYSTEMD_MANAGER "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"

#define SYSTEMD_STATE_BYTES 32
/* "active", "inactive", "failed", "activating"; "" for a unit that is forgotten. */
int systemd_manager_state(struct systemd_bus *bus, const char *name,
                          char state[SYSTEMD_STATE_BYTES], struct error **err);
/* Waits until the unit is active. One that fails, or takes too long, is an error. */
int systemd_manager_await(struct systemd_bus *bus, const char *name, struct error **err);
/* Stops the unit with all of its processes, and waits until it has ended. One that is gone already
 * is no error. */
int systemd_manager_stop(struct systemd_bus *bus, const char *name, struct error **err);
/* Makes systemd forget a unit that has failed or has no process any more. EEXIST for one with
 * processes, which stays as it is. */
int systemd_manager_clear(struct systemd_bus *bus, const char *name, struct error **err);

#endif
