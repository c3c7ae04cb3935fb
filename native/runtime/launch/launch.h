/*
 * From an OCI config.json to a running process: cgroup, namespaces, mounts, root, identity,
 * seccomp, exec. Knows nothing of logs, attachments or the daemon (see supervisor.h for those).
 *
 * A container goes through launch_create (its init exists, everything is set up, it waits),
 * launch_start (its program executes) and launch_destroy (its cgroups are gone). launch_exec adds
 * processes in between. The caller is the parent of every process and reaps it.
 */
#ifndef MYDOCK_LAUNCH_H
#define MYDOCK_LAUNCH_H

#include "../../common/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* The standard descriptors of a process. Without a terminal the child's end of each is dup2'ed to
 * 0, 1 and 2; with process.terminal all three are ignored and the child gets a pty of the
 * container's own devpts. */
struct launch_stdio {
    int stdin_fd;
    int stdout_fd;
    int stderr_fd;
};

/* A process as its parent sees it. */
struct launch_process {
    pid_t pid;
    /* Master of its terminal, O_CLOEXEC, -1 without one. Owned by the caller. */
    int console_fd;
    /* The parent's end of the channel over which the child reports; owned by launch, -1 once it
     * executes. */
    int sync_fd;
};

struct launch_container;
struct cgroup;
struct config;

/* What is said about a container beside its bundle. */
struct launch_options {
    const char *bundle;
    /* Where config.json lies; NULL: in the bundle. */
    const char *config_folder;
    /* Names the container to hooks and systemd; NULL: as the bundle's folder. */
    const char *id;
    /* Folder for compiled seccomp filters, NULL for none. */
    const char *seccomp_cache;
    /* linux.cgroupsPath is "slice:prefix:name", and systemd makes the group. */
    bool systemd_cgroup;
    /* Processes live on when this program ends. */
    bool outlives;
    /* With outlives: a listening socket (sync_listen) over which the init waits for its start, so
     * that another process can connect and call launch_start. 0: launch_create's caller starts it.
     */
    int start_socket;
    /* Processes get descriptors 3 to 2 + preserve of the caller's, which must be open. */
    unsigned preserve;
    /* Processes stay in the caller's session keyring. */
    bool keep_keyring;
    /* For launch_create: added to process.env; ends with NULL, or is NULL. */
    const char *const *environment;
};

/* Reads and validates bundle/config.json, creates cgroup and init, and returns when the init waits
 * in front of its exec. On failure nothing is left behind. Hooks before the start are run. */
int launch_create(const struct launch_options *options, const struct launch_stdio *stdio,
                  struct launch_container **container, struct launch_process *init,
                  struct error **err);

/* Lets the init execute its program, and runs the poststart hooks. Of an init that another process
 * created, sync_fd is a connection to its start socket. Fails with exit_code 126 or 127 where it
 * cannot; the init is gone then and reaped by the caller. */
int launch_start(struct launch_container *container, struct launch_process *init,
                 struct error **err);

/* A container that another process created, for all but launch_create; options->config_folder has
 * its config.json as it was then. init: its pid, 0 where it is gone. Nothing is compiled:
 * launch_exec needs launch_open_exec first. */
int launch_open(const struct launch_options *options, pid_t init,
                struct launch_container **container, struct error **err);
int launch_open_exec(struct launch_container *container, const struct launch_options *options,
                     struct error **err);

/* Frees what the caller knows; the container goes on. NULL is allowed. */
void launch_leave(struct launch_container *container);

/* Starts a process described by an OCI process object in the namespaces and cgroup of the running
 * init, and returns when it executes. */
int launch_exec(struct launch_container *container, const json_t *process,
                const struct launch_stdio *stdio, struct launch_process *out, struct error **err);

/* process.terminal and the console size of the bundle's init. */
bool launch_terminal(const struct launch_container *container);

/* What its config.json says. */
const struct config *launch_config(const struct launch_container *container);

/* The container's groups; NULL where they are gone. */
struct cgroup *launch_cgroup(const struct launch_container *container);

/* Sends a signal to the init. */
int launch_signal(const struct launch_container *container, int signal, struct error **err);

/* Sends a signal to every process in the container's cgroup. */
int launch_kill_all(struct launch_container *container, int signal, struct error **err);

/* True where init has a pid namespace of its own, so that its death ends all others. */
bool launch_owns_pids(const struct launch_container *container);

/* True if the kernel's OOM killer ended a process of the container's cgroup since launch_create. */
bool launch_oom_killed(const struct launch_container *container);

/* Kills what is left in the cgroup, waits for it, removes the cgroups, runs the poststop hooks
 * and frees. NULL is allowed. */
void launch_destroy(struct launch_container *container);

#endif
