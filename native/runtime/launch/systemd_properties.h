/* linux.resources as properties of a unit (systemd.resource-control(5)), appended to an array of
 * D-Bus's type a(sv). */
#ifndef MYDOCK_SYSTEMD_PROPERTIES_H
#define MYDOCK_SYSTEMD_PROPERTIES_H

#include "cgroup.h"
#include "systemd_message.h"

void systemd_property_text(struct systemd_message *message, const char *name, const char *value);
void systemd_property_flag(struct systemd_message *message, const char *name, bool value);
void systemd_property_number(struct systemd_message *message, const char *name, uint64_t value);

/* What systemd has a word for; each in its form for v1 or v2, wherever the controller is. */
void systemd_properties_limits(struct systemd_message *message, const struct cgroup *cgroup,
                               const struct resources *resources);
/* DevicePolicy and DeviceAllow. */
void systemd_properties_devices(struct systemd_message *message, const struct resources *resources);

#endif
