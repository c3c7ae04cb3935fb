/* Out of memory in the container's control groups: how often the kernel killed, and being told when
 * it happens (the kernel's cgroup-v1/memory, "OOM Control"; admin-guide/cgroup-v2,
 * "memory.events"). See cgroup.h. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

static long cgroup_counter(const char *text, const char *name) {
    for (const char *line = text; line != NULL && *line != '\0';) {
        size_t length = strlen(name);
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtol(line + length + 1, NULL, 10);
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return -1;
}

long cgroup_oom_kills(const struct cgroup *cgroup) {
    char text[1024];
    const struct cgroup_hierarchy *hierarchy = cgroup_find_v1(cgroup, "memory");
    const char *file = "memory.oom_control";
    if (hierarchy == NULL) {
        hierarchy = cgroup_find_v2(cgroup);
        file = "memory.events";
    }
    if (hierarchy == NULL || hierarchy->directory_fd < 0 ||
        cgroup_read(hierarchy->directory_fd, file, text, sizeof(text)) < 0)
        return -1;
    long kills = cgroup_counter(text, "oom_kill");
    return kills < 0 ? -1 : kills - cgroup->oom_kills;
}

/* v1: the kernel counts an eventfd up; also when the group is removed. */
static int oom_watch_v1(const struct cgroup_hierarchy *memory) {
    char order[64];
    cleanup_close int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cleanup_close int control =
        openat(memory->directory_fd, "memory.oom_control", O_RDONLY | O_CLOEXEC);
    if (event < 0 || control < 0)
        return -1;
    snprintf(order, sizeof(order), "%d %d", event, control);
    if (cgroup_write(memory, "cgroup.event_control", order, NULL) < 0)
        return -1;
    return steal_fd(&event);
}

/* v2: memory.events is modified, for this and for other reasons. */
static int oom_watch_v2(const struct cgroup_hierarchy *v2) {
    char path[PATH_MAX];
    cleanup_close int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    snprintf(path, sizeof(path), "%s/memory.events", v2->directory);
    if (fd < 0 || inotify_add_watch(fd, path, IN_MODIFY) < 0)
        return -1;
    return steal_fd(&fd);
}

int cgroup_oom_watch(const struct cgroup *cgroup) {
    const struct cgroup_hierarchy *memory = cgroup_find_v1(cgroup, "memory");
    if (memory != NULL)
        return oom_watch_v1(memory);
    const struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    return v2 == NULL ? -1 : oom_watch_v2(v2);
}

bool cgroup_oom_taken(const struct cgroup *cgroup, int fd, long *told) {
    char buffer[4096] __attribute__((aligned(8)));
    bool any = false;
    ssize_t got;
    /* An eventfd has one number, inotify any number of events. */
    while ((got = read(fd, buffer, sizeof(buffer))) > 0)
        any = true;
    if (!any)
        return false;
    if (cgroup_find_v1(cgroup, "memory") != NULL)
        return true;
    long kills = cgroup_oom_kills(cgroup);
    bool more = kills > *told;
    *told = more ? kills : *told;
    return more;
}
