/* The verb events: what a container uses, in the JSON of runc's events, one object a line. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "../launch/cgroup.h"
#include "../launch/syscalls.h"
#include "arguments.h"
#include "oci.h"
#include "state.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
    /* How late an OOM kill may be told. */
    OOM_PERIOD_MS = 500,
    INTERVAL_DEFAULT_MS = 5000,
};

static int events_print(const char *type, const char *id, json_t *data) {
    json_t *event = json_pack("{s:s, s:s}", "type", type, "id", id);
    if (data != NULL)
        json_object_set_new(event, "data", data);
    int result = json_dumpf(event, stdout, JSON_COMPACT);
    json_decref(event);
    putchar('\n');
    return result == 0 && fflush(stdout) == 0 ? 0 : -1;
}

static int events_print_figures(const struct state *state, const struct cgroup *cgroup,
                                struct error **err) {
    json_t *figures = cgroup_figures(cgroup, err);
    if (figures == NULL)
        return -1;
    if (events_print("stats", state->id, figures) < 0)
        return error_set(err, errno, "write", "events");
    return 0;
}

/* "5s", "500ms", "1m" or seconds. */
static int events_read_interval(const char *text, int *out_ms, struct error **err) {
    char *end = NULL;
    double value = strtod(text, &end);
    double scale = strcmp(end, "ms") == 0                  ? 1
                   : strcmp(end, "m") == 0                 ? 60000
                   : *end == '\0' || strcmp(end, "s") == 0 ? 1000
                                                           : 0;
    if (end == text || !(value * scale >= 1) || value * scale > 86400000.0)
        return error_setf(err, EINVAL, "read", "interval",
                          "--interval %s: must be a time such as 5s or 500ms", text);
    *out_ms = (int)(value * scale);
    return 0;
}

/* Until the container ends, or nobody reads any more. */
static int events_follow(const struct state *state, const struct cgroup *cgroup, int interval_ms,
                         struct error **err) {
    cleanup_close int pidfd = sys_pidfd_open(state->pid);
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    long kills = cgroup_oom_kills(cgroup);
    for (int left_ms = interval_ms; pidfd >= 0 && state_is_alive(state);) {
        int step_ms = left_ms < OOM_PERIOD_MS ? left_ms : OOM_PERIOD_MS;
        bool ended = poll(&end, 1, step_ms) > 0;
        long now = cgroup_oom_kills(cgroup);
        if (now > kills && events_print("oom", state->id, NULL) < 0)
            return error_set(err, errno, "write", "events");
        kills = now > kills ? now : kills;
        if (ended)
            return 0;
        left_ms -= step_ms;
        if (left_ms > 0)
            continue;
        left_ms = interval_ms;
        if (events_print_figures(state, cgroup, err) < 0)
            return -1;
    }
    return 0;
}

static int events_tell(const struct oci_global *global, const char *id, bool once, int interval_ms,
                       struct error **err) {
    struct state *state = NULL;
    struct launch_container *container = NULL;
    if (state_open(global, id, false, &state, err) < 0)
        return -1;
    int result = state_launch(state, NULL, &container, err);
    enum state_status status = result < 0 ? STATE_STOPPED : state_status(state, container);
    const struct cgroup *cgroup = result < 0 ? NULL : launch_cgroup(container);
    if (result == 0 && (status == STATE_STOPPED || status == STATE_CREATING || cgroup == NULL))
        result = error_setf(err, ESRCH, "events", id, "container with id %s is not running", id);
    else if (result == 0 && once)
        result = events_print_figures(state, cgroup, err);
    else if (result == 0)
        result = events_follow(state, cgroup, interval_ms, err);
    launch_leave(container);
    state_close(state);
    return result;
}

int oci_events(const struct oci_global *global, char **arguments, struct error **err) {
    bool help = false, once = false;
    const char *interval = NULL;
    int interval_ms = INTERVAL_DEFAULT_MS;
    struct operands operands;
    const struct argument table[] = {
        {"interval", 0, ARGUMENT_TEXT, &interval, "TIME", "between two figures (5s)"},
        {"stats", 0, ARGUMENT_FLAG, &once, NULL, "print the figures of now, and no more"},
        {"help", 'h', ARGUMENT_FLAG, &help, NULL, "show this"},
        {NULL, 0, ARGUMENT_FLAG, NULL, NULL, NULL},
    };
    if (arguments_read(arguments, table, -1, &operands, err) < 0 ||
        (interval != NULL && events_read_interval(interval, &interval_ms, err) < 0))
        return -1;
    if (help) {
        printf("usage: mydock-runtime events [options] CONTAINER-ID\n");
        arguments_print_help(table);
        return 0;
    }
    if (operands.count != 1)
        return oci_usage("events [options] CONTAINER-ID", err);
    return events_tell(global, operands.items[0], once, interval_ms, err);
}
