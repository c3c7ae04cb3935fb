/* See child_await.h. */
#define _GNU_SOURCE
#include "child_await.h"
#include "../../common/cleanup.h"
#include "syscalls.h"
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

enum {
    LOOK_MS = 100,
    /* A process that was continued by mistake of the stopper's gets through in far less. */
    STOPPED_MS = 3000,
    REAP_MS = 2000,
};

static int64_t await_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 1 where fd can be read, 0 where not in time. */
static int await_readable(int fd, int timeout_ms) {
    struct pollfd item = {.fd = fd, .events = POLLIN};
    int ready = poll(&item, 1, timeout_ms);
    return ready < 0 && errno == EINTR ? 0 : ready;
}

static bool await_has_stopped(pid_t pid) {
    siginfo_t info = {.si_pid = 0};
    return pid > 0 && waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG) == 0 &&
           info.si_pid == pid;
}

/* Continues those that are stopped in front of their exec: the channel's end would tell of it, and
 * who is stopped does not get there meanwhile. A child that is not reaped keeps its number. */
static bool await_continue(int sync_fd, const pid_t pids[2]) {
    bool any = false;
    for (int index = 0; index < 2; index++) {
        if (!await_has_stopped(pids[index]) || await_readable(sync_fd, 0) != 0)
            continue;
        kill(pids[index], SIGCONT);
        any = true;
    }
    return any;
}

int child_await(int sync_fd, const pid_t pids[2], int limit_sec, const char *step,
                struct error **err) {
    int64_t begin_ms = 0, stopped_ms = 0;
    for (;;) {
        int ready = await_readable(sync_fd, LOOK_MS);
        if (ready != 0)
            return ready < 0 ? error_set(err, errno, "poll", "the child's channel") : 0;
        int64_t now_ms = await_now_ms();
        if (begin_ms == 0)
            begin_ms = now_ms;
        if (await_continue(sync_fd, pids) && stopped_ms == 0)
            stopped_ms = now_ms;
        if (stopped_ms != 0 && now_ms - stopped_ms >= STOPPED_MS)
            return error_setf(err, ETIMEDOUT, step, "",
                              "%s: another process stops the process in front of its program",
                              step);
        if (limit_sec != 0 && now_ms - begin_ms >= (int64_t)limit_sec * 1000)
            return error_setf(err, ETIMEDOUT, step, "", "%s: not done within %d seconds", step,
                              limit_sec);
    }
}

void child_reap(pid_t pid) {
    cleanup_close int pidfd = sys_pidfd_open(pid);
    if (pidfd >= 0)
        await_readable(pidfd, REAP_MS);
    waitpid(pid, NULL, WNOHANG);
}

void child_end(pid_t pid) {
    kill(pid, SIGKILL);
    child_reap(pid);
}
