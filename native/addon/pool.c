/* See pool.h. */
#include "pool.h"
#include "module.h"
#include <errno.h>

static void execute(napi_env env, void *data) {
    struct pool_job *job = data;
    (void)env;
    job->run(job);
}

static void complete(napi_env env, napi_status status, void *data) {
    struct pool_job *job = data;
    if (status != napi_ok && job->error == 0)
        job->error = ECANCELED;
    if (job->error == 0)
        napi_resolve_deferred(env, job->deferred,
                              job->result == NULL ? make_undefined(env) : job->result(env, job));
    else
        napi_reject_deferred(env, job->deferred,
                             make_errno_error(env, job->error, job->step, job->path, NULL));
    napi_delete_async_work(env, job->work);
    job->release(job);
}

napi_value pool_queue(napi_env env, struct pool_job *job) {
    napi_value promise = NULL;
    if (napi_create_promise(env, &job->deferred, &promise) != napi_ok ||
        napi_create_async_work(env, NULL, make_string(env, "mydock.pool"), execute, complete, job,
                               &job->work) != napi_ok) {
        job->release(job);
        return throw_errno(env, ENOMEM, "napi_create_async_work", NULL);
    }
    if (napi_queue_async_work(env, job->work) != napi_ok) {
        napi_delete_async_work(env, job->work);
        job->release(job);
        return throw_errno(env, EAGAIN, "napi_queue_async_work", NULL);
    }
    return promise;
}
