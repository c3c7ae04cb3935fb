/* The life of a container's supervisor, from create to exit: see supervisor.h. */
#include "supervisor.h"
#include "../../common/cleanup.h"
#include "../../common/fault_mark.h"
#include "../../common/protocol.h"
#include "../../common/warn.h"
#include "attach.h"
#include "control.h"
#include "events.h"
#include "leave_daemon.h"
#include "process.h"
#include "streams.h"
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    /* Buffers are released after this much silence. */
    COOL_MS = 500,
    /* A daemon that does not read the last events for this long misses them. */
    FAREWELL_MS = 5000,
    /* Blocks from this size on are mapped, and unmapped when freed: an idle supervisor stays small.
     */
    MAPPED_BLOCK_BYTES = 64 * 1024,
    HEAP_STEP_BYTES = 16 * 1024,
    /* A move between cgroups waits for an RCU grace period, 10 ms and more: it must delay neither
     * the start nor the end of a short run. */
    LEAVE_CGROUPS_MS = 250,
};

/* --- leaving
 * -----------------------------------------------------------------------------------------------------
 */

/* The last thing before the last event, in this order: the record stands before the socket is gone,
 * so that a daemon which cannot connect finds it; the socket is gone before the event, so that it
 * never belongs to a successor. */
static void leave(struct supervisor *supervisor, const struct exit_record *record) {
    supervisor->state = SUPERVISOR_LEAVING;
    supervisor->changed = true;
    oom_watch_end(supervisor);
    fault_mark("supervisor/leave");
    runtime_destroy(supervisor->runtime);
    fault_mark("supervisor/cgroups-removed");
    supervisor->runtime = NULL;
    log_close(supervisor->log);
    supervisor->log = NULL;
    struct error *err = NULL;
    if (supervisor->config.exit_record != NULL &&
        exit_record_write(supervisor->config.exit_record, record, &err) != 0)
        warn("%s", err == NULL ? "write exit record: out of memory" : err->message);
    error_free(err);
    fault_mark("supervisor/exit-recorded");
    control_unlisten(supervisor);
    fault_mark("supervisor/unlistened");
    loop_disarm(&supervisor->loop, &supervisor->leave_cgroups);
    loop_arm(&supervisor->loop, &supervisor->farewell, FAREWELL_MS);
}

static void farewell_over(struct timer *timer) {
    struct supervisor *supervisor =
        (struct supervisor *)((char *)timer - offsetof(struct supervisor, farewell));
    supervisor->farewell_over = true;
    supervisor->changed = true;
}

void supervisor_abort(struct supervisor *supervisor, struct error *err) {
    struct process *init = supervisor->init;
    if (supervisor->state == SUPERVISOR_LEAVING) {
        error_free(err);
        return;
    }
    supervisor->state = SUPERVISOR_LEAVING;
    if (init != NULL && init->state == PROCESS_ALIVE) {
        kill(init->pid, SIGKILL);
        waitpid(init->pid, NULL, 0);
    }
    for (struct process *exec = supervisor->execs; exec != NULL; exec = exec->next) {
        attach_release_all(exec);
        exec->state = PROCESS_REPORTED;
    }
    if (init != NULL) {
        attach_release_all(init);
        streams_close(init);
        init->state = PROCESS_REPORTED;
    }
    struct exit_record record = {.exit_code = err == NULL ? 125 : err->exit_code};
    clock_gettime(CLOCK_REALTIME, &record.exited_at);
    snprintf(record.error, sizeof(record.error), "%s",
             err == NULL ? "out of memory" : err->message);
    leave(supervisor, &record);
    events_failed(supervisor, "", err);
    error_free(err);
}

void supervisor_end_declared(struct supervisor *supervisor, const struct connection *declarer) {
    for (struct process *exec = supervisor->execs; exec != NULL; exec = exec->next)
        if (exec->state == PROCESS_DECLARED && (declarer == NULL || exec->declarer == declarer)) {
            attach_finish_all(exec);
            exec->state = PROCESS_REPORTED;
        }
}

static void finish(struct supervisor *supervisor) {
    const struct process *init = supervisor->init;
    const struct runtime *runtime = supervisor->runtime;
    /* Those that were declared while the init's output was delivered. */
    supervisor_end_declared(supervisor, NULL);
    oom_watch_check(supervisor);
    struct exit_record record = {.exit_code = process_exit_code(init),
                                 .signal = process_signal(init),
                                 .oom_killed = runtime->operations->oom_killed(runtime),
                                 .started_at = init->started_at,
                                 .exited_at = init->exited_at};
    leave(supervisor, &record);
    events_exited(init, record.oom_killed);
    fault_mark("supervisor/exit-told");
}

/* --- starting
 * ----------------------------------------------------------------------------------------------------
 */

static void leave_cgroups(struct timer *timer) {
    (void)timer;
    leave_daemon_cgroups();
}

