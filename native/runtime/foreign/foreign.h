/*
 * Another OCI runtime (runc, crun, …) as the runtime of a supervised container: a program that is
 * called as containerd's shim calls it. It makes the init, lets it start and leaves; the
 * supervisor, a subreaper, becomes the init's parent.
 *
 *   RUNTIME ARGUMENTS --root R --log L --log-format json create --bundle B --pid-file P ID
 *
 * with the container's own standard descriptors as the program's, or --console-socket for a
 * terminal; then start, exec --detach, kill and delete --force. The control groups are those of
 * linux.cgroupsPath: signals to all, OOM kills and the end of everything are done there, whatever
 * the runtime knows.
 *
 *   foreign.c       create, start, groups, destroy     call.c            one run of the program
 *   foreign_exec.c  execs under way                    message.c         what its errors say
 *   arguments.c     command lines                      console_socket.c  terminals
 *   foreign_signal.c  signals to the init              guard.c           the supervisor's death
 *   process_file.c  process objects for exec
 */
#ifndef MYDOCK_FOREIGN_H
#define MYDOCK_FOREIGN_H

#include "../launch/cgroup.h"
#include "../supervisor/runtime.h"
#include "console_socket.h"

enum {
    /* A runtime that takes longer hangs. Its hooks count. */
    FOREIGN_LIMIT_MS = 60 * 1000,
    FOREIGN_ENDED_MAX = 64,
    FOREIGN_SIGNALS_MAX = 32,
};

struct foreign_exec;

/* Files of one call, all in the bundle. */
struct foreign_files {
    char log[4096];
    char pid[4096];
    char process[4096];
    char console[32];
};

/* A process that was reaped before the runtime had told that it is one of ours. */
struct foreign_ended {
    pid_t pid;
    int wait_status;
};

struct foreign {
    struct runtime runtime;
    const struct supervisor_config *config;
    const char *bundle;
    struct loop *loop;
    /* Of config.json. */
    bool terminal;
    bool owns_pids;
    char *cgroups_path;
    /* NULL before create has succeeded. */
    struct cgroup *cgroup;
    /* The runtime may have something to delete. */
    bool made;
    pid_t guard;
    /* Numbers the files of calls. */
    unsigned calls;
    struct foreign_exec *execs;
    struct foreign_ended ended[FOREIGN_ENDED_MAX];
    unsigned ended_count;
    /* The init, the signals that it is still to get, in order, and the call that sends the first.
     */
    pid_t init;
    int signals[FOREIGN_SIGNALS_MAX];
    unsigned signal_count;
    pid_t signaller;
    struct timer signal_limit;
};

/* The runtime that the configuration names; see runtime_open. */
int foreign_open(const struct supervisor_config *config, const char *bundle, struct loop *loop,
                 struct runtime **out, struct error **err);

/* --- between the files of this folder */

/* A whole command line: the global options, the verb and the words after it (NULL-terminated), and
 * the container's ID. log may be NULL. NULL without memory; the caller frees the array alone. */
char **foreign_arguments(const struct foreign *foreign, const char *log, const char *verb,
                         const char *const *words);
/* Names the files of the next call, and removes what stands there. */
void foreign_name_files(struct foreign *foreign, struct foreign_files *files);
void foreign_remove_files(const struct foreign_files *files);
/* The process ID that the runtime wrote to a file at this step; -1 with *err set. */
pid_t foreign_read_pid(const struct foreign *foreign, const char *step, const char *path,
                       struct error **err);
/* Our child, and not reaped. */
bool foreign_is_child(pid_t pid);
/* The runtime's name for messages. */
const char *foreign_program(const struct foreign *foreign);

/* Writes an OCI process object as a file of its own. */
int foreign_write_process(const char *path, const json_t *process, struct error **err);

/* See struct runtime_operations. */
void foreign_exec(struct runtime *runtime, const json_t *process, const struct launch_stdio *stdio,
                  struct runtime_exec *exec);
/* True where pid was the runtime's call for an exec; it is done then. */
bool foreign_exec_reaped(struct foreign *foreign, pid_t pid, int wait_status);
/* Ends what is under way, without a word to its owners. */
void foreign_exec_abandon(struct foreign *foreign);

/* See struct runtime_operations. */
void foreign_signal(struct runtime *runtime, pid_t init, int signal);
/* True where pid was the runtime's call that sends a signal. */
bool foreign_signal_reaped(struct foreign *foreign, pid_t pid, int wait_status);
void foreign_signal_abandon(struct foreign *foreign);

#endif
