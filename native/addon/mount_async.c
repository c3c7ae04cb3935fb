/* See mount_async.h. */
#define _GNU_SOURCE
#include "mount_async.h"
#include "module.h"
#include <errno.h>
#include <sys/mount.h>

/* One call under way. Its strings and itself are freed when it is complete. */
struct mount_job {
    napi_async_work work;
    napi_deferred deferred;
    /* "mount" or "umount2", as the error names it. */
    const char *step;
    char *source;
    char *target;
    char *type;
    char *data;
    uint64_t flags;
    int error;
};

static void mount_job_free(struct mount_job *job) {
    free(job->source);
    free(job->target);
    free(job->type);
    free(job->data);
    free(job);
}

static void cleanup_job_pointer(struct mount_job **job) {
    if (*job != NULL)
        mount_job_free(*job);
}
#define cleanup_job __attribute__((cleanup(cleanup_job_pointer)))

static void mount_execute(napi_env env, void *data) {
    struct mount_job *job = data;
    (void)env;
    const char *type = job->type[0] == '\0' ? NULL : job->type;
    const char *options = job->data[0] == '\0' ? NULL : job->data;
    if (mount(job->source, job->target, type, job->flags, options) < 0)
        job->error = errno;
}

static void unmount_execute(napi_env env, void *data) {
    struct mount_job *job = data;
    (void)env;
    if (umount2(job->target, (int)job->flags) < 0)
        job->error = errno;
}

static void mount_complete(napi_env env, napi_status status, void *data) {
    struct mount_job *job = data;
    if (status != napi_ok && job->error == 0)
        job->error = ECANCELED;
    if (job->error == 0)
        napi_resolve_deferred(env, job->deferred, make_undefined(env));
    else
        napi_reject_deferred(env, job->deferred,
                             make_errno_error(env, job->error, job->step, job->target, NULL));
    napi_delete_async_work(env, job->work);
    mount_job_free(job);
}

/* Hands *job to the pool; the promise of its end, or NULL with an exception pending. */
static napi_value mount_queue(napi_env env, struct mount_job **job,
                              napi_async_execute_callback execute) {
    napi_value promise = NULL;
    if (napi_create_promise(env, &(*job)->deferred, &promise) != napi_ok ||
        napi_create_async_work(env, NULL, make_string(env, "mydock.mount"), execute, mount_complete,
                               *job, &(*job)->work) != napi_ok)
        return throw_errno(env, ENOMEM, "napi_create_async_work", NULL);
    if (napi_queue_async_work(env, (*job)->work) != napi_ok) {
        napi_delete_async_work(env, (*job)->work);
        return throw_errno(env, EAGAIN, "napi_queue_async_work", NULL);
    }
    *job = NULL;
    return promise;
}

napi_value mount_async(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_job struct mount_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return throw_errno(env, ENOMEM, "calloc", NULL);
    job->step = "mount";
    job->source = call_string(&call, 0, "source");
    job->target = call_string(&call, 1, "target");
    job->type = call_string(&call, 2, "type");
    job->flags = call_uint64(&call, 3, "flags");
    job->data = call_string(&call, 4, "data");
    return call.failed ? NULL : mount_queue(env, &job, mount_execute);
}

napi_value unmount_async(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_job struct mount_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return throw_errno(env, ENOMEM, "calloc", NULL);
    job->step = "umount2";
    job->target = call_string(&call, 0, "target");
    job->flags = call_uint64(&call, 1, "flags");
    return call.failed ? NULL : mount_queue(env, &job, unmount_execute);
}
