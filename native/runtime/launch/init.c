/*
 * The stages of the container's init. See init.h.
 *
 * join:    cgroups by itself, namespaces of paths; still the host's root, the host's user
 * open:    everything of the host that is still needed, as descriptors: bind sources, /proc
 * root:    pivot_root; from here on no path can name anything of the host
 * fill:    mounts, devices, terminal, read-only and masked paths
 * become:  standard descriptors, limits, user, working directory; host descriptors are closed
 * wait:    SYNC_READY to the parent, SYNC_GO from it
 * execute: seccomp, capabilities, execve
 *
 * Meanwhile the parent writes the limits of the cgroups; it says SYNC_GO only when that is done.
 * Nothing that the image brought runs before execute.
 */
#define _GNU_SOURCE
#include "init.h"
#include "../../common/cleanup.h"
#include "child.h"
#include "console.h"
#include "devices.h"
#include "exec.h"
#include "host_proc.h"
#include "identity.h"
#include "masks.h"
#include "mounts.h"
#include "root_path.h"
#include "rootfs.h"
#include "sync.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Descriptors that live from one stage to the next; child_close_others ends them all. */
struct init_state {
    struct launch_stdio stdio;
    struct mounts mounts;
    int *nodes;
    int root;
    struct console console;
};

static int init_join(const struct init *init, struct init_state *state, struct error **err) {
    if (child_begin(err) < 0 || child_leave_keyring(err) < 0 ||
        child_hold_stdio(init->stdio, &state->stdio, err) < 0 ||
        cgroup_join_v1(init->cgroup, err) < 0 || namespaces_join(init->namespaces, err) < 0)
        return -1;
    return namespaces_set_names(init->config, err);
}

static int init_open(const struct init *init, struct init_state *state, struct error **err) {
    const struct config *config = init->config;
    cleanup_close int proc = host_proc_open(err);
    if (proc < 0 || host_proc_sysctls(config, proc, err) < 0 ||
        host_proc_oom_score(&config->process, proc, err) < 0 ||
        host_proc_labels(&config->process, proc, err) < 0)
        return -1;
    if (rootfs_isolate(config, err) < 0 ||
        mounts_open(config, init->cgroup, init->bundle, &state->mounts, err) < 0)
        return -1;
    return devices_open(config, &state->nodes, err);
}

static int init_fill(const struct init *init, struct init_state *state, struct error **err) {
    const struct config *config = init->config;
    if (mounts_attach(config, init->cgroup, &state->mounts, state->root, err) < 0 ||
        devices_create(config, state->nodes, state->root, err) < 0)
        return -1;
    if (config->process.terminal &&
        (console_open(&config->process, state->root, &state->console, err) < 0 ||
         console_bind(&state->console, state->root, err) < 0))
        return -1;
    if (mounts_finish(config, &state->mounts, err) < 0 || masks_apply(config, state->root, err) < 0)
        return -1;
    return rootfs_finish(config, state->root, err);
}

static int init_become(const struct init *init, struct init_state *state, struct error **err) {
    const struct config_process *process = &init->config->process;
    if (identity_limits(process, err) < 0 ||
        child_install_stdio(&state->stdio, &state->console, err) < 0 ||
        child_close_others(init->sync_fd, state->console.master, err) < 0)
        return -1;
    return child_become(process, err);
}

/* The parent learns that all is in place and gets the terminal; then it decides when to go on. Its
 * death is seen as end-of-file: a container that nobody owns is not started. */
static void init_wait(const struct init *init, struct init_state *state) {
    struct sync_message message;
    if (sync_send(init->sync_fd, SYNC_READY, 0, state->console.master) < 0)
        _exit(125);
    if (state->console.master >= 0)
        close(steal_fd(&state->console.master));
    if (sync_receive(init->sync_fd, &message, NULL, NULL) < 0 || message.type != SYNC_GO)
        _exit(125);
}

static int init_set_up(const struct init *init, struct init_state *state, struct error **err) {
    if (init_join(init, state, err) < 0 || init_open(init, state, err) < 0)
        return -1;
    state->root = rootfs_enter(init->config, err);
    if (state->root < 0 || init_fill(init, state, err) < 0)
        return -1;
    return init_become(init, state, err);
}

void init_run(const struct init *init) {
    struct error *err = NULL;
    struct init_state state = {.root = -1, .console = {-1, -1}};
    if (init_set_up(init, &state, &err) < 0)
        sync_fail(init->sync_fd, err);
    init_wait(init, &state);
    exec_program(&init->config->process, init->filter, &err);
    sync_fail(init->sync_fd, err);
}
