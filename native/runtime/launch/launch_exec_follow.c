/*
 * The parent's half of an exec: what the two children of launch_exec.c say. Nothing that happens in
 * the container keeps the caller waiting for long: the second child stands in the container's
 * namespaces, where others may stop it, and looks for its program in file systems that they may
 * serve.
 */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "child_await.h"
#include "filter_listener.h"
#include "launch_exec.h"
#include "sync.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
    /* Between two messages, which take a millisecond where nothing interferes. */
    EXEC_LIMIT_SEC = 15,
    /* One of each kind, and some. */
    EXEC_MESSAGES = 8,
};

static bool exec_is_child(pid_t pid) {
    siginfo_t info;
    return pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* The process that loaded the filter waits for its listener to be taken; on failure it leaves. */
static int exec_forward_listener(const struct launch_container *container, int sync_fd, pid_t pid,
                                 int number, struct error **err) {
    struct hooks_container about = launch_about(container);
    if (filter_forward_listener(&container->filter, &about, "running", pid, number, sync_fd, err) ==
        0)
        return 0;
    shutdown(sync_fd, SHUT_WR);
    return -1;
}

/* The second stands in front of its exec. On failure it reads end-of-file, and leaves. */
static int exec_let_go(const struct exec_request *request, int sync_fd, pid_t pid,
                       struct error **err) {
    if (scheduling_apply(&request->scheduling, pid, err) == 0 &&
        scheduling_widen(&request->scheduling, pid, err) == 0)
        return sync_send(sync_fd, SYNC_GO, 0, -1) < 0 ? error_set(err, errno, "exec", "") : 0;
    shutdown(sync_fd, SHUT_WR);
    return -1;
}

static const char *exec_step(bool ready, pid_t second) {
    if (ready)
        return "exec: execute the program";
    return second > 0 ? "exec: set the process up" : "exec: enter the container";
}

/* Sets out->pid as soon as the second child is known. */
static int exec_read(const struct exec_request *request, int sync_fd, pid_t first,
                     struct launch_process *out, struct error **err) {
    const struct launch_container *container = request->container;
    bool ready = false, failed = false, waits = exec_waits(request);
    /* A descriptor's number that came before the pid of the second child, whose it is. */
    int listener = -1;
    for (int count = 0; count < EXEC_MESSAGES; count++) {
        struct sync_message message;
        const pid_t children[2] = {first, out->pid};
        cleanup_close int attached = -1;
        if (child_await(sync_fd, children, EXEC_LIMIT_SEC, exec_step(ready, out->pid), err) < 0 ||
            sync_receive(sync_fd, &message, &attached, err) < 0)
            return -1;
        switch (message.type) {
        case SYNC_PID:
            /* What a process of the container may have had a hand in is not believed: the pid is
             * one day killed. */
            if (out->pid > 0 || !exec_is_child(message.pid))
                return error_setf(err, ECHILD, "exec", "",
                                  "the process said a pid that is not its own");
            out->pid = message.pid;
            if (listener >= 0 &&
                exec_forward_listener(container, sync_fd, out->pid, listener, err) < 0)
                failed = true;
            break;
        case SYNC_LISTENER:
            if (exec_is_exposed(container) || out->pid > 0)
                failed = exec_forward_listener(container, sync_fd, out->pid > 0 ? out->pid : first,
                                               message.pid, err) < 0;
            else
                listener = message.pid;
            break;
        case SYNC_READY:
            if (!ready)
                out->console_fd = steal_fd(&attached);
            ready = true;
            break;
        case SYNC_FAILED:
            failed = true;
            sync_adopt(&message, err);
            break;
        default:
            if (failed || (ready && out->pid > 0))
                return failed ? -1 : 0;
            return error_setf(
                err, ESRCH, "exec", "",
                "the process ended while it was set up: the container may have ended");
        }
        if (waits && ready && !failed && out->pid > 0) {
            waits = false;
            failed = exec_let_go(request, sync_fd, out->pid, err) < 0;
        }
    }
    return error_setf(err, EPROTO, "exec", "", "the process says too much");
}

int exec_follow(const struct exec_request *request, int sync_fd, pid_t first,
                struct launch_process *out, struct error **err) {
    if (exec_read(request, sync_fd, first, out, err) == 0) {
        child_reap(first);
        return 0;
    }
    child_end(first);
    if (out->pid > 0)
        child_end(out->pid);
    return -1;
}
