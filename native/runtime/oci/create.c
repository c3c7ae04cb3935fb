/* The verbs create and run. See oci.h; runtime.md, "Lifecycle". */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "../launch/sync.h"
#include "arguments.h"
#include "channels.h"
#include "foreground.h"
#include "oci.h"
#include "state.h"
#include "state_folder.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct create_request {
    const char *id, *bundle;
    struct channels channels;
    bool no_pivot, no_new_keyring, detach, keep, no_subreaper, help;
};

/* What is being created. */
struct creation {
    struct state *state;
    struct launch_container *container;
    struct launch_process init;
};

static int create_read_arguments(char **arguments, bool run, struct create_request *request,
                                 struct error **err) {
    struct operands operands;
    const struct argument table[] = {
        {"bundle", 'b', ARGUMENT_TEXT, &request->bundle, "DIR", "where config.json lies (.)"},
        {"console-socket", 0, ARGUMENT_TEXT, &request->channels.console_socket, "PATH",
         "Unix socket that gets the terminal's master"},
        {"pid-file", 0, ARGUMENT_TEXT, &request->channels.pid_file, "FILE",
         "gets the process id of the container's init"},
        {"preserve-fds", 0, ARGUMENT_NUMBER, &request->channels.preserve, "N",
         "descriptors after stderr that the container inherits"},
        {"no-new-keyring", 0, ARGUMENT_FLAG, &request->no_new_keyring, NULL,
         "keep the caller's session keyring"},
        {"no-pivot", 0, ARGUMENT_FLAG, &request->no_pivot, NULL,
         "refused: the root is always changed by pivot_root"},
        {"help", 'h', ARGUMENT_FLAG, &request->help, NULL, "show this"},
        {run ? "detach" : NULL, 'd', ARGUMENT_FLAG, &request->detach, NULL,
         "do not wait for the container"},
        {"keep", 0, ARGUMENT_FLAG, &request->keep, NULL, "do not delete the container at its end"},
        {"no-subreaper", 0, ARGUMENT_FLAG, &request->no_subreaper, NULL,
         "leave orphans of the container to others"},
        {NULL, 0, ARGUMENT_FLAG, NULL, NULL, NULL},
    };
    if (arguments_read(arguments, table, -1, &operands, err) < 0)
        return -1;
    if (request->help) {
        printf("usage: mydock-runtime %s [options] CONTAINER-ID\n", run ? "run" : "create");
        arguments_print_help(table);
        return 0;
    }
    if (operands.count != 1)
        return oci_usage(run ? "run [options] CONTAINER-ID" : "create [options] CONTAINER-ID", err);
    if (request->no_pivot)
        return error_setf(err, ENOTSUP, "use", "--no-pivot",
                          "--no-pivot is not supported: a root that is not pivoted can be left");
    request->id = operands.items[0];
    if (request->bundle == NULL)
        request->bundle = ".";
    return 0;
}

/* Everything up to the init that waits. wait_socket: it waits at the folder's socket. */
static int create_launch(const struct oci_global *global, struct create_request *request,
                         bool wait_socket, struct launch_options *options, struct creation *made,
                         struct error **err) {
    const struct launch_stdio stdio = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    struct state *state = made->state;
    cleanup_close int start_socket = -1;
    if (wait_socket) {
        start_socket = sync_listen(state->folder_fd, STATE_START_SOCKET, err);
        if (start_socket < 0)
            return -1;
        options->start_socket = start_socket;
    }
    options->bundle = state->bundle;
    options->config_folder = state->folder;
    options->id = state->id;
    options->seccomp_cache = state->seccomp_cache;
    options->systemd_cgroup = global->systemd_cgroup;
    options->outlives = true;
    options->keep_keyring = request->no_new_keyring;
    return launch_create(options, &stdio, &made->container, &made->init, err);
}

/* Undoes a creation, whole or part of it. */
static void create_undo(struct creation *made) {
    if (made->container != NULL) {
        int status;
        launch_signal(made->container, SIGKILL, NULL);
        launch_destroy(made->container);
        while (waitpid(made->init.pid, &status, 0) < 0 && errno == EINTR)
            continue;
        if (made->init.console_fd >= 0)
            close(made->init.console_fd);
    }
    if (made->state != NULL)
        state_remove(made->state, NULL);
    state_close(made->state);
}

static int create_container(const struct oci_global *global, struct create_request *request,
                            bool run, struct creation *made, struct error **err) {
    struct launch_options options = {0};
    bool foreground = run && !request->detach;
    *made = (struct creation){.init = {.console_fd = -1, .sync_fd = -1}};
    if (channels_prepare(&request->channels, &options, err) < 0 ||
        channels_connect(&request->channels, err) < 0 ||
        state_create(global, request->id, request->bundle, &made->state, err) < 0)
        return -1;
    if (create_launch(global, request, !run, &options, made, err) == 0 &&
        state_set_init(made->state, made->container, made->init.pid, err) == 0 &&
        channels_deliver(&request->channels, &made->init, foreground, err) == 0 &&
        state_save(made->state, err) == 0 &&
        channels_write_pid(&request->channels, made->init.pid, err) == 0)
        return 0;
    create_undo(made);
    return -1;
}

int oci_create(const struct oci_global *global, char **arguments, struct error **err) {
    struct create_request request = {0};
    struct creation made;
    if (create_read_arguments(arguments, false, &request, err) < 0)
        return -1;
    if (request.help)
        return 0;
    if (create_container(global, &request, false, &made, err) < 0)
        return -1;
    launch_leave(made.container);
    state_close(made.state);
    return 0;
}

/* The container has ended: nothing of it stays, unless somebody deleted it already. */
static void create_end(struct creation *made, bool keep) {
    if (keep || state_folder_lock(made->state, NULL) < 0) {
        launch_leave(made->container);
    } else {
        launch_destroy(made->container);
        state_remove(made->state, NULL);
    }
    state_close(made->state);
}

int oci_run_container(const struct oci_global *global, char **arguments, struct error **err) {
    struct create_request request = {0};
    struct foreground foreground;
    struct creation made;
    if (create_read_arguments(arguments, true, &request, err) < 0)
        return -1;
    if (request.help)
        return 0;
    if (!request.detach && !request.no_subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return error_set(err, errno, "become", "a subreaper");
    if (!request.detach && foreground_begin(&foreground, err) < 0)
        return -1;
    if (create_container(global, &request, true, &made, err) < 0)
        return -1;
    if (launch_start(made.container, &made.init, err) < 0) {
        create_undo(&made);
        return -1;
    }
    state_folder_unlock(made.state);
    if (request.detach) {
        launch_leave(made.container);
        state_close(made.state);
        return 0;
    }
    int status = foreground_wait(&foreground, made.init.pid, made.init.console_fd, err);
    create_end(&made, request.keep);
    return status;
}
