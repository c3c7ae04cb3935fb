/*
 * makeMountPoints: places in a mounted root that are missing. Runs on the thread pool, for each of
 * them may cost an overlay a copy of the folder that it stands in. Paths are resolved by the kernel
 * inside the root, which may be anybody's.
 */
#define _GNU_SOURCE
#include "module.h"
#include "pool.h"
#include "usernamespace.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FOLDER_MODE 0755
#define FILE_MODE 0644

struct points_job {
    struct pool_job job;
    char *root;
    char **folders;
    char **files;
    uint32_t uid;
    uint32_t gid;
};

static void points_release(struct pool_job *job) {
    struct points_job *points = (struct points_job *)job;
    free(points->root);
    free_strings(points->folders);
    free_strings(points->files);
    free(points);
}

static int points_fail(struct points_job *points, const char *step, const char *path) {
    points->job.error = errno;
    points->job.step = step;
    points->job.path = path;
    return -1;
}

static int open_inside(int root, const char *path, int flags) {
    struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int fd;
    do
        fd = (int)syscall(SYS_openat2, root, *path == '\0' ? "." : path, &how, sizeof how);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return fd;
}

/* What a path that leads nowhere fails with. */
static int leads_nowhere(void) {
    return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG;
}

/* What says that a root takes nothing, or that somebody else was quicker. */
static int takes_nothing(void) {
    return errno == EROFS || errno == ENOSPC || errno == EDQUOT || errno == EEXIST;
}

/* The umask is the process's, and another thread may have it changed for a moment. */
static int make_entry(int parent, const char *name, int is_file) {
    if (!is_file && mkdirat(parent, name, FOLDER_MODE) < 0)
        return -1;
    int flags = is_file ? O_WRONLY | O_CREAT | O_EXCL : O_RDONLY | O_DIRECTORY;
    cleanup_close int fd = openat(parent, name, flags | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    return fd < 0 ? -1 : fchmod(fd, is_file ? FILE_MODE : FOLDER_MODE);
}

/* With a time of 0, and the parent's as it was. */
static int make_timeless(int parent, const char *name, int is_file) {
    struct stat before;
    if (fstat(parent, &before) < 0 || make_entry(parent, name, is_file) < 0)
        return -1;
    const struct timespec epoch[2] = {{0}, {0}};
    const struct timespec kept[2] = {before.st_mtim, before.st_mtim};
    if (utimensat(parent, name, epoch, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    return futimens(parent, kept);
}

static int make_point(struct points_job *points, int root, const char *path, int is_file) {
    cleanup_close int there = open_inside(root, path, O_PATH | O_NOFOLLOW);
    if (there >= 0)
        return 0;
    if (!leads_nowhere())
        return points_fail(points, "openat2", path);
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    cleanup_free char *above = strndup(path, (size_t)(name - path));
    if (above == NULL)
        return points_fail(points, "strndup", path);
    cleanup_close int parent = open_inside(root, above, O_RDONLY | O_DIRECTORY);
    if (parent < 0)
        return leads_nowhere() ? 0 : points_fail(points, "openat2", path);
    if (make_timeless(parent, name, is_file) < 0 && !takes_nothing())
        return points_fail(points, is_file ? "open" : "mkdir", path);
    return 0;
}

static int make_points(struct points_job *points, int root) {
    for (size_t i = 0; points->folders[i] != NULL; i++)
        if (make_point(points, root, points->folders[i], 0) < 0)
            return -1;
    for (size_t i = 0; points->files[i] != NULL; i++)
        if (make_point(points, root, points->files[i], 1) < 0)
            return -1;
    return 0;
}

static void points_run(struct pool_job *job) {
    struct points_job *points = (struct points_job *)job;
    cleanup_close int root = open(points->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        points_fail(points, "open", points->root);
        return;
    }
    if (become_file_owner(points->uid, points->gid) < 0)
        points_fail(points, "setfsuid", points->root);
    else
        make_points(points, root);
    cease_file_owner();
}

/* makeMountPoints(root, folders, files, uid, gid): a promise. */
static napi_value make_mount_points(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    size_t count = 0;
    struct points_job *points = pool_new(
        env, sizeof *points,
        (struct pool_job){.run = points_run, .release = points_release, .step = "makeMountPoints"});
    if (points == NULL)
        return NULL;
    points->job.path = points->root = call_string(&call, 0, "root");
    points->folders = call_value_strings(&call, call.arguments[1], "folders", &count);
    points->files = call_value_strings(&call, call.arguments[2], "files", &count);
    points->uid = (uint32_t)call_uint64(&call, 3, "uid");
    points->gid = (uint32_t)call_uint64(&call, 4, "gid");
    return pool_queue_call(&call, &points->job);
}

napi_status register_mount_points(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {{"makeMountPoints", make_mount_points}};
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
