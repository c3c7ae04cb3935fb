/* One process of the container: see process.h. */
#include "process.h"
#include "../../common/warn.h"
#include "attach.h"
#include "events.h"
#include "streams.h"
#include "supervisor.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    /* What a process leaves running may hold its pipes open for this long after its end. */
    DRAIN_MS = 2000,
    /* The end is reported late by this much where a client takes nothing, and it is closed after
       LINGER_MS more. */
    PATIENCE_MS = 10 * 1000,
    LINGER_MS = 15 * 60 * 1000,
};

static struct process *process_of(struct timer *timer, size_t offset) {
    return (struct process *)((char *)timer - offset);
}

static struct process *process_of_exec(struct runtime_exec *starting) {
    return (struct process *)((char *)starting - offsetof(struct process, starting));
}

static void drain_over(struct timer *timer) {
    streams_give_up(process_of(timer, offsetof(struct process, drain)));
}

static void patience_over(struct timer *timer) {
    struct process *process = process_of(timer, offsetof(struct process, patience));
    struct loop *loop = &process->supervisor->loop;
    int64_t limit_ms = process->state == PROCESS_DRAINED ? PATIENCE_MS : LINGER_MS;
    int64_t idle_ms = loop_now_ms() - process->progress_ms;
    process->supervisor->changed = true;
    if (idle_ms < limit_ms) {
        loop_arm(loop, timer, limit_ms - idle_ms);
    } else if (process->state == PROCESS_DRAINED) {
        process->state = PROCESS_REPORTED;
        loop_arm(loop, timer, LINGER_MS);
    } else {
        attach_close_all(process);
    }
}

struct process *process_new(struct supervisor *supervisor, const char *name, json_t *spec,
                            bool with_stdin) {
    struct process *process = calloc(1, sizeof(*process));
    char *copy = strdup(name);
    if (process == NULL || copy == NULL) {
        free(process);
        free(copy);
        return NULL;
    }
    process->supervisor = supervisor;
    process->name = copy;
    process->spec = json_incref(spec);
    process->drain.fire = drain_over;
    process->patience.fire = patience_over;
    streams_init(process, with_stdin);
    return process;
}

void process_free(struct process *process) {
    if (process == NULL)
        return;
    loop_disarm(&process->supervisor->loop, &process->drain);
    loop_disarm(&process->supervisor->loop, &process->patience);
    streams_close(process);
    json_decref(process->spec);
    free(process->name);
    free(process);
}

struct process *process_find(struct supervisor *supervisor, const char *name) {
    struct process *found = supervisor->init;
    if (name[0] != '\0')
        for (found = supervisor->execs; found != NULL; found = found->next)
            if (found->state != PROCESS_REPORTED && strcmp(found->name, name) == 0)
                break;
    return found != NULL && found->state == PROCESS_REPORTED ? NULL : found;
}

bool process_is_init(const struct process *process) {
    return process->name[0] == '\0';
}

/* --- execs
 * -------------------------------------------------------------------------------------------------------
 */

/* Takes err over. */
static void exec_failed(struct process *process, struct error *err) {
    attach_release_all(process);
    streams_close(process);
    process->state = PROCESS_REPORTED;
    process->supervisor->changed = true;
    events_failed(process->supervisor, process->name, err);
    error_free(err);
}

static void exec_done(struct runtime_exec *starting, const struct launch_process *made,
                      const int *wait_status, struct error *err) {
    struct process *process = process_of_exec(starting);
    if (made == NULL) {
        exec_failed(process, err);
        return;
    }
    process->pid = made->pid;
    if (made->console_fd >= 0 && streams_use_console(process, made->console_fd, &err) != 0) {
        if (wait_status == NULL)
            kill(made->pid, SIGKILL);
        exec_failed(process, err);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &process->started_at);
    process->state = PROCESS_ALIVE;
    if (process->wanted_size.ws_row != 0 || process->wanted_size.ws_col != 0)
        process_resize(process, &process->wanted_size);
    events_started(process);
    streams_begin(process);
    if (wait_status != NULL)
        process_reaped(process, *wait_status);
    else if (process->supervisor->init->state != PROCESS_ALIVE)
        /* It came too late for the signal that the end of the init was to all others. */
        process_signal_send(process, SIGKILL);
    else if (process->wanted_signal != 0)
        process_signal_send(process, process->wanted_signal);
}

