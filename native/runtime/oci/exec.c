/* The verb exec. exec_process.c makes the process object. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "../launch/cgroup.h"
#include "../launch/config.h"
#include "channels.h"
#include "exec_process.h"
#include "foreground.h"
#include "oci.h"
#include "state.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

struct exec_call {
    struct exec_request request;
    struct channels channels;
    struct argument_list groups;
    bool detach, ignore_paused, no_subreaper, help;
};

static int exec_read_arguments(char **arguments, struct exec_call *call, struct error **err) {
    struct exec_request *request = &call->request;
    const struct argument table[] = {
        {"process", 'p', ARGUMENT_TEXT, &request->process_file, "FILE",
         "JSON of the process; the options below change nothing of it but --tty"},
        {"cwd", 0, ARGUMENT_TEXT, &request->cwd, "DIR", "working directory"},
        {"env", 'e', ARGUMENT_LIST, &request->env, "NAME=VALUE", "more environment"},
        {"tty", 't', ARGUMENT_FLAG, &request->terminal, NULL, "with a terminal"},
        {"user", 'u', ARGUMENT_TEXT, &request->user, "UID[:GID]", "another user"},
        {"additional-gids", 'g', ARGUMENT_LIST, &request->groups, "GID", "more groups"},
        {"cap", 'c', ARGUMENT_LIST, &request->capabilities, "CAP", "more capabilities"},
        {"no-new-privs", 0, ARGUMENT_FLAG, &request->no_new_privileges, NULL,
         "no privileges by executing files"},
        {"process-label", 0, ARGUMENT_TEXT, &request->selinux, "LABEL", "SELinux label"},
        {"apparmor", 0, ARGUMENT_TEXT, &request->apparmor, "NAME", "AppArmor profile"},
        {"cgroup", 0, ARGUMENT_LIST, &call->groups, "[CONTROLLER:]PATH",
         "a group below the container's"},
        {"detach", 'd', ARGUMENT_FLAG, &call->detach, NULL, "do not wait for it"},
        {"console-socket", 0, ARGUMENT_TEXT, &call->channels.console_socket, "PATH",
         "Unix socket that gets the terminal's master"},
        {"pid-file", 0, ARGUMENT_TEXT, &call->channels.pid_file, "FILE", "gets its process id"},
        {"preserve-fds", 0, ARGUMENT_NUMBER, &call->channels.preserve, "N",
         "descriptors after stderr that it inherits"},
        {"ignore-paused", 0, ARGUMENT_FLAG, &call->ignore_paused, NULL,
         "also in a paused container"},
        {"no-subreaper", 0, ARGUMENT_FLAG, &call->no_subreaper, NULL, "accepted"},
        {"help", 'h', ARGUMENT_FLAG, &call->help, NULL, "show this"},
        {NULL, 0, ARGUMENT_FLAG, NULL, NULL, NULL},
    };
    if (arguments_read(arguments, table, 2, &request->operands, err) < 0)
        return -1;
    if (call->help) {
        printf("usage: mydock-runtime exec [options] CONTAINER-ID COMMAND [ARGUMENT...]\n");
        arguments_print_help(table);
        return 0;
    }
    bool command = request->operands.count > 1;
    if (request->operands.count < 1 || command == (request->process_file != NULL))
        return oci_usage("exec [options] CONTAINER-ID COMMAND [ARGUMENT...], or "
                         "exec --process FILE CONTAINER-ID",
                         err);
    return 0;
}

static int exec_enter_group(struct cgroup_hierarchy *hierarchy, const char *path,
                            struct error **err) {
    while (path[0] == '/')
        path++;
    int fd = path[0] == '\0' ? fcntl(hierarchy->directory_fd, F_DUPFD_CLOEXEC, 3)
                             : openat(hierarchy->directory_fd, path,
                                      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_setf(err, errno, "open the cgroup", path, "cgroup %s/%s: %s",
                          hierarchy->directory, path, strerror(errno));
    close(hierarchy->directory_fd);
    hierarchy->directory_fd = fd;
    return 0;
}

/* "[controller[,controller]:]path", as runc has it: a v2 group, or those of v1's hierarchies that
 * are named (without names: all). */
