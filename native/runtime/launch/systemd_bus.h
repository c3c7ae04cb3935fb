/*
 * A connection to systemd over D-Bus: the socket that systemd itself listens on for root
 * (/run/systemd/private), else the system bus, or what DBUS_SYSTEM_BUS_ADDRESS names
 * ("unix:path="). Calls are answered one at a time, within a limit; signals are skipped.
 */
#ifndef MYDOCK_SYSTEMD_BUS_H
#define MYDOCK_SYSTEMD_BUS_H

#include "../../common/error.h"
#include "systemd_message.h"

struct systemd_bus {
    int fd;
    /* The other end is a bus and needs to be told whom a call is for. */
    bool routed;
    uint32_t serial;
};

/* An answer; its texts lie in `bytes`. */
struct systemd_reply {
    unsigned char *bytes;
    struct systemd_incoming message;
};

/* Connects and authenticates. ENOENT where this host does not run systemd. */
int systemd_bus_open(struct systemd_bus *out, struct error **err);
void systemd_bus_close(struct systemd_bus *bus);

/* Calls a method of org.freedesktop.systemd1. An error that is answered is an error here, with
 * D-Bus's name of it as the object: see systemd_is_unknown_unit. reply may be NULL; else it is
 * freed with systemd_reply_free after success. A call that is one_way returns once it is sent. */
int systemd_bus_call(struct systemd_bus *bus, const struct systemd_call *call,
                     struct systemd_reply *reply, struct error **err);
void systemd_reply_free(struct systemd_reply *reply);

/* The error says that systemd has no such unit. */
bool systemd_is_unknown_unit(const struct error *err);
/* The error says that a unit of this name is loaded already. */
bool systemd_is_loaded_unit(const struct error *err);

#endif
