/* Finding, making, joining and removing control groups. See cgroup.h. */
#define _GNU_SOURCE
#include "cgroup.h"
#include "../../common/cleanup.h"
#include "cgroup_mounts.h"
#include "systemd_scope.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cgroup_hierarchy *cgroup_find_v1(const struct cgroup *cgroup, const char *controller) {
    size_t length = strlen(controller);
    for (size_t index = 0; index < cgroup->count; index++) {
        struct cgroup_hierarchy *hierarchy = &cgroup->hierarchies[index];
        for (const char *name = hierarchy->controllers; !hierarchy->v2 && name != NULL;) {
            size_t end = strcspn(name, ",");
            if (end == length && memcmp(name, controller, length) == 0)
                return hierarchy;
            name = name[end] == ',' ? name + end + 1 : NULL;
        }
    }
    return NULL;
}

struct cgroup_hierarchy *cgroup_find_v2(const struct cgroup *cgroup) {
    for (size_t index = 0; index < cgroup->count; index++) {
        if (cgroup->hierarchies[index].v2)
            return &cgroup->hierarchies[index];
    }
    return NULL;
}

int cgroup_missing(const char *controller, const char *limit, struct error **err) {
    return error_setf(err, ENOENT, "cgroup", controller,
                      "cannot set %s: this host has no %s cgroup controller", limit, controller);
}

static int cgroup_open_file(int directory_fd, const char *file, int flags) {
    int fd = openat(directory_fd, file, flags | O_CLOEXEC);
    return fd;
}

int cgroup_write(const struct cgroup_hierarchy *hierarchy, const char *file, const char *text,
                 struct error **err) {
    cleanup_close int fd = cgroup_open_file(hierarchy->directory_fd, file, O_WRONLY);
    if (fd >= 0 && write(fd, text, strlen(text)) >= 0)
        return 0;
    int number = errno;
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", hierarchy->directory, file);
    return error_setf(err, number, "cgroup", path, "write %s to %s: %s", text, path,
                      strerror(number));
}

int cgroup_write_number(const struct cgroup_hierarchy *hierarchy, const char *file, int64_t number,
                        struct error **err) {
    char text[32];
    snprintf(text, sizeof(text), "%lld", (long long)number);
    return cgroup_write(hierarchy, file, text, err);
}

int cgroup_read(int directory_fd, const char *file, char *text, size_t size) {
    cleanup_close int fd = cgroup_open_file(directory_fd, file, O_RDONLY);
    if (fd < 0)
        return -1;
    /* The kernel hands out a page at a time. */
    size_t filled = 0;
    ssize_t got;
    while (filled + 1 < size && (got = read(fd, text + filled, size - 1 - filled)) != 0) {
        if (got < 0)
            return -1;
        filled += (size_t)got;
    }
    while (filled > 0 && text[filled - 1] == '\n')
        filled--;
    text[filled] = '\0';
    return 0;
}

/* The next component of the path below parent_fd, made if it is missing. leaf: its children need no
 * controllers. */
static int cgroup_enter(const struct cgroup_hierarchy *hierarchy, int parent_fd, const char *name,
                        bool systemd, struct error **err) {
    /* systemd has turned on what is needed above its scope, and is the only one to write there. */
    if (hierarchy->v2 && !systemd)
        cgroup_v2_enable(parent_fd);
    bool made = mkdirat(parent_fd, name, 0755) == 0;
    if (!made && errno != EEXIST)
        return error_setf(err, errno, "cgroup", hierarchy->directory, "make %s: %s",
                          hierarchy->directory, strerror(errno));
    cleanup_close int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, errno, "open", hierarchy->directory);
    if (strstr(hierarchy->controllers, "cpuset") != NULL &&
        cgroup_v1_inherit_cpuset(parent_fd, fd, hierarchy->directory, err) < 0)
        return -1;
    return steal_fd(&fd);
}

