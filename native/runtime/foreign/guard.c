/* Waiting for the supervisor's death: see guard.h. */
#define _GNU_SOURCE
#include "guard.h"
#include "../launch/syscalls.h"
#include "../supervisor/leave_daemon.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

enum { ATTEMPTS = 500, PAUSE_MS = 20 };

static void pause_a_moment(void) {
    struct timespec time = {0, PAUSE_MS * 1000000L};
    nanosleep(&time, NULL);
}

static void kill_all(const struct cgroup *cgroup) {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        pid_t *pids = NULL;
        size_t count = 0;
        int result = cgroup_kill(cgroup, SIGKILL, NULL);
        if (result == 0)
            result = cgroup_pids(cgroup, &pids, &count, NULL);
        free(pids);
        if (result != 0 || count == 0)
            return;
        pause_a_moment();
    }
}

/* Its descriptors are its own: it must not keep the container's pipes or the daemon's connections
 * open. */
static void __attribute__((noreturn))
guard_run(const struct cgroup_request *request, pid_t supervisor) {
    sigset_t death;
    struct cgroup *cgroup;
    sigemptyset(&death);
    sigaddset(&death, SIGUSR1);
    sigprocmask(SIG_BLOCK, &death, NULL);
    prctl(PR_SET_NAME, "mydock-guard", 0, 0, 0);
    sys_close_range(0, ~0U, 0);
    if (open("/dev/null", O_RDWR) != 0 || dup(0) != 1 || dup(0) != 2 ||
        cgroup_open(request, &cgroup, NULL) != 0 || prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0) != 0)
        _exit(1);
    leave_daemon_cgroups();
    while (getppid() == supervisor)
        sigwaitinfo(&death, NULL);
    kill_all(cgroup);
    _exit(0);
}

pid_t guard_start(const struct cgroup_request *request, struct error **err) {
    pid_t supervisor = getpid();
    pid_t pid = fork();
    if (pid == 0)
        guard_run(request, supervisor);
    return pid < 0 ? error_set(err, errno, "fork", "guard") : pid;
}

void guard_stop(pid_t pid) {
    if (pid <= 0)
        return;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}
