/*
 * clampTimes: no modification time in a tree is later than a given one. Runs on the thread pool,
 * and reaches everything from the root's descriptor without following links: whoever filled the
 * tree gains nothing by its names.
 */
#define _GNU_SOURCE
#include "module.h"
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
    napi_async_work work;
    napi_deferred deferred;
    char *root;
    int64_t seconds;
    /* What the tree has below its root. */
    uint64_t entries;
    struct clamp_queue queue;
    /* The path that `error` is about; NULL for the root. */
    char *failed;
    const char *step;
    int error;
};

static void clamp_job_free(struct clamp_job *job) {
    for (size_t i = 0; i < job->queue.count; i++)
        free(job->queue.paths[i]);
    free(job->queue.paths);
    free(job->failed);
    free(job->root);
    free(job);
}

static void cleanup_clamp_pointer(struct clamp_job **job) {
    if (*job != NULL)
        clamp_job_free(*job);
}
#define cleanup_clamp __attribute__((cleanup(cleanup_clamp_pointer)))

static int clamp_fail(struct clamp_job *job, const char *step, const char *directory,
                      const char *name) {
    job->error = errno;
    job->step = step;
    if (*directory == '\0' && *name == '\0')
        return -1;
    if (asprintf(&job->failed, "%s/%s%s%s", job->root, directory, *directory == '\0' ? "" : "/",
                 name) < 0)
        job->failed = NULL;
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

static void clamp_execute(napi_env env, void *data) {
    struct clamp_job *job = data;
    (void)env;
    cleanup_close int root = open(job->root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct statx found;
    if (root < 0 || statx(root, "", AT_EMPTY_PATH, STATX_MTIME, &found) < 0 ||
        clamp_entry(job, root, "", &found) < 0) {
        clamp_fail(job, "open", "", "");
        return;
    }
    int result = clamp_directory(job, root, "");
    while (result == 0 && job->queue.count > 0) {
        cleanup_free char *path = job->queue.paths[--job->queue.count];
        result = clamp_directory(job, root, path);
    }
}

static void clamp_complete(napi_env env, napi_status status, void *data) {
    struct clamp_job *job = data;
    napi_value count = NULL;
    if (status != napi_ok && job->error == 0)
        job->error = ECANCELED;
    if (job->error == 0 && napi_create_double(env, (double)job->entries, &count) == napi_ok)
        napi_resolve_deferred(env, job->deferred, count);
    else
        napi_reject_deferred(env, job->deferred,
                             make_errno_error(env, job->error == 0 ? ENOMEM : job->error,
                                              job->step == NULL ? "clampTimes" : job->step,
                                              job->failed == NULL ? job->root : job->failed, NULL));
    napi_delete_async_work(env, job->work);
    clamp_job_free(job);
}

/* clampTimes(path, seconds): a promise of the number of entries below it. */
static napi_value clamp_times(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_clamp struct clamp_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return throw_errno(env, ENOMEM, "calloc", NULL);
    job->root = call_string(&call, 0, "path");
    if (!call.failed && napi_get_value_int64(env, call.arguments[1], &job->seconds) != napi_ok)
        call_type_error(&call, "seconds", "a number");
    if (call.failed)
        return NULL;
    napi_value promise = NULL;
    if (napi_create_promise(env, &job->deferred, &promise) != napi_ok ||
        napi_create_async_work(env, NULL, make_string(env, "mydock.clamp"), clamp_execute,
                               clamp_complete, job, &job->work) != napi_ok)
        return throw_errno(env, ENOMEM, "napi_create_async_work", NULL);
    if (napi_queue_async_work(env, job->work) != napi_ok) {
        napi_delete_async_work(env, job->work);
        return throw_errno(env, EAGAIN, "napi_queue_async_work", NULL);
    }
    job = NULL;
    return promise;
}

napi_status register_clamp(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {{"clampTimes", clamp_times}};
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