void supervisor_start(struct supervisor *supervisor) {
    struct process *init = supervisor->init;
    if (supervisor->state != SUPERVISOR_CREATED)
        return;
    struct launch_process launched = supervisor->launched;
    struct runtime *runtime = supervisor->runtime;
    struct error *err = NULL;
    fault_mark("supervisor/start");
    if (runtime->operations->start(runtime, &launched, &err) != 0) {
        supervisor_abort(supervisor, err);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &init->started_at);
    supervisor->state = SUPERVISOR_RUNNING;
    supervisor->warm = true;
    fault_mark("supervisor/started");
    events_started(init);
    fault_mark("supervisor/start-told");
    loop_arm(&supervisor->loop, &supervisor->leave_cgroups, LEAVE_CGROUPS_MS);
}

/* The log's receiver takes lines again. */
static void log_drained(void *context) {
    struct supervisor *supervisor = context;
    if (supervisor->init != NULL)
        streams_flow(supervisor->init);
}

static int open_log(struct supervisor *supervisor, struct error **err) {
    const struct supervisor_config *config = &supervisor->config;
    struct log_forward *forward = NULL;
    if (config->log_forward != NULL &&
        log_forward_open(config->log_forward, &supervisor->loop, log_drained, supervisor, &forward,
                         err) != 0)
        return -1;
    struct log_options options = {.path = config->log_path,
                                  .max_bytes = config->log_max_bytes,
                                  .max_files = config->log_max_files,
                                  .compress = config->log_compress,
                                  .attributes = config->log_attributes};
    return log_open(&options, forward, &supervisor->log, err);
}

static int create(struct supervisor *supervisor, const char *bundle, struct error **err) {
    const struct supervisor_config *config = &supervisor->config;
    if (config->log_wanted && open_log(supervisor, err) != 0)
        return -1;
    fault_mark("supervisor/log-opened");
    struct process *init = process_new(supervisor, "", NULL, config->stdin_open);
    if (init == NULL)
        return error_set(err, ENOMEM, "create", "");
    supervisor->init = init;
    struct launch_stdio child;
    if (streams_open(init, &child, err) != 0)
        return -1;
    struct launch_process *launched = &supervisor->launched;
    *launched = (struct launch_process){.console_fd = -1, .sync_fd = -1};
    struct runtime *runtime;
    int result = runtime_open(config, bundle, &supervisor->loop, &runtime, err);
    if (result == 0) {
        supervisor->runtime = runtime;
        result = runtime->operations->create(runtime, &child, launched, err);
    }
    streams_close_child(&child);
    if (result != 0)
        return -1;
    fault_mark("supervisor/created");
    init->pid = launched->pid;
    init->state = PROCESS_ALIVE;
    oom_watch_begin(supervisor);
    if (launched->console_fd >= 0 && streams_use_console(init, launched->console_fd, err) != 0)
        return -1;
    streams_begin(init);
    return control_listen(supervisor, err);
}

/* --- signals
 * -----------------------------------------------------------------------------------------------------
 */

static struct process *find_pid(struct supervisor *supervisor, pid_t pid) {
    struct process *init = supervisor->init;
    if (init != NULL && init->state == PROCESS_ALIVE && init->pid == pid)
        return init;
    for (struct process *at = supervisor->execs; at != NULL; at = at->next)
        if (at->state == PROCESS_ALIVE && at->pid == pid)
            return at;
    return NULL;
}

/* The init has ended: so does everything else in the container. */
static void init_ended(struct supervisor *supervisor) {
    if (supervisor->state == SUPERVISOR_CREATED) {
        struct error *err = NULL;
        error_setf(&err, 0, "start", "", "the container's init ended before it was started");
        supervisor_abort(supervisor, err);
        return;
    }
    struct runtime *runtime = supervisor->runtime;
    if (!runtime->operations->owns_pids(runtime))
        runtime->operations->kill_all(runtime, SIGKILL, NULL);
    supervisor_end_declared(supervisor, NULL);
}

static bool is_runtimes(struct runtime *runtime, pid_t pid, int status) {
    return runtime != NULL && runtime->operations->reaped != NULL &&
           runtime->operations->reaped(runtime, pid, status);
}

/* Reaps everything: the container's processes, the runtime's, and what they left behind (the
 * supervisor is a subreaper). */
static void reap(struct supervisor *supervisor) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct process *process = find_pid(supervisor, pid);
        if (process == NULL) {
            if (!is_runtimes(supervisor->runtime, pid, status) && supervisor->log != NULL)
                log_reaped(supervisor->log, pid);
            continue;
        }
        process_reaped(process, status);
        if (process_is_init(process))
            init_ended(supervisor);
    }
}

static void signals_ready(struct watch *watch, uint32_t events) {
    (void)events;
    struct supervisor *supervisor =
        (struct supervisor *)((char *)watch - offsetof(struct supervisor, signals));
    struct signalfd_siginfo info;
    if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
        return;
    const struct process *init = supervisor->init;
    if (info.ssi_signo == SIGCHLD)
        reap(supervisor);
    else if (init != NULL && init->state == PROCESS_ALIVE)
        supervisor->runtime->operations->signal(supervisor->runtime, init->pid,
                                                (int)info.ssi_signo);
}

