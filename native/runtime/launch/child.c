/* See child.h. */
#define _GNU_SOURCE
#include "child.h"
#include "../../common/cleanup.h"
#include "identity.h"
#include "root_path.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Above all descriptors that dup2 is about to replace. */
#define HELD_FIRST 10

/* The parent blocks its signals (it reads them from a signalfd) and ignores some; exec would hand
 * both on. */
static void child_reset_signals(void) {
    sigset_t none;
    for (int number = 1; number < _NSIG; number++)
        sys_signal_default(number);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int child_begin(struct error **err) {
    /* Until exec, memory and descriptors are the host's: not dumpable means that no process of the
     * container may trace it or follow its /proc/PID/{fd,root,exe} (ptrace(2), "access mode
     * checking"). exec undoes it. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return error_set(err, errno, "make", "undumpable");
    /* A supervisor that is killed takes its container along while it is being set up; child_become
     * says it again, because a change of user forgets it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return error_set(err, errno, "set", "the death signal");
    child_reset_signals();
    if (setsid() < 0 && errno != EPERM)
        return error_set(err, errno, "setsid", "");
    return 0;
}

int child_leave_keyring(struct error **err) {
    /* ENOSYS: a kernel without keyrings. EDQUOT: root's keys are used up, by whoever; the container
     * would be no safer for not being started. */
    if (sys_join_session_keyring() >= 0 || errno == ENOSYS || errno == EDQUOT)
        return 0;
    return error_set(err, errno, "make", "a session keyring");
}

int child_hold_stdio(const struct launch_stdio *stdio, struct launch_stdio *held,
                     struct error **err) {
    held->stdin_fd = fcntl(stdio->stdin_fd, F_DUPFD_CLOEXEC, HELD_FIRST);
    held->stdout_fd = fcntl(stdio->stdout_fd, F_DUPFD_CLOEXEC, HELD_FIRST);
    held->stderr_fd = fcntl(stdio->stderr_fd, F_DUPFD_CLOEXEC, HELD_FIRST);
    if (held->stdin_fd < 0 || held->stdout_fd < 0 || held->stderr_fd < 0)
        return error_set(err, errno, "duplicate", "the standard descriptors");
    return 0;
}

int child_install_stdio(const struct launch_stdio *held, const struct console *console,
                        struct error **err) {
    bool terminal = console->slave >= 0;
    if (terminal && console_control(console, err) < 0)
        return -1;
    if (dup2(terminal ? console->slave : held->stdin_fd, STDIN_FILENO) < 0 ||
        dup2(terminal ? console->slave : held->stdout_fd, STDOUT_FILENO) < 0 ||
        dup2(terminal ? console->slave : held->stderr_fd, STDERR_FILENO) < 0)
        return error_set(err, errno, "install", "the standard descriptors");
    return 0;
}

int child_close_others(unsigned first, const int *keep, size_t count, struct error **err) {
    for (;;) {
        unsigned kept = UINT_MAX;
        for (size_t index = 0; index < count; index++) {
            if (keep[index] >= 0 && (unsigned)keep[index] >= first && (unsigned)keep[index] < kept)
                kept = (unsigned)keep[index];
        }
        if (kept > first && sys_close_range(first, kept == UINT_MAX ? kept : kept - 1, 0) < 0)
            return error_set(err, errno, "close", "descriptors");
        if (kept == UINT_MAX)
            return 0;
        first = kept + 1;
    }
}

int child_hand_down(unsigned count, struct error **err) {
    for (int fd = 3; fd < 3 + (int)count; fd++) {
        if (fcntl(fd, F_SETFD, 0) < 0)
            return error_set(err, errno, "preserve", "descriptors");
    }
    return 0;
}

int child_outlive(struct error **err) {
    if (prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) < 0)
        return error_set(err, errno, "clear", "the death signal");
    return 0;
}

static bool child_is_null(int fd, struct stat *status) {
    return fstatat(fd, "", status, AT_EMPTY_PATH) == 0 && S_ISCHR(status->st_mode) &&
           status->st_rdev == makedev(1, 3);
}

/* The container's /dev/null, or -1 where another file stands there: a running container can put one
 * there at any moment, so it is looked at before and after it is opened. */
static int child_open_null(int access) {
    struct stat before, after;
    cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup_close int found = root < 0 ? -1 : root_path_open(root, "/dev/null", O_PATH);
    if (found < 0 || !child_is_null(found, &before))
        return -1;
    cleanup_close int null = root_path_open(root, "/dev/null", access | O_NOCTTY | O_NONBLOCK);
    if (null < 0 || !child_is_null(null, &after) || after.st_dev != before.st_dev ||
        after.st_ino != before.st_ino || fcntl(null, F_SETFL, 0) < 0)
        return -1;
    return steal_fd(&null);
}

/* For the host's /dev/null among the standard descriptors the container's own is put: through
 * /proc/self/fd/0 a process that is root could change the mode and owner of the host's. */
static int child_replace_null(struct error **err) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        struct stat status;
        if (!child_is_null(fd, &status))
            continue;
        cleanup_close int null = child_open_null(fcntl(fd, F_GETFL) & O_ACCMODE);
        int ends[2];
        /* A pipe that nobody writes to reads like it. */
        if (null < 0 && fd == STDIN_FILENO && pipe2(ends, O_CLOEXEC) == 0) {
            close(ends[1]);
            null = ends[0];
        }
        if (null < 0)
            return error_setf(err, EINVAL, "open", "/dev/null",
                              "the container's /dev/null is no null device");
        if (dup2(null, fd) < 0)
            return error_set(err, errno, "install", "/dev/null");
    }
    return 0;
}

int child_become(const struct config_process *process, struct error **err) {
    if (child_replace_null(err) < 0)
        return -1;
    identity_own_stdio(process);
    if (identity_become(process, err) < 0 || identity_enter_directory(process, err) < 0)
        return -1;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return error_set(err, errno, "set", "the death signal");
    return 0;
}
