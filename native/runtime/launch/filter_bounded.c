/* See filter_bounded.h. The result comes back in a file in memory. */
#define _GNU_SOURCE
#include "filter_bounded.h"
#include "../../common/cleanup.h"
#include "filter.h"
#include "syscalls.h"
#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CODE_BYTES_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))

/* In front of the code. */
struct bounded_result {
    /* The child came to its end. */
    bool done;
    /* Else `error`. */
    bool made;
    size_t bytes;
    struct error error;
};

static void __attribute__((noreturn))
bounded_child(const struct fields *profile, int fd, pid_t parent) {
    struct bounded_result result = {.done = true};
    struct error *err = NULL;
    void *code = NULL;
    /* Nobody else would end it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(1);
    result.made = filter_compile(profile, &code, &result.bytes, &err) == 0;
    if (err != NULL)
        result.error = *err;
    if (result.made && pwrite(fd, code, result.bytes, sizeof(result)) != (ssize_t)result.bytes)
        _exit(1);
    if (pwrite(fd, &result, sizeof(result), 0) != (ssize_t)sizeof(result))
        _exit(1);
    _exit(0);
}

static long long bounded_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for the child; false where it had to be killed. */
static bool bounded_wait(pid_t pid, int pidfd, int limit_ms) {
    long long end_ms = bounded_now_ms() + limit_ms;
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    int ready;
    do {
        long long left_ms = end_ms - bounded_now_ms();
        ready = poll(&ended, 1, left_ms < 0 ? 0 : (int)left_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        sys_pidfd_send_signal(pidfd, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return ready > 0;
}

static int bounded_take(int fd, void **code, size_t *bytes, struct error **err) {
    struct bounded_result result = {.done = false};
    if (pread(fd, &result, sizeof(result), 0) != (ssize_t)sizeof(result) || !result.done ||
        result.bytes > CODE_BYTES_MAX)
        return error_setf(err, ENOMEM, "compile", "the seccomp filter",
                          "the process that compiles the seccomp filter was killed");
    if (!result.made)
        return error_setf(err, result.error.number, result.error.step, result.error.object, "%s",
                          result.error.message);
    cleanup_free char *made = malloc(result.bytes);
    if (made == NULL || pread(fd, made, result.bytes, sizeof(result)) != (ssize_t)result.bytes)
        return fields_no_memory(err);
    *bytes = result.bytes;
    *code = steal_pointer(&made);
    return 0;
}

int filter_compile_bounded(const struct fields *profile, int limit_ms, void **code, size_t *bytes,
                           struct error **err) {
    cleanup_close int fd = memfd_create("seccomp", MFD_CLOEXEC);
    pid_t parent = getpid();
    pid_t pid = fd < 0 ? -1 : fork();
    if (pid == 0)
        bounded_child(profile, fd, parent);
    if (pid < 0)
        return error_set(err, errno, "compile", "the seccomp filter");
    cleanup_close int pidfd = sys_pidfd_open(pid);
    if (pidfd < 0) {
        int number = errno;
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        return error_set(err, number, "pidfd_open", "the seccomp filter's compilation");
    }
    if (!bounded_wait(pid, pidfd, limit_ms))
        return error_setf(err, ETIMEDOUT, "compile", "the seccomp filter",
                          "the seccomp profile was not compiled in %d s: libseccomp fails on "
                          "several rules with conditions of the same arguments of one syscall",
                          limit_ms / 1000);
    return bounded_take(fd, code, bytes, err);
}
