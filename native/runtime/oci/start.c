/* The verbs start, pause and resume. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "../launch/cgroup.h"
#include "../launch/sync.h"
#include "arguments.h"
#include "oci.h"
#include "state.h"
#include <errno.h>
#include <stdio.h>

/* The only operand of a verb without options. 1: help was asked for. */
static int start_read_id(const char *usage, char **arguments, const char **id, struct error **err) {
    bool help = false;
    struct operands operands;
    const struct argument table[] = {
        {"help", 'h', ARGUMENT_FLAG, &help, NULL, "show this"},
        {NULL, 0, ARGUMENT_FLAG, NULL, NULL, NULL},
    };
    if (arguments_read(arguments, table, -1, &operands, err) < 0)
        return -1;
    if (help) {
        printf("usage: mydock-runtime %s\n", usage);
        return 1;
    }
    if (operands.count != 1)
        return oci_usage(usage, err);
    *id = operands.items[0];
    return 0;
}

/* The socket goes first: should this process die now, the init sees its connection end, and leaves.
 */
static int start_container(const struct state *state, struct launch_container *container,
                           struct error **err) {
    struct launch_process init = {.pid = state->pid, .console_fd = -1};
    init.sync_fd = sync_connect(state->folder_fd, STATE_START_SOCKET, err);
    if (init.sync_fd < 0)
        return -1;
    if (unlinkat(state->folder_fd, STATE_START_SOCKET, 0) < 0) {
        close(init.sync_fd);
        return error_set(err, errno, "remove", STATE_START_SOCKET);
    }
    if (launch_start(container, &init, err) == 0)
        return 0;
    /* Its error came before its end: what is asked next is to find it stopped. */
    state_await_end(state, NULL);
    return -1;
}

int oci_start(const struct oci_global *global, char **arguments, struct error **err) {
    const char *id = NULL;
    struct state *state = NULL;
    struct launch_container *container = NULL;
    int result = start_read_id("start CONTAINER-ID", arguments, &id, err);
    if (result != 0)
        return result < 0 ? -1 : 0;
    if (state_open(global, id, true, &state, err) < 0)
        return -1;
    result = state_launch(state, NULL, &container, err);
    enum state_status status = result < 0 ? STATE_STOPPED : state_status(state, container);
    if (result == 0 && status != STATE_CREATED)
        result = error_setf(err, EINVAL, "start", id,
                            "cannot start a container that is not created: it is %s",
                            state_status_name(status));
    else if (result == 0)
        result = start_container(state, container, err);
    launch_leave(container);
    state_close(state);
    return result;
}

static int start_set_frozen(const struct oci_global *global, const char *id, bool frozen,
                            struct error **err) {
    struct state *state = NULL;
    struct launch_container *container = NULL;
    if (state_open(global, id, true, &state, err) < 0)
        return -1;
    int result = state_launch(state, NULL, &container, err);
    enum state_status status = result < 0 ? STATE_STOPPED : state_status(state, container);
    if (result < 0)
        result = -1;
    else if (frozen && status != STATE_RUNNING && status != STATE_CREATED)
        result = error_setf(err, EINVAL, "pause", id, "container not running or created: %s",
                            state_status_name(status));
    else if (!frozen && status != STATE_PAUSED)
        result = error_setf(err, EINVAL, "resume", id, "container not paused");
    else if (launch_cgroup(container) == NULL)
        result = error_setf(err, ENOENT, frozen ? "pause" : "resume", id,
                            "the container's control groups are gone");
    else
        result = cgroup_set_frozen(launch_cgroup(container), frozen, err);
    launch_leave(container);
    state_close(state);
    return result;
}

int oci_pause(const struct oci_global *global, char **arguments, struct error **err) {
    const char *id = NULL;
    int result = start_read_id("pause CONTAINER-ID", arguments, &id, err);
    return result == 0 ? start_set_frozen(global, id, true, err) : result < 0 ? -1 : 0;
}

int oci_resume(const struct oci_global *global, char **arguments, struct error **err) {
    const char *id = NULL;
    int result = start_read_id("resume CONTAINER-ID", arguments, &id, err);
    return result == 0 ? start_set_frozen(global, id, false, err) : result < 0 ? -1 : 0;
}
