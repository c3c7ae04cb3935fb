/*
 * The stages of the container's init. See init.h.
 *
 * join:    cgroups by itself, namespaces of paths; still the host's root, the host's user
 * open:    everything of the host that is still needed, as descriptors: bind sources, /proc
 * fill:    the root is a mount of its own, and everything is mounted in it through its descriptor:
 *          no path of the host's is named, no symlink leads out of it
 * hooks:   with hooks only: SYNC_MOUNTED to the parent, SYNC_GO from it, createContainer hooks;
 *          they are the host's programs and need its root
 * label:   the labels of the next exec; a child would inherit them, and the hooks above are not the
 *          container's
 * root:    pivot_root; from here on no path can name anything of the host
 * finish:  read-only and masked paths
 * become:  standard descriptors, limits, user, working directory; host descriptors are closed;
 *          a seccomp filter that notifies is loaded here already
 * wait:    SYNC_READY to the parent; SYNC_GO from it, or from whoever connects to the start socket
 * execute: seccomp, capabilities, startContainer hooks, execve
 *
 * With a user namespace a helper does join and open, for which it takes the host's root, and forks
 * the init inside. The init does what is left of them with the power that it has in there: new
 * namespaces, names, sysctls.
 *
 * Meanwhile the parent writes the limits of the cgroups; it says SYNC_GO only when that is done.
 * Nothing that the image brought runs before execute.
 */
#define _GNU_SOURCE
#include "init.h"
#include "../../common/cleanup.h"
#include "../../common/fault_mark.h"
#include "child.h"
#include "console.h"
#include "devices.h"
#include "exec.h"
#include "hooks.h"
#include "host_proc.h"
#include "identity.h"
#include "masks.h"
#include "mounts.h"
#include "root_path.h"
#include "rootfs.h"
#include "sync.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* Descriptors that live from one stage to the next; child_close_others ends them all. */
struct init_state {
    struct launch_stdio stdio;
    struct mounts mounts;
    int *nodes;
    int root;
    /* The host's procfs, until it is not needed any more. */
    int proc;
    struct console console;
    /* Of this process, as the host counts; known with hooks only. */
    pid_t host_pid;
};

static int init_open_proc(const struct init *init, struct init_state *state, struct error **err) {
    state->proc = host_proc_open(err);
    if (state->proc < 0)
        return -1;
    return host_proc_oom_score(&init->container->config->process, state->proc, err);
}

/* join, in the init or its helper. /proc is opened before: in a mount namespace of a path it may be
 * anything. */
static int init_join(const struct init *init, struct init_state *state, struct error **err) {
    if (child_begin(err) < 0 || child_hold_stdio(init->stdio, &state->stdio, err) < 0 ||
        cgroup_join_v1(init->container->cgroup, err) < 0 || init_open_proc(init, state, err) < 0)
        return -1;
    return namespaces_join_paths(init->namespaces, err);
}

/* What the init's own power decides: of the host's root, or of the user namespace's. */
static int init_settle(const struct init *init, const struct init_state *state,
                       struct error **err) {
    const struct config *config = init->container->config;
    if ((!init->options->keep_keyring && child_leave_keyring(err) < 0) ||
        namespaces_make_own(init->namespaces, err) < 0 || namespaces_set_names(config, err) < 0 ||
        host_proc_sysctls(config, state->proc, err) < 0)
        return -1;
    return rootfs_isolate(config, err);
}

/* open, in the init or its helper. */
static int init_open(const struct init *init, struct init_state *state, struct error **err) {
    const struct launch_container *container = init->container;
    const struct config *config = container->config;
    if (mounts_open(config, container->cgroup, container->bundle, &state->mounts, err) < 0 ||
        devices_open(config, &state->nodes, err) < 0)
        return -1;
    state->root = rootfs_open(config, err);
    return state->root < 0 ? -1 : 0;
}

