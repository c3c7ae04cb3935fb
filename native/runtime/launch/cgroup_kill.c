/* Killing what is in the container's control groups, and removing them. See cgroup.h. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REMOVE_TIMEOUT_MS 5000
#define FREEZE_TIMEOUT_MS 500

static void cgroup_pause(long milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

typedef void cgroup_visit(int directory_fd, void *context);

/* Calls visit for a group and all groups below it, deepest first. Takes the descriptor. */
static void cgroup_walk(int directory_fd, cgroup_visit *visit, void *context) {
    cleanup_close int own = directory_fd;
    int listed = fcntl(own, F_DUPFD_CLOEXEC, 3);
    cleanup_directory DIR *directory = listed < 0 ? NULL : fdopendir(listed);
    if (directory == NULL && listed >= 0)
        close(listed);
    if (directory != NULL)
        rewinddir(directory);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 ||
            strcmp(entry->d_name, "..") == 0)
            continue;
        int below = openat(own, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            cgroup_walk(below, visit, context);
        /* Fails for a group that is still in use: the caller tries again. */
        if (visit == NULL)
            unlinkat(own, entry->d_name, AT_REMOVEDIR);
    }
    if (visit != NULL)
        visit(own, context);
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

/* The hierarchy in which the processes are counted: v2 where there is one, else any v1. */
static const struct cgroup_hierarchy *cgroup_members(const struct cgroup *cgroup) {
    const struct cgroup_hierarchy *hierarchy = cgroup_find_v2(cgroup);
    if (hierarchy == NULL)
        hierarchy = cgroup_find_v1(cgroup, "pids");
    if (hierarchy == NULL)
        hierarchy = cgroup_find_v1(cgroup, "freezer");
    if (hierarchy == NULL && cgroup->count > 0)
        hierarchy = &cgroup->hierarchies[0];
    return hierarchy == NULL || hierarchy->directory_fd < 0 ? NULL : hierarchy;
}

/* Stops or continues all processes; frozen ones cannot fork away from a walk over their list. */
static void cgroup_freeze(const struct cgroup *cgroup, bool freeze) {
    const struct cgroup_hierarchy *v1 = cgroup_find_v1(cgroup, "freezer");
    const struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    if (v1 != NULL && v1->directory_fd >= 0) {
        char state[32] = "";
        if (cgroup_write(v1, "freezer.state", freeze ? "FROZEN" : "THAWED", NULL) < 0)
            return;
        for (int waited = 0; freeze && waited < FREEZE_TIMEOUT_MS; waited++) {
            if (cgroup_read(v1->directory_fd, "freezer.state", state, sizeof(state)) < 0 ||
                strcmp(state, "FROZEN") == 0)
                return;
            cgroup_pause(1);
        }
    } else if (v2 != NULL && v2->directory_fd >= 0) {
        cgroup_write(v2, "cgroup.freeze", freeze ? "1" : "0", NULL);
        for (int waited = 0; freeze && waited < FREEZE_TIMEOUT_MS; waited++) {
            char events[256];
            if (cgroup_read(v2->directory_fd, "cgroup.events", events, sizeof(events)) < 0 ||
                strstr(events, "frozen 1") != NULL)
                return;
            cgroup_pause(1);
        }
    }
}

static bool cgroup_is_frozen(const struct cgroup *cgroup) {
    const struct cgroup_hierarchy *v1 = cgroup_find_v1(cgroup, "freezer");
    const struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    char state[256] = "";
    if (v1 != NULL && v1->directory_fd >= 0)
        return cgroup_read(v1->directory_fd, "freezer.state", state, sizeof(state)) == 0 &&
               strcmp(state, "THAWED") != 0;
    return v2 != NULL && v2->directory_fd >= 0 &&
           cgroup_read(v2->directory_fd, "cgroup.freeze", state, sizeof(state)) == 0 &&
           strcmp(state, "1") == 0;
}

int cgroup_kill(const struct cgroup *cgroup, int signal, struct error **err) {
    const struct cgroup_hierarchy *members = cgroup_members(cgroup);
    if (members == NULL)
        return error_setf(err, ENOENT, "kill", "cgroup", "this host has no cgroups to signal");
    /* cgroup.kill: since 5.14, of all in the tree at once, and nothing forks past it. It reaches
     * frozen ones of v2; of v1 only once they thaw. */
    if (signal == SIGKILL && members->v2 && cgroup_write(members, "cgroup.kill", "1", NULL) == 0) {
        if (cgroup_find_v1(cgroup, "freezer") != NULL && cgroup_is_frozen(cgroup))
            cgroup_freeze(cgroup, false);
        return 0;
    }
    /* A container that was paused stays so, except to die. */
    bool frozen = cgroup_is_frozen(cgroup);
    if (!frozen)
        cgroup_freeze(cgroup, true);
    struct cgroup_signal order = {signal, 0};
    int fd = fcntl(members->directory_fd, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0)
        cgroup_walk(fd, cgroup_signal_group, &order);
    if (!frozen || signal == SIGKILL)
        cgroup_freeze(cgroup, false);
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
    cgroup_remove_all(cgroup);
    for (size_t index = 0; index < cgroup->count; index++) {
        struct cgroup_hierarchy *hierarchy = &cgroup->hierarchies[index];
        if (hierarchy->directory_fd >= 0)
            close(hierarchy->directory_fd);
        free(hierarchy->controllers);
        free(hierarchy->mount);
        free(hierarchy->directory);
    }
    free(cgroup->hierarchies);
    free(cgroup);
}
