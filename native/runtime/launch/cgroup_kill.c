/* Killing what is in the container's control groups, and removing them. See cgroup.h. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "cgroup.h"
#include "systemd_scope.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REMOVE_TIMEOUT_MS 5000
/* How long a walk over the processes waits for them to stand still. */
#define FREEZE_TIMEOUT_MS 500

static void cgroup_pause(long milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

struct cgroup_signal {
    int signal;
    size_t sent;
};

static void cgroup_signal_group(int directory_fd, void *context) {
    struct cgroup_signal *order = context;
    cleanup_close int fd = openat(directory_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (file == NULL)
        return;
    steal_fd(&fd);
    int pid;
    /* 0: a process of a pid namespace that we do not see. */
    while (fscanf(file, "%d", &pid) == 1) {
        if (pid > 0 && pid != getpid() && kill(pid, order->signal) == 0)
            order->sent++;
    }
    fclose(file);
}

int cgroup_kill(const struct cgroup *cgroup, int signal, struct error **err) {
    const struct cgroup_hierarchy *members = cgroup_members(cgroup);
    if (members == NULL)
        return error_setf(err, ENOENT, "kill", "cgroup", "this host has no cgroups to signal");
    /* cgroup.kill: since 5.14, of all in the tree at once, and nothing forks past it. It reaches
     * frozen ones of v2; of v1 only once they thaw. */
    if (signal == SIGKILL && members->v2 && cgroup_write(members, "cgroup.kill", "1", NULL) == 0) {
        if (cgroup_find_v1(cgroup, "freezer") != NULL && cgroup_is_frozen(cgroup))
            cgroup_try_freeze(cgroup, false, 0);
        return 0;
    }
    /* A container that was paused stays so, except to die. */
    bool frozen = cgroup_is_frozen(cgroup);
    if (!frozen)
        cgroup_try_freeze(cgroup, true, FREEZE_TIMEOUT_MS);
    struct cgroup_signal order = {signal, 0};
    int fd = fcntl(members->directory_fd, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0)
        cgroup_walk(fd, cgroup_signal_group, &order);
    if (!frozen || signal == SIGKILL)
        cgroup_try_freeze(cgroup, false, 0);
    return fd < 0 ? error_set(err, errno, "open", members->directory) : 0;
}

static bool cgroup_has_processes(const struct cgroup *cgroup) {
    const struct cgroup_hierarchy *members = cgroup_members(cgroup);
    if (members == NULL)
        return false;
    int fd = fcntl(members->directory_fd, F_DUPFD_CLOEXEC, 3);
    struct cgroup_signal order = {0, 0};
    if (fd >= 0)
        cgroup_walk(fd, cgroup_signal_group, &order);
    return order.sent > 0;
}

/* Removes a group of one hierarchy and all below; false while the kernel still counts processes in
 * it. */
static bool cgroup_remove(const struct cgroup_hierarchy *hierarchy) {
    if (rmdir(hierarchy->directory) == 0 || errno == ENOENT)
        return true;
    int fd = fcntl(hierarchy->directory_fd, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0)
        cgroup_walk(fd, NULL, NULL);
    return rmdir(hierarchy->directory) == 0 || errno == ENOENT;
}

static void cgroup_remove_all(struct cgroup *cgroup) {
    long pause = 1;
    for (long waited = 0;; waited += pause, pause = pause < 16 ? pause * 2 : pause) {
        bool all = true;
        for (size_t index = 0; index < cgroup->count; index++) {
            struct cgroup_hierarchy *hierarchy = &cgroup->hierarchies[index];
            if (hierarchy->directory_fd < 0)
                continue;
            if (!cgroup_remove(hierarchy)) {
                all = false;
                continue;
            }
            close(steal_fd(&hierarchy->directory_fd));
        }
        if (all || waited > REMOVE_TIMEOUT_MS)
            return;
        /* A killed process is counted until it is really gone. */
        if (cgroup_has_processes(cgroup))
            cgroup_kill(cgroup, SIGKILL, NULL);
        cgroup_pause(pause);
    }
}

void cgroup_destroy(struct cgroup *cgroup) {
    if (cgroup == NULL)
        return;
    if (cgroup->scope != NULL) {
        /* The scope ends with its last process; what is asked of systemd has little left to do. */
        systemd_scope_settle(cgroup->scope);
        if (cgroup_has_processes(cgroup))
            cgroup_kill(cgroup, SIGKILL, NULL);
        systemd_scope_stop(cgroup->scope);
        cgroup->scope = NULL;
    }
    cgroup_remove_all(cgroup);
    cgroup_close(cgroup);
}
