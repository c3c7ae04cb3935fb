/* Which processes are in the container's control groups. See cgroup.h. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Deeper than any hierarchy that works (cgroup v2 allows what cgroup.max.depth says, v1 anything):
 * a container that manages groups of its own decides how deep it nests them. */
#define MAX_DEPTH 64

static void cgroup_walk_below(int directory_fd, cgroup_visit *visit, void *context, int depth) {
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
        int below = depth == 0 ? -1
                               : openat(own, entry->d_name,
                                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            cgroup_walk_below(below, visit, context, depth - 1);
        /* Fails for a group that is still in use: the caller tries again. */
        if (visit == NULL)
            unlinkat(own, entry->d_name, AT_REMOVEDIR);
    }
    if (visit != NULL)
        visit(own, context);
}

void cgroup_walk(int directory_fd, cgroup_visit *visit, void *context) {
    cgroup_walk_below(directory_fd, visit, context, MAX_DEPTH);
}

const struct cgroup_hierarchy *cgroup_members(const struct cgroup *cgroup) {
    const struct cgroup_hierarchy *hierarchy = cgroup_find_v2(cgroup);
    if (hierarchy == NULL)
        hierarchy = cgroup_find_v1(cgroup, "pids");
    if (hierarchy == NULL)
        hierarchy = cgroup_find_v1(cgroup, "freezer");
    if (hierarchy == NULL && cgroup->count > 0)
        hierarchy = &cgroup->hierarchies[0];
    return hierarchy == NULL || hierarchy->directory_fd < 0 ? NULL : hierarchy;
}

static void members_seek(int directory_fd, void *context) {
    /* Read as text: processes of a pid namespace that we do not see are 0 there, and count. */
    char text[32];
    bool *found = context;
    *found = *found || (cgroup_read(directory_fd, "cgroup.procs", text, sizeof(text)) == 0 &&
                        text[0] != '\0');
}

bool cgroup_is_in_use(int directory_fd) {
    struct stat status;
    bool found = false;
    members_seek(directory_fd, &found);
    /* Each group below is a link. */
    if (found || (fstat(directory_fd, &status) == 0 && status.st_nlink <= 2))
        return found;
    int fd = fcntl(directory_fd, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0)
        cgroup_walk(fd, members_seek, &found);
    return found;
}

struct members_list {
    pid_t *pids;
    size_t count, room;
    bool failed;
};

static void members_add(struct members_list *list, pid_t pid) {
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 64 : list->room * 2;
        pid_t *grown = reallocarray(list->pids, room, sizeof(*grown));
        if (grown == NULL) {
            list->failed = true;
            return;
        }
        list->pids = grown;
        list->room = room;
    }
    list->pids[list->count++] = pid;
}

static void members_read(int directory_fd, void *context) {
    struct members_list *list = context;
    cleanup_close int fd = openat(directory_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (file == NULL)
        return;
    steal_fd(&fd);
    int pid;
    while (!list->failed && fscanf(file, "%d", &pid) == 1) {
        /* 0: a process of a pid namespace that we do not see. */
        if (pid > 0)
            members_add(list, pid);
    }
    fclose(file);
}

static int members_compare(const void *left, const void *right) {
    const pid_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

int cgroup_pids(const struct cgroup *cgroup, pid_t **pids, size_t *count, struct error **err) {
    const struct cgroup_hierarchy *members = cgroup_members(cgroup);
    if (members == NULL)
        return error_setf(err, ENOENT, "cgroup", "", "the container has no cgroup");
    int fd = fcntl(members->directory_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return error_set(err, errno, "open", members->directory);
    struct members_list list = {NULL, 0, 0, false};
    cgroup_walk(fd, members_read, &list);
    if (list.failed) {
        free(list.pids);
        return fields_no_memory(err);
    }
    if (list.count > 0)
        qsort(list.pids, list.count, sizeof(*list.pids), members_compare);
    /* A process that moved between two groups may have been met in both. */
    size_t kept = 0;
    for (size_t index = 0; index < list.count; index++) {
        if (kept == 0 || list.pids[kept - 1] != list.pids[index])
            list.pids[kept++] = list.pids[index];
    }
    *pids = list.pids;
    *count = kept;
    return 0;
}
