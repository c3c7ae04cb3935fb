/* The life of a container that another runtime makes: see foreign.h. */
#define _GNU_SOURCE
#include "foreign.h"
#include "../../common/cleanup.h"
#include "../../common/warn.h"
#include "call.h"
#include "guard.h"
#include "message.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DELETE_LIMIT_MS = 30 * 1000, PATH_BYTES = 4096 };

static struct foreign *foreign_of(struct runtime *runtime) {
    return (struct foreign *)runtime;
}

/* --- files of calls
 * -----------------------------------------------------------------------------------------------
 */

void foreign_remove_files(const struct foreign_files *files) {
    unlink(files->log);
    unlink(files->pid);
    unlink(files->process);
}

void foreign_name_files(struct foreign *foreign, struct foreign_files *files) {
    unsigned number = foreign->calls++;
    snprintf(files->log, PATH_BYTES, "%.4000s/call-%u.log", foreign->bundle, number);
    snprintf(files->pid, PATH_BYTES, "%.4000s/call-%u.pid", foreign->bundle, number);
    snprintf(files->process, PATH_BYTES, "%.4000s/call-%u.json", foreign->bundle, number);
    snprintf(files->console, sizeof(files->console), "call-%u.sock", number);
    foreign_remove_files(files);
}

bool foreign_is_child(pid_t pid) {
    siginfo_t info;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

pid_t foreign_read_pid(const struct foreign *foreign, const char *step, const char *path,
                       struct error **err) {
    char text[32] = "";
    char *end = text;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    long pid = fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 ? strtol(text, &end, 10) : 0;
    if (pid <= 1 || pid > 0x7fffffff || (*end != '\0' && *end != '\n'))
        return error_setf(err, 0, step, path, "%s names no process in %s", foreign_program(foreign),
                          path);
    return (pid_t)pid;
}

/* --- create
 * -------------------------------------------------------------------------------------------------
 */

static bool has_own_pids(const json_t *namespaces) {
    size_t i;
    const json_t *one;
    json_array_foreach(namespaces, i, one) {
        const char *type = json_string_value(json_object_get(one, "type"));
        if (type != NULL && strcmp(type, "pid") == 0)
            return json_object_get(one, "path") == NULL;
    }
    return false;
}

static int read_bundle(struct foreign *foreign, struct error **err) {
    char path[PATH_BYTES];
    json_error_t problem;
    snprintf(path, sizeof(path), "%.4000s/config.json", foreign->bundle);
    /* Numbers are not looked at, and unlimited ones do not fit into jansson's integers. */
    json_t *root = json_load_file(path, JSON_DECODE_INT_AS_REAL, &problem);
    if (root == NULL)
        return error_setf(err, 0, "read", path, "read %s: %s", path, problem.text);
    const json_t *linux_part = json_object_get(root, "linux");
    const char *cgroups = json_string_value(json_object_get(linux_part, "cgroupsPath"));
    foreign->terminal = json_is_true(json_object_get(json_object_get(root, "process"), "terminal"));
    foreign->owns_pids = has_own_pids(json_object_get(linux_part, "namespaces"));
    foreign->cgroups_path = cgroups == NULL ? NULL : strdup(cgroups);
    json_decref(root);
    return foreign->cgroups_path != NULL
               ? 0
               : error_setf(err, 0, "read", path, "%s names no linux.cgroupsPath", path);
}

static struct cgroup_request cgroup_of(const struct foreign *foreign) {
    return (struct cgroup_request){.path = foreign->cgroups_path,
                                   .id = foreign->config->id,
                                   .systemd = foreign->config->systemd_cgroup};
}

/* Runs the program to its end. step: "runtime create" and the like. */
static int run(struct foreign *foreign, const struct foreign_files *files, const char *step,
               const char *const *words, const struct launch_stdio *stdio, int stderr_fd,
               int limit_ms, struct error **err) {
    const char *program = foreign_program(foreign);
    const char *verb = strchr(step, ' ') + 1;
    int status;
    cleanup_free char **arguments = foreign_arguments(foreign, files->log, verb, words);
    if (arguments == NULL)
        return error_set(err, ENOMEM, step, "");
    pid_t pid = call_start(arguments, stdio, err);
    if (pid < 0 || call_wait(pid, limit_ms, &status, err) != 0) {
        if (err != NULL && *err != NULL) {
            char text[sizeof((*err)->message)];
            int number = (*err)->number;
            snprintf(text, sizeof(text), "%s", (*err)->message);
            error_setf(err, number, step, foreign->config->runtime_path, "%s: %s", program, text);
        }
        return -1;
    }
    return status == 0 ? 0 : message_set(files->log, stderr_fd, status, step, program, err);
}

static int run_create(struct foreign *foreign, const struct foreign_files *files,
                      const struct launch_stdio *stdio, const struct console_socket *console,
                      struct error **err) {
    const char *words[] = {"--bundle", foreign->bundle, "--pid-file", files->pid, NULL, NULL, NULL,
                           NULL};
    size_t count = 4;
    if (foreign->terminal) {
        words[count++] = "--console-socket";
        words[count++] = console->path;
    }
    words[count] = foreign->config->id;
    foreign->made = true;
    return run(foreign, files, "runtime create", words, foreign->terminal ? NULL : stdio,
               stdio->stderr_fd, FOREIGN_LIMIT_MS, err);
}

/* What the runtime has made: the init must be a child of ours, in a group of its own. */
static int take_over(struct foreign *foreign, const struct foreign_files *files,
                     const struct console_socket *console, struct launch_process *init,
                     struct error **err) {
    struct cgroup_request request = cgroup_of(foreign);
    const char *program = foreign_program(foreign);
    pid_t pid = foreign_read_pid(foreign, "runtime create", files->pid, err);
    if (pid < 0)
        return -1;
    if (!foreign_is_child(pid))
        return error_setf(err, ECHILD, "runtime create", program,
                          "the init that %s has made is not a child of the supervisor", program);
    foreign->init = pid;
    if (cgroup_open(&request, &foreign->cgroup, err) != 0) {
        foreign->cgroup = NULL;
        return -1;
    }
    foreign->guard = guard_start(&request, err);
    if (foreign->guard < 0)
        return -1;
    *init = (struct launch_process){.pid = pid, .console_fd = -1, .sync_fd = -1};
    if (foreign->terminal)
        init->console_fd = console_socket_take(console, err);
    return foreign->terminal && init->console_fd < 0 ? -1 : 0;
}

static int foreign_create(struct runtime *runtime, const struct launch_stdio *stdio,
                          struct launch_process *init, struct error **err) {
    struct foreign *foreign = foreign_of(runtime);
    struct console_socket console = CONSOLE_SOCKET_NONE;
    struct foreign_files files;
    foreign_name_files(foreign, &files);
    int result = read_bundle(foreign, err);
    if (result == 0 && mkdir(foreign->config->runtime_root, 0700) != 0 && errno != EEXIST)
        result = error_set(err, errno, "make", foreign->config->runtime_root);
    if (result == 0 && foreign->terminal)
        result = console_socket_open(foreign->bundle, files.console, &console, err);
    if (result == 0)
        result = run_create(foreign, &files, stdio, &console, err);
    if (result == 0)
        result = take_over(foreign, &files, &console, init, err);
    console_socket_close(&console);
    foreign_remove_files(&files);
    return result;
}

static int foreign_start(struct runtime *runtime, struct launch_process *init, struct error **err) {
    struct foreign *foreign = foreign_of(runtime);
    const char *words[] = {foreign->config->id, NULL};
    struct foreign_files files;
    (void)init;
    foreign_name_files(foreign, &files);
    int result = run(foreign, &files, "runtime start", words, NULL, -1, FOREIGN_LIMIT_MS, err);
    foreign_remove_files(&files);
    return result;
}

/* --- groups
 * -------------------------------------------------------------------------------------------------
 */

static int foreign_kill_all(struct runtime *runtime, int signal, struct error **err) {
    const struct foreign *foreign = foreign_of(runtime);
    return foreign->cgroup == NULL ? 0 : cgroup_kill(foreign->cgroup, signal, err);
}

static bool foreign_owns_pids(const struct runtime *runtime) {
    return ((const struct foreign *)runtime)->owns_pids;
}

static bool foreign_oom_killed(const struct runtime *runtime) {
    const struct foreign *foreign = (const struct foreign *)runtime;
    return foreign->cgroup != NULL && cgroup_oom_kills(foreign->cgroup) > 0;
}

static const struct cgroup *foreign_cgroup(const struct runtime *runtime) {
    return ((const struct foreign *)runtime)->cgroup;
}

/* --- ends
 * ---------------------------------------------------------------------------------------------------
 */

static void remember_end(struct foreign *foreign, pid_t pid, int wait_status) {
    if (foreign->execs == NULL)
        return;
    if (foreign->ended_count == FOREIGN_ENDED_MAX)
        memmove(foreign->ended, foreign->ended + 1,
                --foreign->ended_count * sizeof(foreign->ended[0]));
    foreign->ended[foreign->ended_count++] =
        (struct foreign_ended){.pid = pid, .wait_status = wait_status};
}

static bool foreign_reaped(struct runtime *runtime, pid_t pid, int wait_status) {
    struct foreign *foreign = foreign_of(runtime);
    if (foreign_exec_reaped(foreign, pid, wait_status) ||
        foreign_signal_reaped(foreign, pid, wait_status))
        return true;
    if (pid == foreign->guard) {
        struct cgroup_request request = cgroup_of(foreign);
        warn("the guard of the container ended; another takes its place");
        foreign->guard = guard_start(&request, NULL);
        return true;
    }
    remember_end(foreign, pid, wait_status);
    return false;
}

/* A create that failed has mostly cleaned up after itself. */
static bool has_state(const struct foreign *foreign) {
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%.3900s/%.128s", foreign->config->runtime_root,
             foreign->config->id);
    return foreign->made && access(path, F_OK) == 0;
}