static int exec_choose_group(struct cgroup *cgroup, const char *text, struct error **err) {
    const char *colon = strchr(text, ':'), *path = colon == NULL ? text : colon + 1;
    if (strstr(path, "..") != NULL)
        return error_setf(err, EINVAL, "open the cgroup", path,
                          "--cgroup %s: must lie below the container's", text);
    for (size_t index = 0; index < cgroup->count && colon == NULL; index++) {
        if (exec_enter_group(&cgroup->hierarchies[index], path, err) < 0)
            return -1;
    }
    cleanup_free char *names = colon == NULL ? NULL : strndup(text, (size_t)(colon - text));
    char *position = NULL;
    for (char *name = names == NULL ? NULL : strtok_r(names, ",", &position); name != NULL;
         name = strtok_r(NULL, ",", &position)) {
        struct cgroup_hierarchy *hierarchy = cgroup_find_v1(cgroup, name);
        if (hierarchy == NULL)
            return error_setf(err, ENOENT, "open the cgroup", name,
                              "--cgroup %s: the container has no %s hierarchy", text, name);
        if (exec_enter_group(hierarchy, path, err) < 0)
            return -1;
    }
    return 0;
}

static int exec_prepare(const struct exec_call *call, const struct state *state,
                        struct launch_container *container, json_t **process, struct error **err) {
    enum state_status status = state_status(state, container);
    if (status == STATE_STOPPED || status == STATE_CREATING)
        return error_setf(err, ESRCH, "exec", state->id, "cannot exec in a stopped container");
    if (status == STATE_PAUSED && !call->ignore_paused)
        return error_setf(err, EBUSY, "exec", state->id, "cannot exec in a paused container");
    if (launch_cgroup(container) == NULL)
        return error_setf(err, ENOENT, "exec", state->id,
                          "the container's control groups are gone");
    for (size_t index = 0; index < call->groups.count; index++) {
        if (exec_choose_group(launch_cgroup(container), call->groups.items[index], err) < 0)
            return -1;
    }
    return exec_process_make(&call->request, launch_config(container)->json, process, err);
}

static int exec_launch(struct exec_call *call, struct launch_container *container,
                       const json_t *process, struct launch_process *made, struct error **err) {
    const struct launch_stdio stdio = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    if (launch_exec(container, process, &stdio, made, err) < 0)
        return -1;
    if (channels_deliver(&call->channels, made, !call->detach, err) == 0 &&
        channels_write_pid(&call->channels, made->pid, err) == 0)
        return 0;
    int status;
    kill(made->pid, SIGKILL);
    while (waitpid(made->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return -1;
}

static int exec_open(const struct oci_global *global, struct exec_call *call,
                     const struct launch_options *options, struct launch_container **container,
                     json_t **process, struct error **err) {
    struct state *state = NULL;
    if (state_open(global, call->request.operands.items[0], false, &state, err) < 0)
        return -1;
    struct launch_options full = *options;
    full.seccomp_cache = state->seccomp_cache;
    int result = state_launch(state, options, container, err);
    if (result == 0)
        result = exec_prepare(call, state, *container, process, err);
    if (result == 0)
        result = launch_open_exec(*container, &full, err);
    state_close(state);
    return result;
}

int oci_exec(const struct oci_global *global, char **arguments, struct error **err) {
    struct exec_call *call = calloc(1, sizeof(*call));
    struct launch_options options = {.outlives = true};
    struct launch_container *container = NULL;
    struct launch_process made = {.pid = -1, .console_fd = -1, .sync_fd = -1};
    struct foreground foreground;
    json_t *process = NULL;
    if (call == NULL)
        return error_set(err, ENOMEM, "exec", "");
    int result = exec_read_arguments(arguments, call, err);
    if (result == 0 && !call->help) {
        if (channels_prepare(&call->channels, &options, err) < 0 ||
            channels_connect(&call->channels, err) < 0 ||
            exec_open(global, call, &options, &container, &process, err) < 0 ||
            (!call->detach && foreground_begin(&foreground, err) < 0) ||
            exec_launch(call, container, process, &made, err) < 0)
            result = -1;
        else if (!call->detach)
            result = foreground_wait(&foreground, made.pid, made.console_fd, err);
    }
    launch_leave(container);
    json_decref(process);
    free(call);
    return result;
}
