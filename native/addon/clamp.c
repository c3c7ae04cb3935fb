/*
 * clampTimes: no modification time in a tree is later than a given one. Runs on the thread pool,
 * and reaches everything from the root's descriptor without following links: whoever filled the
 * tree gains nothing by its names.
 */
#define _GNU_SOURCE
#include "module.h"
#include "pool.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Directories still to be read: paths relative to the root. */
struct clamp_queue {
    char **paths;
    size_t count;
    size_t room;
};

struct clamp_job {
    struct pool_job job;
    char *root;
    int64_t seconds;
    /* What the tree has below its root. */
    uint64_t entries;
    struct clamp_queue queue;
    /* The path that the error is about; NULL for the root. */
    char *failed;
};

static void clamp_release(struct pool_job *job) {
    struct clamp_job *clamp = (struct clamp_job *)job;
    for (size_t i = 0; i < clamp->queue.count; i++)
        free(clamp->queue.paths[i]);
    free(clamp->queue.paths);
    free(clamp->failed);
    free(clamp->root);
    free(clamp);
}

static int clamp_fail(struct clamp_job *job, const char *step, const char *directory,
                      const char *name) {
    job->job.error = errno;
    job->job.step = step;
    if (*directory == '\0' && *name == '\0')
        return -1;
    if (asprintf(&job->failed, "%s/%s%s%s", job->root, directory, *directory == '\0' ? "" : "/",
                 name) < 0)
        job->failed = NULL;
    else
        job->job.path = job->failed;
    return -1;
}

static int clamp_queue_push(struct clamp_queue *queue, const char *directory, const char *name) {
    if (queue->count == queue->room) {
        size_t room = queue->room == 0 ? 64 : queue->room * 2;
        char **paths = realloc(queue->paths, room * sizeof *paths);
        if (paths == NULL)
            return -1;
        queue->paths = paths;
        queue->room = room;
    }
    char *path = NULL;
    if (asprintf(&path, "%s%s%s", directory, *directory == '\0' ? "" : "/", name) < 0)
        return -1;
    queue->paths[queue->count++] = path;
    return 0;
}

/* `found` is what the entry is now. With an empty name, the directory itself. */
static int clamp_entry(const struct clamp_job *job, int directory, const char *name,
                       const struct statx *found) {
    bool later = found->stx_mtime.tv_sec > job->seconds ||
                 (found->stx_mtime.tv_sec == job->seconds && found->stx_mtime.tv_nsec > 0);
    if (!later)
        return 0;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = job->seconds}};
    int flags = *name == '\0' ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW;
    return utimensat(directory, name, times, flags);
}

static int clamp_names(struct clamp_job *job, DIR *dir, const char *path) {
    int fd = dirfd(dir);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (entry == NULL)
            return errno == 0 ? 0 : clamp_fail(job, "readdir", path, "");
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        struct statx found;
        if (statx(fd, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_MTIME, &found) < 0)
            return clamp_fail(job, "statx", path, name);
        if (clamp_entry(job, fd, name, &found) < 0)
            return clamp_fail(job, "utimensat", path, name);
        job->entries++;
        if (S_ISDIR(found.stx_mode) && clamp_queue_push(&job->queue, path, name) < 0) {
            errno = ENOMEM;
            return clamp_fail(job, "malloc", path, name);
        }
    }
}

static int clamp_directory(struct clamp_job *job, int root, const char *path) {
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    int fd = (int)syscall(SYS_openat2, root, *path == '\0' ? "." : path, &how, sizeof how);
    if (fd < 0)
        return clamp_fail(job, "openat2", path, "");
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return clamp_fail(job, "fdopendir", path, "");
    }
    int result = clamp_names(job, dir, path);
    closedir(dir);
    return result;
}

static void clamp_run(struct pool_job *job) {
    struct clamp_job *clamp = (struct clamp_job *)job;
    cleanup_close int root = open(clamp->root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct statx found;
    if (root < 0 || statx(root, "", AT_EMPTY_PATH, STATX_MTIME, &found) < 0 ||
        clamp_entry(clamp, root, "", &found) < 0) {
        clamp_fail(clamp, "open", "", "");
        return;
    }
    int result = clamp_directory(clamp, root, "");
    while (result == 0 && clamp->queue.count > 0) {
        cleanup_free char *path = clamp->queue.paths[--clamp->queue.count];
        result = clamp_directory(clamp, root, path);
    }
}

static napi_value clamp_result(napi_env env, struct pool_job *job) {
    napi_value count = NULL;
    napi_create_double(env, (double)((struct clamp_job *)job)->entries, &count);
    return count;
}

/* clampTimes(path, seconds): a promise of the number of entries below it. */
static napi_value clamp_times(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    struct clamp_job *clamp = pool_new(env, sizeof *clamp,
                                       (struct pool_job){.run = clamp_run,
                                                         .result = clamp_result,
                                                         .release = clamp_release,
                                                         .step = "clampTimes"});
    if (clamp == NULL)
        return NULL;
    clamp->job.path = clamp->root = call_string(&call, 0, "path");
    if (!call.failed && napi_get_value_int64(env, call.arguments[1], &clamp->seconds) != napi_ok)
        call_type_error(&call, "seconds", "a number");
    return pool_queue_call(&call, &clamp->job);
}

napi_status register_clamp(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {{"clampTimes", clamp_times}};
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