/* Makes the whole path, one component after the other. */
static int cgroup_make_path(struct cgroup_hierarchy *hierarchy, const char *path, bool systemd,
                            struct error **err) {
    cleanup_close int fd = open(hierarchy->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_free char *rest = strdup(path);
    if (rest == NULL)
        return fields_no_memory(err);
    if (fd < 0)
        return error_set(err, errno, "open", hierarchy->mount);
    char *position = NULL;
    for (char *name = strtok_r(rest, "/", &position); name != NULL;
         name = strtok_r(NULL, "/", &position)) {
        int next = cgroup_enter(hierarchy, fd, name, systemd, err);
        if (next < 0)
            return -1;
        close(fd);
        fd = next;
    }
    return steal_fd(&fd);
}

/* On v1 the parents mostly stand already, and one mkdir does; a cpuset group still needs its
 * parent's values. */
static int cgroup_make_last(const struct cgroup_hierarchy *hierarchy) {
    if (hierarchy->v2 || strstr(hierarchy->controllers, "cpuset") != NULL)
        return -1;
    if (mkdir(hierarchy->directory, 0755) < 0)
        return -1;
    return open(hierarchy->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* systemd: the group may stand already, with the scope's placeholder in it. */
static int cgroup_make(struct cgroup_hierarchy *hierarchy, const char *path, bool systemd,
                       struct error **err) {
    if (asprintf(&hierarchy->directory, "%s%s", hierarchy->mount, path) < 0) {
        hierarchy->directory = NULL;
        return fields_no_memory(err);
    }
    hierarchy->directory_fd = cgroup_make_last(hierarchy);
    if (hierarchy->directory_fd >= 0)
        return 0;
    cleanup_close int fd = cgroup_make_path(hierarchy, path, systemd, err);
    if (fd < 0)
        return -1;
    /* Whatever is in there would end with the container. */
    if (!systemd && cgroup_is_in_use(fd))
        return error_setf(err, EBUSY, "cgroup", hierarchy->directory,
                          "cgroup %s is in use by other processes", hierarchy->directory);
    hierarchy->directory_fd = steal_fd(&fd);
    return 0;
}

static void cgroup_free_hierarchy(struct cgroup_hierarchy *hierarchy) {
    if (hierarchy->directory_fd >= 0)
        close(hierarchy->directory_fd);
    free(hierarchy->controllers);
    free(hierarchy->mount);
    free(hierarchy->directory);
}

void cgroup_close(struct cgroup *cgroup) {
    if (cgroup == NULL)
        return;
    for (size_t index = 0; index < cgroup->count; index++)
        cgroup_free_hierarchy(&cgroup->hierarchies[index]);
    systemd_scope_free(cgroup->scope);
    free(cgroup->hierarchies);
    free(cgroup);
}

/* False where this hierarchy does not have the group. */
static bool cgroup_open_existing(struct cgroup_hierarchy *hierarchy, const char *path) {
    if (asprintf(&hierarchy->directory, "%s%s", hierarchy->mount, path) < 0) {
        hierarchy->directory = NULL;
        return false;
    }
    hierarchy->directory_fd =
        open(hierarchy->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return hierarchy->directory_fd >= 0;
}

/* The hierarchies of the host, and with systemd the scope. *path is where the groups are to be; it
 * lives as long as the result. NULL with *err set on failure. */
static struct cgroup *cgroup_new(const struct cgroup_request *request, const char **path,
                                 struct error **err) {
    if (!request->systemd && request->path[0] != '/') {
        error_setf(err, EINVAL, "cgroup", request->path,
                   "cgroupsPath \"%s\" is in systemd's form, and groups are to be made without it",
                   request->path);
        return NULL;
    }
    struct cgroup *cgroup = calloc(1, sizeof(*cgroup));
    if (cgroup == NULL) {
        fields_no_memory(err);
        return NULL;
    }
    if (cgroup_mounts_find(&cgroup->hierarchies, &cgroup->count, err) < 0 ||
        (request->systemd && systemd_scope_new(request, &cgroup->scope, err) < 0)) {
        cgroup_close(cgroup);
        return NULL;
    }
    *path = request->systemd ? cgroup->scope->unit.path : request->path;
    return cgroup;
}

int cgroup_open(const struct cgroup_request *request, struct cgroup **out, struct error **err) {
    const char *path;
    struct cgroup *cgroup = cgroup_new(request, &path, err);
    if (cgroup == NULL)
        return -1;
    size_t kept = 0;
    for (size_t index = 0; index < cgroup->count; index++) {
        struct cgroup_hierarchy *hierarchy = &cgroup->hierarchies[index];
        if (cgroup_open_existing(hierarchy, path))
            cgroup->hierarchies[kept++] = *hierarchy;
        else
            cgroup_free_hierarchy(hierarchy);
    }
    cgroup->count = kept;
    if (kept == 0) {
        error_setf(err, ENOENT, "cgroup", path, "there is no cgroup %s", path);
        cgroup_close(cgroup);
        return -1;
    }
    *out = cgroup;
    return 0;
}

int cgroup_create(const struct cgroup_request *request, struct cgroup **out, struct error **err) {
    const char *path;
    struct cgroup *cgroup = cgroup_new(request, &path, err);
    if (cgroup == NULL)
        return -1;
    int result = 0;
    if (cgroup->scope != NULL &&
        systemd_scope_start(cgroup->scope, request->id == NULL ? request->path : request->id, err) <
            0) {
        /* A scope that stands there all the same is another's. */
        cgroup_close(cgroup);
        return -1;
    }
    for (size_t index = 0; result == 0 && index < cgroup->count; index++)
        result = cgroup_make(&cgroup->hierarchies[index], path, cgroup->scope != NULL, err);
    if (result < 0) {
        cgroup_destroy(cgroup);
        return -1;
    }
    long kills = cgroup_oom_kills(cgroup);
    cgroup->oom_kills = kills > 0 ? kills : 0;
    *out = cgroup;
    return 0;
}

void cgroup_settle(struct cgroup *cgroup) {
    if (cgroup->scope != NULL)
        systemd_scope_settle(cgroup->scope);
}

int cgroup_limit_devices(struct cgroup *cgroup, const struct resources *resources,
                         struct error **err) {
    if (cgroup->scope != NULL &&
        systemd_scope_limit_devices(cgroup->scope, cgroup, resources, err) < 0)
        return -1;
    if (cgroup_v1_limit_devices(cgroup, resources, err) < 0)
        return -1;
    return cgroup_v2_limit_devices(cgroup, resources, err);
}

int cgroup_limit(struct cgroup *cgroup, const struct resources *resources, struct error **err) {
    if (cgroup->scope != NULL && systemd_scope_limit(cgroup->scope, cgroup, resources, err) < 0)
        return -1;
    if (cgroup_v1_limit(cgroup, resources, err) < 0)
        return -1;
    return cgroup_v2_limit(cgroup, resources, err);
}

int cgroup_clone_fd(const struct cgroup *cgroup) {
    const struct cgroup_hierarchy *hierarchy = cgroup_find_v2(cgroup);
    return hierarchy == NULL ? -1 : hierarchy->directory_fd;
}

/* "tasks" and 0, not cgroup.procs and a pid: a thread that moves only itself does not take the lock
 * that stops all forks of the machine, whose first writer waits for an RCU grace period (15 ms and
 * more). */
int cgroup_join_v1(const struct cgroup *cgroup, struct error **err) {
    for (size_t index = 0; index < cgroup->count; index++) {
        const struct cgroup_hierarchy *hierarchy = &cgroup->hierarchies[index];
        if (!hierarchy->v2 && cgroup_write(hierarchy, "tasks", "0", err) < 0)
            return -1;
    }
    return 0;
}