void process_exec(struct process *process) {
    struct supervisor *supervisor = process->supervisor;
    struct error *err = NULL;
    struct launch_stdio child;
    if (supervisor->state != SUPERVISOR_RUNNING || supervisor->init->state != PROCESS_ALIVE) {
        error_setf(&err, 0, "exec", "", "exec: the container is not running");
        exec_failed(process, err);
        return;
    }
    if (streams_open(process, &child, &err) != 0) {
        exec_failed(process, err);
        return;
    }
    json_t *spec = process->spec;
    process->spec = NULL;
    process->state = PROCESS_STARTING;
    process->starting.done = exec_done;
    supervisor->runtime->operations->exec(supervisor->runtime, spec, &child, &process->starting);
    streams_close_child(&child);
    json_decref(spec);
}

void process_signal_send(struct process *process, int signal) {
    struct runtime *runtime = process->supervisor->runtime;
    if (process->state == PROCESS_STARTING)
        process->wanted_signal = signal;
    if (process->state != PROCESS_ALIVE)
        return;
    /* Not reaped yet, so the number cannot belong to anybody else. */
    if (process_is_init(process) && runtime != NULL)
        runtime->operations->signal(runtime, process->pid, signal);
    else if (kill(process->pid, signal) != 0)
        warn("kill %d with signal %d: %s", process->pid, signal, strerror(errno));
}

void process_resize(struct process *process, const struct winsize *size) {
    if (process->state == PROCESS_STARTING)
        process->wanted_size = *size;
    if (process->console_fd >= 0 && ioctl(process->console_fd, TIOCSWINSZ, size) != 0)
        warn("resize terminal: %s", strerror(errno));
}

/* --- the end
 * -----------------------------------------------------------------------------------------------------
 */

void process_reaped(struct process *process, int wait_status) {
    struct supervisor *supervisor = process->supervisor;
    process->wait_status = wait_status;
    clock_gettime(CLOCK_REALTIME, &process->exited_at);
    process->state = PROCESS_ENDED;
    /* Without it the terminal ends as soon as no process of the container has it open. */
    if (process->console_slave_fd >= 0)
        close(process->console_slave_fd);
    process->console_slave_fd = -1;
    loop_arm(&supervisor->loop, &process->drain, DRAIN_MS);
    streams_flow(process);
    supervisor->changed = true;
}

/* Of an exec, and before its attachments end: whoever sees the end of its output and asks the
 * daemon for the exit code gets it. The init is reported after its exit record (supervisor.c). */
static void report_exec(const struct process *process) {
    const struct supervisor *supervisor = process->supervisor;
    const struct runtime *runtime = supervisor->runtime;
    bool oom_killed = process_signal(process) == SIGKILL && runtime != NULL &&
                      runtime->operations->oom_killed(runtime);
    events_exited(process, oom_killed);
}

bool process_settle(struct process *process) {
    struct supervisor *supervisor = process->supervisor;
    if (process->state == PROCESS_ENDED && streams_drained(process)) {
        process->state = PROCESS_DRAINED;
        loop_disarm(&supervisor->loop, &process->drain);
        streams_close(process);
        if (!process_is_init(process))
            report_exec(process);
        attach_finish_all(process);
        process->progress_ms = loop_now_ms();
        loop_arm(&supervisor->loop, &process->patience, PATIENCE_MS);
    }
    attach_sweep(process);
    if (process->state == PROCESS_DRAINED && process->attachments == NULL)
        process->state = PROCESS_REPORTED;
    return process_is_over(process);
}

bool process_is_over(const struct process *process) {
    return process->state == PROCESS_REPORTED && process->attachments == NULL;
}

int process_exit_code(const struct process *process) {
    return WIFSIGNALED(process->wait_status) ? 128 + WTERMSIG(process->wait_status)
                                             : WEXITSTATUS(process->wait_status);
}

int process_signal(const struct process *process) {
    return WIFSIGNALED(process->wait_status) ? WTERMSIG(process->wait_status) : 0;
}