/* Of a create that failed the groups may be there without having been opened. */
static void remove_groups(struct foreign *foreign) {
    struct cgroup_request request = cgroup_of(foreign);
    if (foreign->cgroup == NULL && foreign->cgroups_path != NULL &&
        cgroup_open(&request, &foreign->cgroup, NULL) != 0)
        foreign->cgroup = NULL;
    cgroup_destroy(foreign->cgroup);
}

static void foreign_destroy(struct runtime *runtime) {
    struct foreign *foreign = foreign_of(runtime);
    const char *words[] = {"--force", foreign->config->id, NULL};
    struct foreign_files files;
    struct error *err = NULL;
    foreign_exec_abandon(foreign);
    foreign_signal_abandon(foreign);
    if (foreign->cgroup != NULL)
        cgroup_kill(foreign->cgroup, SIGKILL, NULL);
    foreign_name_files(foreign, &files);
    if (has_state(foreign) &&
        run(foreign, &files, "runtime delete", words, NULL, -1, DELETE_LIMIT_MS, &err) != 0)
        warn("%s", err == NULL ? "out of memory" : err->message);
    error_free(err);
    foreign_remove_files(&files);
    remove_groups(foreign);
    guard_stop(foreign->guard);
    free(foreign->cgroups_path);
    free(foreign);
}

static const struct runtime_operations operations = {
    .create = foreign_create,
    .start = foreign_start,
    .exec = foreign_exec,
    .signal = foreign_signal,
    .kill_all = foreign_kill_all,
    .owns_pids = foreign_owns_pids,
    .oom_killed = foreign_oom_killed,
    .cgroup = foreign_cgroup,
    .reaped = foreign_reaped,
    .destroy = foreign_destroy,
};

int foreign_open(const struct supervisor_config *config, const char *bundle, struct loop *loop,
                 struct runtime **out, struct error **err) {
    struct foreign *foreign = calloc(1, sizeof(*foreign));
    if (foreign == NULL)
        return error_set(err, ENOMEM, "runtime create", config->runtime_path);
    foreign->runtime.operations = &operations;
    foreign->config = config;
    foreign->bundle = bundle;
    foreign->loop = loop;
    *out = &foreign->runtime;
    return 0;
}
