/*
 * What makes the container's processes: mydock-runtime itself, within this process (runtime_own.c),
 * or another OCI runtime, a program that is called (../foreign/foreign.h). With either the
 * supervisor becomes the parent of every process that is made, owns its standard streams and reaps
 * it; the runtime only makes, signals and removes.
 *
 * create, start and destroy may wait for a program, each for a bounded time; nothing else does.
 */
#ifndef MYDOCK_RUNTIME_H
#define MYDOCK_RUNTIME_H

#include "../launch/launch.h"
#include "loop.h"
#include "supervisor_config.h"
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* A further process on its way; its owner keeps it in place until `done` was called. */
struct runtime_exec {
    /* Called exactly once, by exec itself or later from the loop. `made` executes, and its terminal
     * is the callee's; NULL: it does not, and err (the callee's; NULL without memory) says why.
     * `wait_status`: it has ended meanwhile and was reaped; else NULL. */
    void (*done)(struct runtime_exec *exec, const struct launch_process *made,
                 const int *wait_status, struct error *err);
};

struct runtime;

struct runtime_operations {
    /* Makes the init, which waits in front of its program. On failure nothing is left of the
     * container but what destroy frees. */
    int (*create)(struct runtime *runtime, const struct launch_stdio *stdio,
                  struct launch_process *init, struct error **err);
    /* Lets the init execute. On failure it is gone or to be killed by the caller. */
    int (*start)(struct runtime *runtime, struct launch_process *init, struct error **err);
    /* Starts a process described by an OCI process object. The descriptors of `stdio` stay the
     * caller's. */
    void (*exec)(struct runtime *runtime, const json_t *process, const struct launch_stdio *stdio,
                 struct runtime_exec *exec);
    /* Sends a signal to the init, which is not reaped yet. */
    void (*signal)(struct runtime *runtime, pid_t init, int signal);
    /* Sends a signal to every process in the container's cgroup. */
    int (*kill_all)(struct runtime *runtime, int signal, struct error **err);
    /* The init has a pid namespace of its own: its death ends all others. */
    bool (*owns_pids)(const struct runtime *runtime);
    /* The kernel's OOM killer ended a process of the container since create. */
    bool (*oom_killed)(const struct runtime *runtime);
    /* The container's groups, from create to destroy; NULL where they are not known. */
    const struct cgroup *(*cgroup)(const struct runtime *runtime);
    /* A process that the supervisor does not know was reaped. NULL is allowed: the runtime has no
     * processes of its own. True where it was one of them. */
    bool (*reaped)(struct runtime *runtime, pid_t pid, int wait_status);
    /* Kills what is left, removes cgroups and what the runtime has stored, frees. */
    void (*destroy)(struct runtime *runtime);
};

/* The head of each implementation's own struct. */
struct runtime {
    const struct runtime_operations *operations;
};

/* The one that the configuration names. `bundle` is absolute and, as `config` and `loop`, outlives
 * it. */
int runtime_open(const struct supervisor_config *config, const char *bundle, struct loop *loop,
                 struct runtime **out, struct error **err);
/* mydock-runtime itself. */
int runtime_own_open(const struct supervisor_config *config, const char *bundle,
                     struct runtime **out, struct error **err);

/* destroy; NULL is allowed. */
void runtime_destroy(struct runtime *runtime);

#endif
