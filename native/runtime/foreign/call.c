/* Running a runtime's program: see call.h. */
#define _GNU_SOURCE
#include "call.h"
#include "../../common/cleanup.h"
#include "../launch/syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

static char *const environment[] = {
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};

static void default_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        sys_signal_default(number);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int install(int from, int to, int nowhere) {
    return dup2(from >= 0 ? from : nowhere, to);
}

/* In the child. Reports errno over the pipe, which exec closes. */
static void __attribute__((noreturn))
become(char *const *arguments, const struct launch_stdio *stdio, pid_t parent, int report_fd) {
    static const struct launch_stdio none = {-1, -1, -1};
    const struct launch_stdio *wanted = stdio == NULL ? &none : stdio;
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* Above 2, so that no dup2 below overwrites it. */
    int report = fcntl(report_fd, F_DUPFD_CLOEXEC, 3);
    setsid();
    default_signals();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent && nowhere >= 0 &&
        report >= 0 && install(wanted->stdin_fd, STDIN_FILENO, nowhere) >= 0 &&
        install(wanted->stdout_fd, STDOUT_FILENO, nowhere) >= 0 &&
        install(wanted->stderr_fd, STDERR_FILENO, nowhere) >= 0 &&
        sys_close_range(3, ~0U, SYSCALLS_CLOSE_RANGE_CLOEXEC) == 0)
        execve(arguments[0], arguments, environment);
    int number = errno;
    ssize_t written = write(report < 0 ? report_fd : report, &number, sizeof(number));
    _exit(written < 0 ? 124 : 125);
}

pid_t call_start(char *const *arguments, const struct launch_stdio *stdio, struct error **err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set(err, errno, "runtime", arguments[0]);
    cleanup_close int report = ends[0];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(arguments, stdio, parent, ends[1]);
    int number = errno;
    close(ends[1]);
    if (pid < 0)
        return error_set(err, number, "runtime", arguments[0]);
    ssize_t length;
    do {
        length = read(report, &number, sizeof(number));
    } while (length < 0 && errno == EINTR);
    if (length != sizeof(number))
        return pid;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return error_setf(err, number, "runtime", arguments[0], "fork/exec %s: %s", arguments[0],
                      strerror(number));
}

void call_kill(pid_t pid) {
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* True where the process ended in time. */
static bool await_end(int pidfd, int limit_ms) {
    int64_t deadline_ms = now_ms() + limit_ms;
    for (;;) {
        int64_t left_ms = deadline_ms - now_ms();
        struct pollfd watched = {.fd = pidfd, .events = POLLIN};
        int count = poll(&watched, 1, left_ms > 0 ? (int)left_ms : 0);
        if (count > 0)
            return true;
        if (count == 0 && left_ms <= 0)
            return false;
    }
}

int call_wait(pid_t pid, int limit_ms, int *wait_status, struct error **err) {
    cleanup_close int pidfd = sys_pidfd_open(pid);
    bool in_time = pidfd >= 0 && await_end(pidfd, limit_ms);
    if (!in_time)
        call_kill(pid);
    pid_t waited;
    do {
        waited = waitpid(pid, wait_status, 0);
    } while (waited < 0 && errno == EINTR);
    if (waited < 0)
        return error_set(err, errno, "runtime", "wait");
    return in_time ? 0
                   : error_setf(err, ETIMEDOUT, "runtime", "", "it did not end within %d seconds",
                                limit_ms / 1000);
}
