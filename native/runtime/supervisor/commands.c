/* Commands from the daemon: see commands.h. */
#include "commands.h"
#include "../../common/fault_mark.h"
#include "../../common/protocol.h"
#include "../../common/warn.h"
#include "attach.h"
#include "base64.h"
#include "control.h"
#include "events.h"
#include "process.h"
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *text_of(const json_t *payload, const char *name) {
    return json_string_value(json_object_get(payload, name));
}

static bool get_integer(const json_t *payload, const char *name, json_int_t *out) {
    const json_t *value = json_object_get(payload, name);
    *out = json_integer_value(value);
    return json_is_integer(value);
}

static bool get_boolean(const json_t *payload, const char *name, bool *out) {
    const json_t *value = json_object_get(payload, name);
    *out = json_is_true(value);
    return json_is_boolean(value);
}

static bool run_kill(struct supervisor *supervisor, const json_t *payload) {
    const char *name = text_of(payload, "process");
    json_int_t number;
    bool all;
    if (name == NULL || !get_integer(payload, "signal", &number) ||
        !get_boolean(payload, "all", &all) || number < 1 || number > SIGRTMAX)
        return false;
    struct error *err = NULL;
    struct runtime *runtime = supervisor->runtime;
    struct process *process = process_find(supervisor, name);
    fault_mark("supervisor/kill");
    if (all && runtime != NULL) {
        if (runtime->operations->kill_all(runtime, (int)number, &err) != 0)
            warn("kill all: %s", err == NULL ? "out of memory" : err->message);
        error_free(err);
    } else if (process != NULL) {
        process_signal_send(process, (int)number);
    }
    return true;
}

static unsigned short clamp_size(json_int_t value) {
    return value < 0 ? 0 : value > 0xffff ? 0xffff : (unsigned short)value;
}

static bool run_resize(struct supervisor *supervisor, const json_t *payload) {
    const char *name = text_of(payload, "process");
    json_int_t rows;
    json_int_t cols;
    if (name == NULL || !get_integer(payload, "rows", &rows) ||
        !get_integer(payload, "cols", &cols))
        return false;
    struct process *process = process_find(supervisor, name);
    struct winsize size = {.ws_row = clamp_size(rows), .ws_col = clamp_size(cols)};
    if (process != NULL)
        process_resize(process, &size);
    return true;
}

static bool run_exec(struct supervisor *supervisor, const struct connection *connection,
                     const json_t *payload) {
    const char *name = text_of(payload, "process");
    json_t *spec = json_object_get(payload, "spec");
    bool with_stdin;
    if (name == NULL || name[0] == '\0' || !json_is_object(spec) ||
        !get_boolean(payload, "stdin", &with_stdin) || process_find(supervisor, name) != NULL)
        return false;
    if (supervisor->state == SUPERVISOR_LEAVING)
        return true;
    struct process *process = process_new(supervisor, name, spec, with_stdin);
    if (process == NULL) {
        events_failed(supervisor, name, NULL);
        return true;
    }
    process->declarer = connection;
    struct process **last = &supervisor->execs;
    while (*last != NULL)
        last = &(*last)->next;
    *last = process;
    fault_mark("supervisor/exec-declared");
    return true;
}

static bool run_start_exec(struct supervisor *supervisor, const json_t *payload) {
    const char *name = text_of(payload, "process");
    if (name == NULL || name[0] == '\0')
        return false;
    struct process *process = process_find(supervisor, name);
    if (process != NULL && process->state == PROCESS_DECLARED) {
        process_exec(process);
        fault_mark("supervisor/exec-started");
        return true;
    }
    struct error *err = NULL;
    error_setf(&err, 0, "exec", name, "exec %s: %s", name,
               process == NULL ? "no such process was declared" : "it was started already");
    events_failed(supervisor, name, err);
    error_free(err);
    return true;
}

static bool get_keys(const json_t *list, struct detach_keys *keys) {
    if (!json_is_array(list) || json_array_size(list) > DETACH_KEYS_MAX)
        return false;
    size_t i;
    const json_t *key;
    json_array_foreach(list, i, key) {
        json_int_t value = json_integer_value(key);
        if (!json_is_integer(key) || value < 0 || value > 255)
            return false;
        keys->keys[keys->count++] = (unsigned char)value;
    }
    return true;
}

static bool get_attach_options(const json_t *payload, struct attach_options *options) {
    return get_integer(payload, "attachment", &options->number) &&
           get_boolean(payload, "stdin", &options->with_stdin) &&
           get_boolean(payload, "stdout", &options->with_stdout) &&
           get_boolean(payload, "stderr", &options->with_stderr) &&
           get_boolean(payload, "framed", &options->framed) &&
           get_keys(json_object_get(payload, "detachKeys"), &options->keys);
}

static bool run_attach(struct supervisor *supervisor, struct connection *connection,
                       const json_t *payload) {
    struct attach_options options = {0};
    struct byte_queue head = {0};
    const char *name = text_of(payload, "process");
    const char *encoded = text_of(payload, "head");
    int fd = control_take_fd(connection);
    if (fd < 0)
        return false;
    if (name == NULL || encoded == NULL || !get_attach_options(payload, &options) ||
        !base64_decode(encoded, strlen(encoded), &head)) {
        queue_clear(&head);
        close(fd);
        return false;
    }
    attach_add(supervisor, process_find(supervisor, name), name, &options, fd, &head);
    queue_clear(&head);
    return true;
}

static bool run_detach(struct supervisor *supervisor, const json_t *payload) {
    const char *name = text_of(payload, "process");
    json_int_t number;
    if (name == NULL || !get_integer(payload, "attachment", &number))
        return false;
    struct process *process = process_find(supervisor, name);
    if (process != NULL)
        attach_detach(process, number);
    return true;
}

bool commands_run(struct supervisor *supervisor, struct connection *connection, uint32_t type,
                  const json_t *payload) {
    switch (type) {
    case PROTOCOL_START:
        supervisor_start(supervisor);
        return true;
    case PROTOCOL_KILL:
        return run_kill(supervisor, payload);
    case PROTOCOL_RESIZE:
        return run_resize(supervisor, payload);
    case PROTOCOL_EXEC:
        return run_exec(supervisor, connection, payload);
    case PROTOCOL_START_EXEC:
        return run_start_exec(supervisor, payload);
    case PROTOCOL_ATTACH:
        return run_attach(supervisor, connection, payload);
    case PROTOCOL_DETACH:
        return run_detach(supervisor, payload);
    default:
        return false;
    }
}
