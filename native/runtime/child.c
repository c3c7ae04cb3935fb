/* See child.h. */
#define _GNU_SOURCE
#include "child.h"
#include "../common/cleanup.h"
#include "identity.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>

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

int child_close_others(int keep, int also_keep, struct error **err) {
    int low = keep < also_keep ? keep : also_keep, high = keep < also_keep ? also_keep : keep;
    unsigned first = 3;
    if (low >= 3) {
        if ((unsigned)low > first && sys_close_range(first, (unsigned)low - 1, 0) < 0)
            return error_set(err, errno, "close", "descriptors");
        first = (unsigned)low + 1;
    }
    if (high >= 3) {
        if ((unsigned)high > first && sys_close_range(first, (unsigned)high - 1, 0) < 0)
            return error_set(err, errno, "close", "descriptors");
        first = (unsigned)high + 1;
    }
    if (sys_close_range(first, UINT_MAX, 0) < 0)
        return error_set(err, errno, "close", "descriptors");
    return 0;
}

int child_become(const struct config_process *process, struct error **err) {
    identity_own_stdio(process);
    if (identity_become(process, err) < 0 || identity_enter_directory(process, err) < 0)
        return -1;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return error_set(err, errno, "set", "the death signal");
    return 0;
}
