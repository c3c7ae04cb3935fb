/* See pool.h. */
#include "pool.h"
#include "module.h"
#include <errno.h>
#include <stdlib.h>

static void execute(napi_env env, void *data) {
    struct pool_job *job = data;
    (void)env;
    job->run(job);
}

/* Why there is no result. An exception that stayed pending would end the process. */
static napi_value lost_result(napi_env env, const struct pool_job *job) {
    napi_value exception = NULL;
    bool pending = false;
    if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
        napi_get_and_clear_last_exception(env, &exception) == napi_ok)
        return exception;
    return make_errno_error(env, ENOMEM, job->step, job->path, NULL);
}

static void complete(napi_env env, napi_status status, void *data) {
    struct pool_job *job = data;
    napi_value result = NULL;
    if (status != napi_ok && job->error == 0)
        job->error = ECANCELED;
    if (job->error == 0)
        result = job->result == NULL ? make_undefined(env) : job->result(env, job);
    if (result != NULL)
        napi_resolve_deferred(env, job->deferred, result);
    else if (job->error == 0)
        napi_reject_deferred(env, job->deferred, lost_result(env, job));
    else
        napi_reject_deferred(env, job->deferred,
                             make_errno_error(env, job->error, job->step, job->path, NULL));
    napi_delete_async_work(env, job->work);
    job->release(job);
}

void *pool_new(napi_env env, size_t size, struct pool_job job) {
    struct pool_job *created = calloc(1, size);
    if (created == NULL)
        return throw_errno(env, ENOMEM, "calloc", NULL);
    *created = job;
    return created;
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

napi_value pool_queue_call(const struct call *call, struct pool_job *job) {
    if (!call->failed)
        return pool_queue(call->env, job);
    job->release(job);
    return NULL;
}
