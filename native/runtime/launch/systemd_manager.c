/* See systemd_manager.h. */
#define _GNU_SOURCE
#include "systemd_manager.h"
#include "../../common/cleanup.h"
#include "systemd_unit.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define UNIT_INTERFACE "org.freedesktop.systemd1.Unit"
/* How long a unit may take to reach a state. A scope's job is done in milliseconds, unless systemd
 * itself is busy. */
#define STATE_TIMEOUT_MS 30000
#define STOP_TIMEOUT_MS 10000

int systemd_manager_state(struct systemd_bus *bus, const char *name,
                          char state[SYSTEMD_STATE_BYTES], struct error **err) {
    struct systemd_message body = {0};
    cleanup_free char *object = systemd_unit_object(name);
    systemd_put_text(&body, UNIT_INTERFACE);
    systemd_put_text(&body, "ActiveState");
    struct systemd_reply reply;
    struct error *failure = NULL;
    const struct systemd_call call = {NULL,  object, "org.freedesktop.DBus.Properties",
                                      "Get", "ss",   &body};
    int result = object == NULL ? error_set(&failure, ENOMEM, "systemd", name)
                                : systemd_bus_call(bus, &call, &reply, &failure);
    systemd_message_free(&body);
    state[0] = '\0';
    if (result < 0 && systemd_is_unknown_unit(failure)) {
        error_free(failure);
        return 0;
    }
    if (result < 0) {
        if (err != NULL)
            *err = failure;
        else
            error_free(failure);
        return -1;
    }
    struct systemd_reader *reader = &reply.message.body;
    bool text = strcmp(systemd_get_signature(reader), "s") == 0;
    const char *value = text ? systemd_get_text(reader) : "";
    strncpy(state, value, SYSTEMD_STATE_BYTES - 1);
    state[SYSTEMD_STATE_BYTES - 1] = '\0';
    systemd_reply_free(&reply);
    return text && !reader->failed ? 0 : error_set(err, EBADMSG, "read the state of", name);
}

/* Until the unit is active, or (started false) until it is gone. */
static int manager_await(struct systemd_bus *bus, const char *name, bool started, long timeout_ms,
                         struct error **err) {
    char state[SYSTEMD_STATE_BYTES];
    long pause = 1;
    for (long waited = 0; waited < timeout_ms; waited += pause, pause += pause < 50) {
        if (systemd_manager_state(bus, name, state, err) < 0)
            return -1;
        bool ended = state[0] == '\0' || strcmp(state, "inactive") == 0;
        bool failed = strcmp(state, "failed") == 0;
        if (started && strcmp(state, "active") == 0)
            return 0;
        if (!started && (ended || failed))
            return 0;
        if (started && failed)
            return error_setf(err, 0, "systemd", name, "systemd could not start %s", name);
        nanosleep(&(struct timespec){pause / 1000, pause % 1000 * 1000000}, NULL);
    }
    return error_setf(err, ETIMEDOUT, "systemd", name, "systemd did not %s %s within %ld s",
                      started ? "start" : "stop", name, timeout_ms / 1000);
}

int systemd_manager_await(struct systemd_bus *bus, const char *name, struct error **err) {
    return manager_await(bus, name, true, STATE_TIMEOUT_MS, err);
}

/* Asked one way: systemd never answers where the scope, having lost its last process, is gone
 * before the job is. What counts is that the unit goes. */
int systemd_manager_stop(struct systemd_bus *bus, const char *name, struct error **err) {
    struct systemd_message body = {0};
    systemd_put_text(&body, name);
    systemd_put_text(&body, "replace");
    const struct systemd_call call = {
        NULL, SYSTEMD_MANAGER, SYSTEMD_MANAGER_INTERFACE, "StopUnit", "ss", &body, true};
    int result = systemd_bus_call(bus, &call, NULL, err);
    systemd_message_free(&body);
    return result < 0 ? -1 : manager_await(bus, name, false, STOP_TIMEOUT_MS, err);
}

/* Calls a method of the manager with the unit's name alone; a unit that is forgotten is no error,
 * and has no answer. */
static int manager_ask(struct systemd_bus *bus, const char *member, const char *name,
                       struct systemd_reply *reply, bool *found, struct error **err) {
    struct systemd_message body = {0};
    struct error *failure = NULL;
    systemd_put_text(&body, name);
    const struct systemd_call call = {
        NULL, SYSTEMD_MANAGER, SYSTEMD_MANAGER_INTERFACE, member, "s", &body, false};
    *found = systemd_bus_call(bus, &call, reply, &failure) == 0;
    systemd_message_free(&body);
    if (*found)
        return 0;
    if (systemd_is_unknown_unit(failure)) {
        error_free(failure);
        return 0;
    }
    if (err != NULL)
        *err = failure;
    else
        error_free(failure);
    return -1;
}

/* EEXIST where a process is in the scope: systemd would kill it with the scope. */
static int manager_require_empty(struct systemd_bus *bus, const char *name, struct error **err) {
    struct systemd_reply reply;
    bool found;
    if (manager_ask(bus, "GetUnitProcesses", name, &reply, &found, err) < 0)
        return -1;
    if (!found)
        return 0;
    struct systemd_reader *reader = &reply.message.body;
    bool known = strcmp(reply.message.signature, "a(sus)") == 0;
    uint32_t bytes = known ? systemd_get_u32(reader) : 0;
    known = known && !reader->failed;
    systemd_reply_free(&reply);
    if (!known)
        return error_set(err, EBADMSG, "read the processes of", name);
    return bytes == 0 ? 0
                      : error_setf(err, EEXIST, "systemd", name,
                                   "%s exists already and has processes", name);
}

int systemd_manager_clear(struct systemd_bus *bus, const char *name, struct error **err) {
    bool found;
    if (manager_require_empty(bus, name, err) < 0 || systemd_manager_stop(bus, name, err) < 0)
        return -1;
    return manager_ask(bus, "ResetFailedUnit", name, NULL, &found, err);
}
