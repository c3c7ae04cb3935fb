/*
 * Execs of another runtime, which are under way for as long as its program runs: the loop goes on
 * meanwhile. See foreign.h.
 *
 * The program's end is what tells that the process executes, and only then its number is known. A
 * short process may have been reaped by then: while an exec is under way, ends of unknown processes
 * are kept.
 */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "call.h"
#include "foreign.h"
#include "message.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct foreign_exec {
    struct foreign *foreign;
    struct foreign_exec *next;
    struct runtime_exec *owner;
    /* Of the runtime's program. */
    pid_t call;
    struct timer limit;
    bool timed_out;
    bool terminal;
    /* The writing end of its stderr, for what the program said; -1 without. */
    int stderr_fd;
    struct console_socket console;
    struct foreign_files files;
};

static const char step[] = "runtime exec";

static void free_exec(struct foreign_exec *exec) {
    loop_disarm(exec->foreign->loop, &exec->limit);
    console_socket_close(&exec->console);
    foreign_remove_files(&exec->files);
    if (exec->stderr_fd >= 0)
        close(exec->stderr_fd);
    free(exec);
}

static void limit_over(struct timer *timer) {
    struct foreign_exec *exec =
        (struct foreign_exec *)((char *)timer - offsetof(struct foreign_exec, limit));
    exec->timed_out = true;
    call_kill(exec->call);
}

static int start_call(struct foreign_exec *exec, const json_t *process,
                      const struct launch_stdio *stdio, struct error **err) {
    struct foreign *foreign = exec->foreign;
    const char *words[] = {"--process",  exec->files.process,
                           "--pid-file", exec->files.pid,
                           "--detach",   NULL,
                           NULL,         NULL,
                           NULL};
    size_t count = 5;
    if (foreign_write_process(exec->files.process, process, err) != 0)
        return -1;
    if (exec->terminal) {
        if (console_socket_open(foreign->bundle, exec->files.console, &exec->console, err) != 0)
            return -1;
        words[count++] = "--console-socket";
        words[count++] = exec->console.path;
    }
    words[count] = foreign->config->id;
    cleanup_free char **arguments = foreign_arguments(foreign, exec->files.log, "exec", words);
    if (arguments == NULL)
        return error_set(err, ENOMEM, step, "");
    exec->call = call_start(arguments, exec->terminal ? NULL : stdio, err);
    return exec->call < 0 ? -1 : 0;
}

void foreign_exec(struct runtime *runtime, const json_t *process, const struct launch_stdio *stdio,
                  struct runtime_exec *owner) {
    struct foreign *foreign = (struct foreign *)runtime;
    struct error *err = NULL;
    struct foreign_exec *exec = calloc(1, sizeof(*exec));
    if (exec == NULL) {
        owner->done(owner, NULL, NULL, NULL);
        return;
    }
    exec->foreign = foreign;
    exec->owner = owner;
    exec->limit.fire = limit_over;
    exec->console = CONSOLE_SOCKET_NONE;
    exec->terminal = json_is_true(json_object_get(process, "terminal"));
    exec->stderr_fd = fcntl(stdio->stderr_fd, F_DUPFD_CLOEXEC, 3);
    foreign_name_files(foreign, &exec->files);
    if (start_call(exec, process, stdio, &err) != 0) {
        free_exec(exec);
        owner->done(owner, NULL, NULL, err);
        return;
    }
    loop_arm(foreign->loop, &exec->limit, FOREIGN_LIMIT_MS);
    exec->next = foreign->execs;
    foreign->execs = exec;
}

static const int *find_ended(const struct foreign *foreign, pid_t pid) {
    for (unsigned i = 0; i < foreign->ended_count; i++)
        if (foreign->ended[i].pid == pid)
            return &foreign->ended[i].wait_status;
    return NULL;
}

static int finish(struct foreign_exec *exec, int wait_status, struct launch_process *made,
                  const int **ended, struct error **err) {
    const struct foreign *foreign = exec->foreign;
    if (exec->timed_out)
        return error_setf(err, ETIMEDOUT, step, "", "%s did not end within %d seconds",
                          foreign_program(foreign), FOREIGN_LIMIT_MS / 1000);
    if (wait_status != 0)
        return message_set(exec->files.log, exec->stderr_fd, wait_status, step,
                           foreign_program(foreign), err);
    made->pid = foreign_read_pid(foreign, step, exec->files.pid, err);
    if (made->pid < 0)
        return -1;
    *ended = find_ended(foreign, made->pid);
    if (*ended == NULL && !foreign_is_child(made->pid))
        return error_setf(err, ECHILD, step, "",
                          "the process that %s has made is not a child of the supervisor",
                          foreign_program(foreign));
    if (!exec->terminal)
        return 0;
    made->console_fd = console_socket_take(&exec->console, err);
    if (made->console_fd < 0 && *ended == NULL)
        kill(made->pid, SIGKILL);
    return made->console_fd < 0 ? -1 : 0;
}

bool foreign_exec_reaped(struct foreign *foreign, pid_t pid, int wait_status) {
    struct foreign_exec **at = &foreign->execs;
    while (*at != NULL && (*at)->call != pid)
        at = &(*at)->next;
    struct foreign_exec *exec = *at;
    if (exec == NULL)
        return false;
    struct launch_process made = {.pid = 0, .console_fd = -1, .sync_fd = -1};
    const int *ended = NULL;
    struct error *err = NULL;
    int result = finish(exec, wait_status, &made, &ended, &err);
    *at = exec->next;
    struct runtime_exec *owner = exec->owner;
    free_exec(exec);
    if (result == 0)
        owner->done(owner, &made, ended, NULL);
    else
        owner->done(owner, NULL, NULL, err);
    if (foreign->execs == NULL)
        foreign->ended_count = 0;
    return true;
}

void foreign_exec_abandon(struct foreign *foreign) {
    while (foreign->execs != NULL) {
        struct foreign_exec *exec = foreign->execs;
        foreign->execs = exec->next;
        call_kill(exec->call);
        while (waitpid(exec->call, NULL, 0) < 0 && errno == EINTR)
            continue;
        free_exec(exec);
    }
}