static int init_fill(const struct init *init, struct init_state *state, struct error **err) {
    const struct config *config = init->container->config;
    if (rootfs_mount(config, state->root, err) < 0 ||
        mounts_attach(config, init->container->cgroup, &state->mounts, state->root, err) < 0 ||
        devices_create(config, state->nodes, state->root, err) < 0)
        return -1;
    if (config->process.terminal &&
        (console_open(&config->process, state->root, &state->console, err) < 0 ||
         console_bind(&state->console, state->root, err) < 0))
        return -1;
    return 0;
}

static struct hooks_container init_about(const struct init *init, const struct init_state *state) {
    const struct launch_container *container = init->container;
    return (struct hooks_container){container->id, container->bundle,
                                    container->config->annotations, state->host_pid};
}

/* Waits for SYNC_GO. The death of whoever should say it is seen as end-of-file: a container that
 * nobody owns goes no further. */
static void init_await_go(int sync_fd, pid_t *host_pid) {
    struct sync_message message;
    if (sync_receive(sync_fd, &message, NULL, NULL) < 0 || message.type != SYNC_GO)
        _exit(125);
    if (host_pid != NULL)
        *host_pid = message.pid;
}

static int init_hooks(const struct init *init, struct init_state *state, struct error **err) {
    const struct hooks *hooks = &init->container->config->hooks;
    if (!hooks_before_root(hooks) && hooks->kinds[HOOKS_START_CONTAINER].count == 0)
        return 0;
    if (sync_send(init->sync_fd, SYNC_MOUNTED, 0, -1) < 0)
        _exit(125);
    init_await_go(init->sync_fd, &state->host_pid);
    struct hooks_container about = init_about(init, state);
    return hooks_run(hooks, HOOKS_CREATE_CONTAINER, &about, init->container->bundle, err);
}

static int init_label(const struct init *init, struct init_state *state, struct error **err) {
    if (host_proc_labels(&init->container->config->process, state->proc, err) < 0)
        return -1;
    close(steal_fd(&state->proc));
    return 0;
}

static int init_finish(const struct init *init, struct init_state *state, struct error **err) {
    const struct config *config = init->container->config;
    fault_mark("init/filled");
    if (rootfs_enter(config, state->root, err) < 0 ||
        mounts_finish(config, &state->mounts, err) < 0 || masks_apply(config, state->root, err) < 0)
        return -1;
    return rootfs_finish(config, state->root, err);
}

static int init_become(const struct init *init, struct init_state *state, struct error **err) {
    const struct config_process *process = &init->container->config->process;
    const struct launch_options *options = init->options;
    fault_mark("init/entered");
    const int keep[] = {init->sync_fd, state->console.master, options->start_socket};
    if (identity_limits(process, err) < 0 ||
        identity_personality(init->container->config, err) < 0 ||
        child_install_stdio(&state->stdio, &state->console, err) < 0 ||
        child_hand_down(options->preserve, err) < 0 ||
        child_close_others(3 + options->preserve, keep, sizeof(keep) / sizeof(keep[0]), err) < 0 ||
        child_become(process, err) < 0)
        return -1;
    if (options->outlives && child_outlive(err) < 0)
        return -1;
    /* A filter that notifies needs its creator, and the agent, while it is loaded. */
    const struct seccomp_filter *filter = &init->container->filter;
    return filter->listens ? exec_confine(process, filter, init->sync_fd, err) : 0;
}

/* Who creates a container for somebody else to start is told at once where its program is missing,
 * as runc and crun do: their callers expect it of create. A startContainer hook may yet make it. */
static int init_look_ahead(const struct init *init, struct error **err) {
    const struct config *config = init->container->config;
    if (init->options->start_socket <= 0 || config->hooks.kinds[HOOKS_START_CONTAINER].count > 0)
        return 0;
    return exec_look(&config->process, err);
}

static void init_leave(int number) {
    _exit(128 + number);
}

/* As process 1 of its namespace the init would not notice what it does not handle (except for
 * SIGKILL): a container that waits for its start can be ended by the usual signals all the same.
 * exec gives them back their default. */
static void init_heed_signals(void) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    struct sigaction leave = {.sa_handler = init_leave};
    for (size_t index = 0; index < sizeof(numbers) / sizeof(numbers[0]); index++)
        sigaction(numbers[index], &leave, NULL);
}

