/* The verbs kill and delete. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "../launch/cgroup.h"
#include "arguments.h"
#include "oci.h"
#include "signals.h"
#include "state.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* SIGKILL waits where the processes are frozen by a v1 freezer. */
static void kill_thaw(const struct launch_container *container) {
    const struct cgroup *cgroup = launch_cgroup(container);
    if (cgroup != NULL && cgroup_is_frozen(cgroup))
        cgroup_set_frozen(cgroup, false, NULL);
}

/* Without a pid namespace of its own the others outlive the init, and nobody could reach them any
 * more once it is gone: SIGKILL is for all then. */
static int kill_container(const struct state *state, int signal, bool all, struct error **err) {
    struct launch_container *container = NULL;
    if (state_launch(state, NULL, &container, err) < 0)
        return -1;
    bool alive = state_status(state, NULL) != STATE_STOPPED;
    int result = 0;
    if (!alive && !all)
        result = error_setf(err, ESRCH, "kill", state->id, "container not running");
    else if (!all)
        result = launch_signal(container, signal, err);
    if (result == 0 && (all || (signal == SIGKILL && !state->owns_pids)))
        result = launch_kill_all(container, signal, err);
    if (result == 0 && signal == SIGKILL)
        kill_thaw(container);
    launch_leave(container);
    return result;
}

int oci_kill(const struct oci_global *global, char **arguments, struct error **err) {
    bool all = false, help = false;
    struct operands operands;
    struct state *state = NULL;
    const struct argument table[] = {
        {"all", 'a', ARGUMENT_FLAG, &all, NULL, "send it to all processes of the container"},
        {"help", 'h', ARGUMENT_FLAG, &help, NULL, "show this"},
        {NULL, 0, ARGUMENT_FLAG, NULL, NULL, NULL},
    };
    if (arguments_read(arguments, table, -1, &operands, err) < 0)
        return -1;
    if (help) {
        printf("usage: mydock-runtime kill [options] CONTAINER-ID [SIGNAL]\n");
        arguments_print_help(table);
        return 0;
    }
    if (operands.count != 1 && operands.count != 2)
        return oci_usage("kill [options] CONTAINER-ID [SIGNAL]", err);
    const char *name = operands.count == 2 ? operands.items[1] : "TERM";
    int signal = signals_number(name);
    if (signal < 0)
        return error_setf(err, EINVAL, "kill", operands.items[0], "unknown signal \"%s\"", name);
    if (state_open(global, operands.items[0], false, &state, err) < 0)
        return -1;
    int result = kill_container(state, signal, all, err);
    state_close(state);
    return result;
}

static int delete_container(struct state *state, bool force, struct error **err) {
    struct launch_container *container = NULL;
    enum state_status status;
    if (state_find_status(state, &status, err) < 0)
        return -1;
    /* A created one has run nothing: runc and crun delete it as well. */
    if (status != STATE_STOPPED && status != STATE_CREATED && !force)
        return error_setf(err, EBUSY, "delete", state->id,
                          "cannot delete container %s that is not stopped: %s", state->id,
                          state_status_name(status));
    if (state_launch(state, NULL, &container, err) < 0)
        return -1;
    int result = 0;
    if (state_is_alive(state)) {
        launch_signal(container, SIGKILL, NULL);
        kill_thaw(container);
        result = state_await_end(state, err);
    }
    if (result < 0) {
        launch_leave(container);
        return -1;
    }
    launch_destroy(container);
    return state_remove(state, err);
}

/* A folder without a state that can be read: its creator was killed at once. */
static int delete_broken(const struct oci_global *global, const char *id, bool force,
                         struct error **err) {
    struct state *state = NULL;
    if (!force || (*err != NULL && (*err)->number == EBUSY))
        return -1;
    error_free(*err);
    *err = NULL;
    if (state_open_broken(global, id, &state, err) < 0) {
        /* As runc and crun have it: what should not be is not. */
        if (*err == NULL || (*err)->number != ENOENT)
            return -1;
        error_free(*err);
        *err = NULL;
        return 0;
    }
    int result = state_remove(state, err);
    state_close(state);
    return result;
}

int oci_delete(const struct oci_global *global, char **arguments, struct error **err) {
    bool force = false, help = false;
    struct operands operands;
    struct state *state = NULL;
    const struct argument table[] = {
        {"force", 'f', ARGUMENT_FLAG, &force, NULL, "kill it first; no error where there is none"},
        {"help", 'h', ARGUMENT_FLAG, &help, NULL, "show this"},
        {NULL, 0, ARGUMENT_FLAG, NULL, NULL, NULL},
    };
    if (arguments_read(arguments, table, -1, &operands, err) < 0)
        return -1;
    if (help) {
        printf("usage: mydock-runtime delete [options] CONTAINER-ID\n");
        arguments_print_help(table);
        return 0;
    }
    if (operands.count != 1)
        return oci_usage("delete [options] CONTAINER-ID", err);
    if (state_check_id(operands.items[0], err) < 0)
        return -1;
    if (state_open(global, operands.items[0], true, &state, err) < 0)
        return delete_broken(global, operands.items[0], force, err);
    int result = delete_container(state, force, err);
    state_close(state);
    return result;
}
