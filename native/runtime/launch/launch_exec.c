/*
 * A further process in a running container. See launch.h.
 *
 *   supervisor  forks the first child into the container's v2 group
 *   first       joins the v1 groups and the init's namespaces; is not in the pid namespace itself,
 * so that nothing in the container can see it while it still holds the host's descriptors second
 * forked by the first with CLONE_PARENT, so that it is the supervisor's child to reap; born inside
 * all namespaces, with standard descriptors and the channel and nothing else. Where
 * the container has CAP_SYS_PTRACE all of the second's privileges are given up before it is born.
 *
 * The first sends SYNC_PID and leaves; the second sends SYNC_READY and executes. The two may arrive
 * in either order, and so may SYNC_LISTENER of whoever loaded the filter; end-of-file comes when
 * the first has left and the second has executed, or died.
 */
#define _GNU_SOURCE
#include "launch_exec.h"
#include "../../common/cleanup.h"
#include "../../common/fault_mark.h"
#include "capabilities.h"
#include "child.h"
#include "exec.h"
#include "filter_listener.h"
#include "host_proc.h"
#include "identity.h"
#include "launch.h"
#include "sync.h"
#include "syscalls.h"
#include "user_namespace.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

bool exec_waits(const struct exec_request *request) {
    return scheduling_is_given(&request->scheduling);
}

static void exec_await_go(const struct exec_request *request) {
    struct sync_message message;
    if (exec_waits(request) &&
        (sync_receive(request->sync_fd, &message, NULL, NULL) < 0 || message.type != SYNC_GO))
        _exit(125);
}

/* A container with CAP_SYS_PTRACE can take over each process that it sees, undumpable or not
 * (ptrace(2)): its second child is born with the program's identity, capabilities and filter. (With
 * CAP_SYS_ADMIN there would be nothing to win.) In other containers the second confines itself:
 * that asks nothing of the filter but execve. */
bool exec_is_exposed(const struct launch_container *container) {
    /* Of a process that is not dumpable the kernel asks where its program came from: only the
     * host's root may trace it, whatever the user namespace's may do. */
    if (config_namespace(container->config, CLONE_NEWUSER) != NULL)
        return false;
    const struct config_capabilities *sets = &container->config->process.capabilities;
    return sets->given && (sets->bounding >> CAP_SYS_PTRACE & 1) != 0 &&
           (sets->bounding >> CAP_SYS_ADMIN & 1) == 0;
}

static int exec_close_others(const struct exec_request *request, int also, struct error **err) {
    const int keep[] = {request->sync_fd, also};
    unsigned preserve = request->container->preserve;
    if (child_hand_down(preserve, err) < 0)
        return -1;
    return child_close_others(3 + preserve, keep, sizeof(keep) / sizeof(keep[0]), err);
}

static int exec_open_console(const struct exec_request *request, struct console *console,
                             struct error **err) {
    cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_set(err, errno, "open", "/");
    return console_open(request->process, root, console, err);
}

static int exec_second_set_up(const struct exec_request *request, struct console *console,
                              struct error **err) {
    struct launch_stdio inherited = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    const struct config_process *process = request->process;
    if (child_begin(err) < 0)
        return -1;
    if (request->proc_fd >= 0) {
        if (host_proc_labels(process, request->proc_fd, err) < 0)
            return -1;
        close(request->proc_fd);
    }
    if (process->terminal && exec_open_console(request, console, err) < 0)
        return -1;
    if ((process->terminal && child_install_stdio(&inherited, console, err) < 0) ||
        exec_close_others(request, console->master, err) < 0)
        return -1;
    return child_become(process, err);
}

static void __attribute__((noreturn)) exec_second(const struct exec_request *request) {
    struct error *err = NULL;
    struct console console = {-1, -1};
    if (exec_second_set_up(request, &console, &err) < 0 ||
        (request->container->outlives && child_outlive(&err) < 0))
        sync_fail(request->sync_fd, err);
    fault_mark("exec/set-up");
    /* EPIPE: the supervisor is gone; nobody would own this process. */
    if (sync_send(request->sync_fd, SYNC_READY, 0, console.master) < 0)
        _exit(125);
    if (console.master >= 0)
        close(console.master);
    exec_await_go(request);
    exec_program(request->process, &request->container->filter, request->sync_fd, &err);
    sync_fail(request->sync_fd, err);
}