static int watch_signals(struct supervisor *supervisor, struct error **err) {
    sigset_t handled;
    sigemptyset(&handled);
    sigaddset(&handled, SIGCHLD);
    sigaddset(&handled, SIGTERM);
    int fd = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
    supervisor->signals = (struct watch){.fd = fd, .ready = signals_ready};
    if (fd < 0 || loop_watch(&supervisor->loop, &supervisor->signals, EPOLLIN) != 0)
        return error_set(err, errno, "signalfd", "");
    return 0;
}

/* --- the loop
 * ----------------------------------------------------------------------------------------------------
 */

static void settle_execs(struct supervisor *supervisor) {
    for (struct process **at = &supervisor->execs; *at != NULL;) {
        struct process *exec = *at;
        if (!process_settle(exec)) {
            at = &exec->next;
            continue;
        }
        *at = exec->next;
        process_free(exec);
    }
}

/* Nothing of the container runs, and every end but the init's is reported. What was only declared
 * is nothing to wait for: its daemon may be gone. */
static bool has_ended(const struct supervisor *supervisor) {
    if (supervisor->state != SUPERVISOR_RUNNING || supervisor->init->state != PROCESS_REPORTED)
        return false;
    for (const struct process *at = supervisor->execs; at != NULL; at = at->next)
        if (at->state != PROCESS_REPORTED && at->state != PROCESS_DECLARED)
            return false;
    return true;
}

/* Draws the consequences of what handlers did. True where the supervisor is to exit. */
static bool settle(struct supervisor *supervisor) {
    while (supervisor->changed) {
        supervisor->changed = false;
        settle_execs(supervisor);
        if (supervisor->init != NULL)
            process_settle(supervisor->init);
        if (has_ended(supervisor))
            finish(supervisor);
        if (supervisor->state == SUPERVISOR_LEAVING &&
            (supervisor->farewell_over || control_flushed(supervisor)))
            control_close_all(supervisor);
        control_sweep(supervisor);
    }
    return supervisor->state == SUPERVISOR_LEAVING && supervisor->connections == NULL &&
           supervisor->execs == NULL &&
           (supervisor->init == NULL || process_is_over(supervisor->init));
}

/* Gives memory that only busy times need back to the kernel. */
static void cool(struct supervisor *supervisor) {
    supervisor->warm = false;
    madvise(supervisor->scratch, SUPERVISOR_SCRATCH_BYTES, MADV_DONTNEED);
    if (supervisor->log != NULL)
        log_trim(supervisor->log);
    malloc_trim(0);
}

static int prepare(struct supervisor *supervisor, const char *bundle, struct error **err) {
    supervisor->listener.fd = -1;
    supervisor->farewell.fire = farewell_over;
    supervisor->leave_cgroups.fire = leave_cgroups;
    supervisor->scratch = mmap(NULL, SUPERVISOR_SCRATCH_BYTES, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (supervisor->scratch == MAP_FAILED)
        return error_set(err, errno, "mmap", "");
    if (loop_open(&supervisor->loop, err) != 0)
        return -1;
    if (control_add(supervisor, PROTOCOL_CONTROL_FD, true) == NULL)
        return error_setf(err, 0, "supervise", "",
                          "supervise: descriptor %d is not a control connection",
                          PROTOCOL_CONTROL_FD);
    if (watch_signals(supervisor, err) != 0)
        return -1;
    return supervisor_config_read(bundle, &supervisor->config, err);
}

int supervisor_run(const char *bundle) {
    static struct supervisor supervisor;
    struct error *err = NULL;
    mallopt(M_MMAP_THRESHOLD, MAPPED_BLOCK_BYTES);
    mallopt(M_TRIM_THRESHOLD, MAPPED_BLOCK_BYTES);
    mallopt(M_TOP_PAD, HEAP_STEP_BYTES);
    leave_daemon();
    fault_mark("supervisor/begin");
    cleanup_free char *path = realpath(bundle, NULL);
    if (path == NULL || chdir("/") != 0)
        error_set(&err, errno, "open bundle", bundle);
    if (err != NULL || prepare(&supervisor, path, &err) != 0) {
        warn("%s", err == NULL ? "out of memory" : err->message);
        if (supervisor.connections == NULL)
            return 1;
        supervisor_abort(&supervisor, err);
    } else if (create(&supervisor, path, &err) != 0) {
        supervisor_abort(&supervisor, err);
    } else {
        fault_mark("supervisor/listening");
        events_status(&supervisor, supervisor.connections);
    }
    supervisor.changed = true;
    while (!settle(&supervisor))
        if (!loop_once(&supervisor.loop, supervisor.warm ? COOL_MS : -1) && supervisor.warm)
            cool(&supervisor);
    supervisor_config_free(&supervisor.config);
    return 0;
}
