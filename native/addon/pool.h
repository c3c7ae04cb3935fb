/*
 * Work for Node's thread pool whose end a promise tells. A job is embedded, as its first member, in
 * a struct of the topic that it belongs to. The callbacks on the caller's thread are also called,
 * and may create nothing, when a worker thread ends while its work is under way.
 */
#ifndef MYDOCK_ADDON_POOL_H
#define MYDOCK_ADDON_POOL_H

#include <node_api.h>
#include <stddef.h>

struct call;

struct pool_job {
    /* On a thread of the pool, without an environment. A failure is left in `error` (an errno
     * value), `step` and `path`, which belong to the job or last for ever. */
    void (*run)(struct pool_job *job);
    /* On the caller's thread, where there was no error: what the promise resolves to. May be NULL:
     * undefined. Where it returns NULL, the promise is rejected with the exception that it left
     * pending, or else with ENOMEM. */
    napi_value (*result)(napi_env env, struct pool_job *job);
    /* Frees the job and all that belongs to it, however much of that there is yet. */
    void (*release)(struct pool_job *job);
    int error;
    const char *step;
    const char *path;
    napi_async_work work;
    napi_deferred deferred;
};

/* A struct of `size` bytes that begins with `job` and is zeroed behind it. NULL with an exception
 * pending where there is no memory. */
void *pool_new(napi_env env, size_t size, struct pool_job job);

/* Takes the job over. Returns its promise, or NULL with an exception pending. */
napi_value pool_queue(napi_env env, struct pool_job *job);

/* The same once a call's arguments are read: where one of them was wrong, the job is released. */
napi_value pool_queue_call(const struct call *call, struct pool_job *job);

#endif