/* In the first child: everything that takes privileges. Its session is not the second's yet, so the
 * terminal becomes the controlling one only there. */
static int exec_confine_first(const struct exec_request *request, struct console *console,
                              struct error **err) {
    const struct config_process *process = request->process;
    if (request->proc_fd >= 0 && host_proc_labels(process, request->proc_fd, err) < 0)
        return -1;
    if (process->terminal) {
        if (exec_open_console(request, console, err) < 0)
            return -1;
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
            if (dup2(console->slave, fd) < 0)
                return error_set(err, errno, "install", "the terminal");
        }
    }
    if (exec_close_others(request, console->master, err) < 0 || child_become(process, err) < 0)
        return -1;
    return exec_confine(process, &request->container->filter, request->sync_fd, err);
}

static void __attribute__((noreturn))
exec_second_confined(const struct exec_request *request, struct console *console) {
    struct error *err = NULL;
    console->slave = STDIN_FILENO;
    if (child_begin(&err) < 0 ||
        (request->process->terminal && console_control(console, &err) < 0) ||
        (request->container->outlives && child_outlive(&err) < 0))
        sync_fail(request->sync_fd, err);
    if (sync_send(request->sync_fd, SYNC_READY, 0, console->master) < 0)
        _exit(125);
    if (console->master >= 0)
        close(console->master);
    exec_await_go(request);
    exec_confined(request->process, &err);
    sync_fail(request->sync_fd, err);
}

static int exec_join_namespaces(const struct launch_container *container, struct error **err) {
    int flags = 0;
    for (size_t index = 0; index < container->config->namespace_count; index++)
        flags |= container->config->namespaces[index].flag;
    if (setns(container->init_pidfd, flags) < 0)
        return errno == ESRCH ? error_setf(err, ESRCH, "setns", "", "the container is not running")
                              : error_set(err, errno, "setns", "the container's namespaces");
    return 0;
}

/* With a user namespace: the first gives up the host's root, for the namespace's. */
static int exec_enter(const struct exec_request *request, int proc_fd, struct error **err) {
    const struct launch_container *container = request->container;
    bool mapped = config_namespace(container->config, CLONE_NEWUSER) != NULL;
    if (mapped) {
        identity_raise_limits(request->process);
        if (user_namespace_leave_groups(err) < 0)
            return -1;
    }
    if (exec_join_namespaces(container, err) < 0 ||
        (mapped && user_namespace_settle(proc_fd, err) < 0))
        return -1;
    return container->keep_keyring ? 0 : child_leave_keyring(err);
}

/* execCPUAffinity.initial holds in front of the container's groups, where a clone into the v2 group
 * would have the child already. */
