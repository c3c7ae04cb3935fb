/*
 * Removing small trees off the loop's thread: a file system whose journal is busy makes every
 * removed directory wait.
 */
#define _GNU_SOURCE
#include "archive.h"
#include "module.h"
#include "pool.h"
#include <errno.h>
#include <fcntl.h>

struct small_removal {
    struct pool_job job;
    char *path;
    uint64_t most;
    bool whole;
};

static void run(struct pool_job *job) {
    struct small_removal *removal = (struct small_removal *)job;
    removal->whole = archive_remove_tree_most(AT_FDCWD, removal->path, removal->most) == 0;
    if (!removal->whole && errno != EAGAIN)
        job->error = errno;
}

static napi_value result(napi_env env, struct pool_job *job) {
    return make_bool(env, ((struct small_removal *)job)->whole);
}

static void release(struct pool_job *job) {
    struct small_removal *removal = (struct small_removal *)job;
    free(removal->path);
    free(removal);
}

napi_value archive_remove_small(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    struct small_removal *removal = pool_new(
        env, sizeof *removal,
        (struct pool_job){.run = run, .result = result, .release = release, .step = "unlink"});
    if (removal == NULL)
        return NULL;
    removal->job.path = removal->path = call_string(&call, 0, "path");
    removal->most = call_uint64(&call, 1, "most");
    return pool_queue_call(&call, &removal->job);
}