/* The parent learns that all is in place and gets the terminal; then it, or another process over
 * the start socket, decides when to go on. Returns the channel over which it did. */
static int init_wait(const struct init *init, struct init_state *state) {
    int sync_fd = init->sync_fd, start_socket = init->options->start_socket;
    if (start_socket > 0)
        init_heed_signals();
    if (sync_send(sync_fd, SYNC_READY, 0, state->console.master) < 0)
        _exit(125);
    if (state->console.master >= 0)
        close(steal_fd(&state->console.master));
    if (start_socket > 0) {
        close(sync_fd);
        sync_fd = sync_accept(start_socket);
        close(start_socket);
    }
    init_await_go(sync_fd, NULL);
    return sync_fd;
}

static int init_set_up(const struct init *init, struct init_state *state, struct error **err) {
    if (init_fill(init, state, err) < 0 || init_hooks(init, state, err) < 0 ||
        init_label(init, state, err) < 0 || init_finish(init, state, err) < 0 ||
        init_become(init, state, err) < 0)
        return -1;
    return init_look_ahead(init, err);
}

static int init_execute(const struct init *init, const struct init_state *state,
                        struct error **err) {
    const struct config *config = init->container->config;
    const struct seccomp_filter *filter = &init->container->filter;
    if (config->hooks.kinds[HOOKS_START_CONTAINER].count == 0 && !filter->listens)
        return exec_program(&config->process, filter, -1, err);
    struct hooks_container about = init_about(init, state);
    /* A hook without an environment of its own gets this process's. These are the image's programs:
     * what the runtime was started with is not for them. */
    environ = (char **)config->process.env.items;
    if ((!filter->listens && exec_confine(&config->process, filter, -1, err) < 0) ||
        hooks_run(&config->hooks, HOOKS_START_CONTAINER, &about, NULL, err) < 0)
        return -1;
    return exec_confined(&config->process, err);
}

static void __attribute__((noreturn))
init_go_on(const struct init *init, struct init_state *state) {
    struct error *err = NULL;
    fault_mark("init/opened");
    if (init_set_up(init, state, &err) < 0)
        sync_fail(init->sync_fd, err);
    fault_mark("init/set-up");
    int sync_fd = init_wait(init, state);
    fault_mark("init/execute");
    init_execute(init, state, &err);
    sync_fail(sync_fd, err);
}

void init_run(const struct init *init) {
    struct error *err = NULL;
    struct init_state state = {.root = -1, .proc = -1, .console = {-1, -1}};
    if (init_join(init, &state, &err) < 0 || init_settle(init, &state, &err) < 0 ||
        init_open(init, &state, &err) < 0)
        sync_fail(init->sync_fd, err);
    init_go_on(init, &state);
}

static int init_help(const struct init *init, struct init_state *state, struct error **err) {
    if (init_join(init, state, err) < 0 || init_open(init, state, err) < 0)
        return -1;
    identity_raise_limits(&init->container->config->process);
    return 0;
}

void init_run_mapped(const struct init *init) {
    struct error *err = NULL;
    struct init_state state = {.root = -1, .proc = -1, .console = {-1, -1}};
    int known[2];
    char nothing;
    if (init_help(init, &state, &err) < 0)
        sync_fail(init->sync_fd, err);
    if (pipe2(known, O_CLOEXEC) < 0) {
        error_set(&err, errno, "pipe2", "");
        sync_fail(init->sync_fd, err);
    }
    pid_t pid = namespaces_fork_inside(init->namespaces, state.proc, &err);
    if (pid < 0)
        sync_fail(init->sync_fd, err);
    if (pid > 0) {
        sync_send(init->sync_fd, SYNC_PID, pid, -1);
        _exit(0);
    }
    /* The parent's first message is to be the helper's. End-of-file comes from its end as well. */
    close(known[1]);
    while (read(known[0], &nothing, 1) < 0 && errno == EINTR)
        continue;
    close(known[0]);
    if (child_begin(&err) < 0 || init_settle(init, &state, &err) < 0)
        sync_fail(init->sync_fd, err);
    init_go_on(init, &state);
}
