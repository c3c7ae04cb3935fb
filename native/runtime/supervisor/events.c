/* Events to the daemon: see events.h. */
#include "events.h"
#include "../../common/protocol.h"
#include "../../common/step_times.h"
#include "control.h"
#include "json_text.h"
#include <stdlib.h>
#include <string.h>

/* A daemon takes so long at most to read what it was sent. */
enum { UNHEARD_MS = 10 * 1000 };

static json_t *time_value(const struct timespec *when) {
    char text[TIMESTAMP_LENGTH + 1];
    timestamp_string(text, when);
    return json_string(text);
}

/* Running execs. */
static json_t *process_list(const struct supervisor *supervisor) {
    json_t *list = json_array();
    for (const struct process *at = supervisor->execs; at != NULL; at = at->next)
        if (at->state == PROCESS_ALIVE)
            json_array_append_new(
                list, json_pack("{s:s, s:i}", "process", at->name, "pid", (int)at->pid));
    return list;
}

/* Execs whose end no daemon may have heard: what was sent to one that was killed is lost. */
static json_t *unheard_ends(const struct supervisor *supervisor) {
    json_t *list = json_array();
    int64_t left_ms = supervisor->alone_ms == 0 ? loop_now_ms() : supervisor->alone_ms;
    for (unsigned index = 0; index < ENDED_EXECS_MAX; index++) {
        const struct exec_end *end =
            &supervisor->ended[(supervisor->ended_next + index) % ENDED_EXECS_MAX];
        if (end->process != NULL && end->ended_ms >= left_ms - UNHEARD_MS)
            json_array_append_new(
                list, json_pack("{s:s, s:i}", "process", end->process, "exitCode", end->exit_code));
    }
    return list;
}

static void remember_end(const struct process *process) {
    struct supervisor *supervisor = process->supervisor;
    struct exec_end *end = &supervisor->ended[supervisor->ended_next];
    free(end->process);
    *end = (struct exec_end){.process = strdup(process->name),
                             .exit_code = process_exit_code(process),
                             .ended_ms = loop_now_ms()};
    supervisor->ended_next = (supervisor->ended_next + 1) % ENDED_EXECS_MAX;
}

void events_status(struct supervisor *supervisor, struct connection *connection) {
    const struct process *init = supervisor->init;
    json_t *payload =
        json_pack("{s:i, s:s, s:i, s:s, s:o, s:o}", "version", PROTOCOL_VERSION, "id",
                  supervisor->config.id, "pid", (int)init->pid, "state",
                  supervisor->state == SUPERVISOR_CREATED ? "created" : "running", "startedAt",
                  time_value(&init->started_at), "processes", process_list(supervisor));
    json_t *ended = unheard_ends(supervisor);
    if (json_array_size(ended) > 0)
        json_object_set(payload, "ended", ended);
    json_decref(ended);
    supervisor->alone_ms = 0;
    control_send(connection, PROTOCOL_STATUS, payload);
}

void events_steps(struct supervisor *supervisor) {
    struct step_time times[STEP_TIMES_MAX];
    unsigned count = step_times_take(times);
    if (count == 0)
        return;
    json_t *list = json_array();
    for (unsigned index = 0; index < count; index++)
        json_array_append_new(list, json_pack("{s:s, s:i, s:I}", "label", times[index].label,
                                              "process", (int)times[index].process, "atUs",
                                              (json_int_t)times[index].at_us));
    control_broadcast(supervisor, PROTOCOL_STEPS, json_pack("{s:o}", "steps", list));
}

void events_started(const struct process *process) {
    json_t *payload = json_pack("{s:s, s:i, s:o}", "process", process->name, "pid",
                                (int)process->pid, "startedAt", time_value(&process->started_at));
    events_steps(process->supervisor);
    control_broadcast(process->supervisor, PROTOCOL_STARTED, payload);
}

void events_failed(struct supervisor *supervisor, const char *process, const struct error *err) {
    static const struct error no_memory = {
        .exit_code = 125, .step = "start", .message = "start: out of memory"};
    const struct error *why = err == NULL ? &no_memory : err;
    json_t *payload =
        json_pack("{s:s, s:i, s:o, s:o, s:s, s:o}", "process", process, "exitCode", why->exit_code,
                  "step", json_text(why->step), "object", json_text(why->object), "errno",
                  error_name(why->number), "message", json_text(why->message));
    events_steps(supervisor);
    control_broadcast(supervisor, PROTOCOL_FAILED, payload);
}

void events_exited(const struct process *process, bool oom_killed) {
    json_t *payload =
        json_pack("{s:s, s:i, s:i, s:b, s:o}", "process", process->name, "exitCode",
                  process_exit_code(process), "signal", process_signal(process), "oomKilled",
                  oom_killed, "exitedAt", time_value(&process->exited_at));
    if (!process_is_init(process))
        remember_end(process);
    events_steps(process->supervisor);
    control_broadcast(process->supervisor, PROTOCOL_EXITED, payload);
}

void events_detached(struct supervisor *supervisor, const char *process, json_int_t attachment,
                     const char *reason) {
    json_t *payload = json_pack("{s:s, s:I, s:s}", "process", process, "attachment", attachment,
                                "reason", reason);
    control_broadcast(supervisor, PROTOCOL_DETACHED, payload);
}

void events_oom(struct supervisor *supervisor) {
    control_broadcast(supervisor, PROTOCOL_OOM, json_object());
}
