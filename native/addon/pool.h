/*
 * Work for Node's thread pool whose end a promise tells. A job is embedded, as its first member, in
 * a struct of the topic that it belongs to.
 */
#ifndef MYDOCK_ADDON_POOL_H
#define MYDOCK_ADDON_POOL_H

#include <node_api.h>

struct pool_job {
    /* On a thread of the pool, without an environment. A failure is left in `error` (an errno
     * value), `step` and `path`, which belong to the job or last for ever. */
    void (*run)(struct pool_job *job);
    /* On the caller's thread, where there was no error: what the promise resolves to. May be NULL:
     * undefined. */
    napi_value (*result)(napi_env env, struct pool_job *job);
    /* Frees the job and all that belongs to it. */
    void (*release)(struct pool_job *job);
    int error;
    const char *step;
    const char *path;
    napi_async_work work;
    napi_deferred deferred;
};

/* Takes the job over. Returns its promise, or NULL with an exception pending. */
napi_value pool_queue(napi_env env, struct pool_job *job);

#endif
