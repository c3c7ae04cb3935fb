/* See mount_async.h. */
#define _GNU_SOURCE
#include "mount_async.h"
#include "module.h"
#include "pool.h"
#include <errno.h>
#include <sys/mount.h>

/* One call under way. */
struct mount_job {
    struct pool_job job;
    char *source;
    char *target;
    char *type;
    char *data;
    uint64_t flags;
};

static void mount_run(struct pool_job *job) {
    const struct mount_job *request = (struct mount_job *)job;
    const char *type = request->type[0] == '\0' ? NULL : request->type;
    const char *options = request->data[0] == '\0' ? NULL : request->data;
    if (mount(request->source, request->target, type, request->flags, options) < 0)
        job->error = errno;
}

static void unmount_run(struct pool_job *job) {
    const struct mount_job *request = (struct mount_job *)job;
    if (umount2(request->target, (int)request->flags) < 0)
        job->error = errno;
}

static void mount_release(struct pool_job *job) {
    struct mount_job *request = (struct mount_job *)job;
    free(request->source);
    free(request->target);
    free(request->type);
    free(request->data);
    free(request);
}

napi_value mount_async(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    struct mount_job *request =
        pool_new(env, sizeof *request,
                 (struct pool_job){.run = mount_run, .release = mount_release, .step = "mount"});
    if (request == NULL)
        return NULL;
    request->source = call_string(&call, 0, "source");
    request->job.path = request->target = call_string(&call, 1, "target");
    request->type = call_string(&call, 2, "type");
    request->flags = call_uint64(&call, 3, "flags");
    request->data = call_string(&call, 4, "data");
    return pool_queue_call(&call, &request->job);
}

napi_value unmount_async(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    struct mount_job *request = pool_new(
        env, sizeof *request,
        (struct pool_job){.run = unmount_run, .release = mount_release, .step = "umount2"});
    if (request == NULL)
        return NULL;
    request->job.path = request->target = call_string(&call, 0, "target");
    request->flags = call_uint64(&call, 1, "flags");
    return pool_queue_call(&call, &request->job);
}