static int exec_run_initially(const struct exec_request *request, struct error **err) {
    const struct scheduling_cpus *initial = &request->scheduling.initial;
    int group = cgroup_clone_fd(request->container->cgroup);
    if (scheduling_run_on(initial, "process.execCPUAffinity.initial", err) < 0)
        return -1;
    if (initial->bytes == 0 || group < 0)
        return 0;
    cleanup_close int members = openat(group, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (members < 0 || write(members, "0", 1) < 0)
        return error_set(err, errno, "join", "the container's v2 group");
    return 0;
}

static int exec_first_set_up(struct exec_request *request, struct error **err) {
    const struct config_process *process = request->process;
    struct launch_stdio held;
    struct console none = {-1, -1};
    cleanup_close int proc = host_proc_open(err);
    if (proc < 0 || child_begin(err) < 0 || exec_run_initially(request, err) < 0 ||
        cgroup_join_v1(request->container->cgroup, err) < 0 ||
        host_proc_oom_score(process, proc, err) < 0 ||
        child_hold_stdio(request->stdio, &held, err) < 0 || exec_enter(request, proc, err) < 0 ||
        identity_limits(process, err) < 0 ||
        identity_personality(request->container->config, err) < 0)
        return -1;
    /* From here on stderr is the process's own: what the supervisor should log was said above. */
    if (!process->terminal && child_install_stdio(&held, &none, err) < 0)
        return -1;
    bool labels = process->apparmor != NULL || process->selinux != NULL;
    request->proc_fd = labels ? steal_fd(&proc) : -1;
    return exec_close_others(request, request->proc_fd, err);
}

static void __attribute__((noreturn)) exec_first(struct exec_request *request) {
    struct error *err = NULL;
    fault_mark("exec/forked");
    if (exec_first_set_up(request, &err) < 0)
        sync_fail(request->sync_fd, err);
    fault_mark("exec/entered");
    /* exit_signal stays 0: with CLONE_PARENT the second inherits SIGCHLD from the first (clone(2)).
     */
    pid_t pid;
    if (exec_is_exposed(request->container)) {
        struct console console = {-1, -1};
        if (exec_confine_first(request, &console, &err) < 0)
            sync_fail(request->sync_fd, err);
        pid = sys_fork_sibling();
        if (pid == 0)
            exec_second_confined(request, &console);
    } else {
        pid = sys_fork_sibling();
        if (pid == 0)
            exec_second(request);
    }
    if (pid < 0) {
        error_set(&err, errno, "clone", "in the container's pid namespace");
        sync_fail(request->sync_fd, err);
    }
    fault_mark("exec/born");
    sync_send(request->sync_fd, SYNC_PID, pid, -1);
    _exit(0);
}

static int exec_fork(struct exec_request *request, struct launch_process *out, struct error **err) {
    int ends[2];
    if (sync_open(ends, err) < 0)
        return -1;
    cleanup_close int sync_fd = ends[0];
    int cgroup_fd = cgroup_clone_fd(request->container->cgroup);
    struct clone3_arguments arguments = {.exit_signal = SIGCHLD};
    if (cgroup_fd >= 0 && request->scheduling.initial.bytes == 0) {
        arguments.flags |= SYSCALLS_CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup_fd;
    }
    pid_t first = sys_clone3(&arguments);
    if (first == 0) {
        close(ends[0]);
        request->sync_fd = ends[1];
        exec_first(request);
    }
    int number = errno;
    close(ends[1]);
    if (first < 0)
        return error_set(err, number, "clone3", "exec");
    return exec_follow(request, sync_fd, first, out, err);
}

static int exec_own_stdio(const struct exec_request *request, struct arena *arena,
                          struct error **err) {
    const struct launch_container *container = request->container;
    struct id_maps maps;
    if (request->process->terminal || config_namespace(container->config, CLONE_NEWUSER) == NULL)
        return 0;
    if (id_maps_of(container->init_pid, arena, &maps, err) < 0)
        return -1;
    /* Was it the init's? */
    if (sys_pidfd_send_signal(container->init_pidfd, 0) < 0)
        return error_setf(err, ESRCH, "exec", "", "the container is not running");
    user_namespace_own_stdio(request->stdio, request->process, &maps);
    return 0;
}

int launch_exec(struct launch_container *container, const json_t *process_json,
                const struct launch_stdio *stdio, struct launch_process *out, struct error **err) {
    struct arena arena = {NULL};
    struct config_process process;
    memset(&process, 0, sizeof(process));
    *out = (struct launch_process){.pid = -1, .console_fd = -1, .sync_fd = -1};
    int result = config_read_process(process_json, "process", &arena, &process, err);
    if (result == 0) {
        if (config_namespace(container->config, CLONE_NEWUSER) == NULL)
            capabilities_limit(&process.capabilities);
        struct exec_request request = {container, &process, stdio, -1, -1, process.scheduling};
        const struct scheduling *usual = &container->config->process.scheduling;
        if (request.scheduling.initial.bytes == 0 && request.scheduling.final.bytes == 0) {
            request.scheduling.initial = usual->initial;
            request.scheduling.final = usual->final;
        }
        result = exec_own_stdio(&request, &arena, err);
        if (result == 0)
            result = exec_fork(&request, out, err);
    }
    arena_free(&arena);
    if (result < 0 && out->console_fd >= 0)
        close(steal_fd(&out->console_fd));
    if (result < 0)
        out->pid = -1;
    return result;
}
