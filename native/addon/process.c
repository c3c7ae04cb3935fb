/*
 * Processes seen from outside: waiting for the end of any of them, and the daemon's own name,
 * memory and exit.
 *
 * The wait costs no thread: a pidfd becomes readable when its process ends, and libuv polls it in
 * the event loop.
 */
#define _GNU_SOURCE
#include "module.h"
#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <uv.h>

/* One pending waitForExit. Freed when libuv has closed the handle. */
struct exit_wait {
    uv_poll_t poll;
    napi_env env;
    napi_deferred deferred;
    napi_async_cleanup_hook_handle hook;
    /* Gives the promise's continuation a proper async context. */
    napi_async_context context;
    int pidfd;
};

static void exit_wait_closed(uv_handle_t *handle) {
    struct exit_wait *wait = handle->data;
    close(wait->pidfd);
    if (wait->hook != NULL)
        napi_remove_async_cleanup_hook(wait->hook);
    free(wait);
}

/* The environment ends (a worker that stops): the promise is dropped, the handle must be closed. */
static void exit_wait_cleanup(napi_async_cleanup_hook_handle hook, void *argument) {
    struct exit_wait *wait = argument;
    (void)hook;
    if (!uv_is_closing((uv_handle_t *)&wait->poll))
        uv_close((uv_handle_t *)&wait->poll, exit_wait_closed);
}

static void exit_wait_ready(uv_poll_t *poll, int status, int events) {
    struct exit_wait *wait = poll->data;
    napi_env env = wait->env;
    napi_handle_scope scope;
    napi_callback_scope callback_scope;
    (void)events;
    uv_poll_stop(poll);
    if (napi_open_handle_scope(env, &scope) == napi_ok) {
        napi_value resource;
        if (napi_create_object(env, &resource) == napi_ok &&
            napi_open_callback_scope(env, resource, wait->context, &callback_scope) == napi_ok) {
            if (status == 0)
                napi_resolve_deferred(env, wait->deferred, make_undefined(env));
            else
                napi_reject_deferred(env, wait->deferred,
                                     make_errno_error(env, -status, "poll", NULL, NULL));
            napi_close_callback_scope(env, callback_scope);
        }
        napi_close_handle_scope(env, scope);
    }
    napi_async_destroy(env, wait->context);
    uv_close((uv_handle_t *)poll, exit_wait_closed);
}

/* Starts polling; takes over pidfd. Returns 0 or an errno value. */
static int exit_wait_start(napi_env env, int pidfd, bool keep_alive, napi_value *promise) {
    uv_loop_t *loop = NULL;
    napi_value name = make_string(env, "mydock.waitForExit");
    struct exit_wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL || napi_get_uv_event_loop(env, &loop) != napi_ok) {
        free(wait);
        close(pidfd);
        return ENOMEM;
    }
    wait->env = env;
    wait->pidfd = pidfd;
    int status = uv_poll_init(loop, &wait->poll, pidfd);
    if (status < 0) {
        free(wait);
        close(pidfd);
        return -status;
    }
    wait->poll.data = wait;
    status = uv_poll_start(&wait->poll, UV_READABLE, exit_wait_ready);
    if (status < 0 || napi_async_init(env, NULL, name, &wait->context) != napi_ok ||
        napi_create_promise(env, &wait->deferred, promise) != napi_ok) {
        uv_close((uv_handle_t *)&wait->poll, exit_wait_closed);
        return status < 0 ? -status : ENOMEM;
    }
    napi_add_async_cleanup_hook(env, exit_wait_cleanup, wait, &wait->hook);
    if (!keep_alive)
        uv_unref((uv_handle_t *)&wait->poll);
    return 0;
}

static napi_value wait_for_exit(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    pid_t pid = call_int32(&call, 0, "pid");
    bool keep_alive = call_absent(&call, 1) || call_bool(&call, 1, "keepAlive");
    if (call.failed)
        return NULL;
    napi_value promise = NULL;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0U);
    int error = pidfd < 0 ? errno : exit_wait_start(env, pidfd, keep_alive, &promise);
    if (error == 0)
        return promise;
    napi_deferred deferred;
    if (napi_create_promise(env, &deferred, &promise) != napi_ok)
        return throw_errno(env, error, "pidfd_open", NULL);
    /* ESRCH: it is gone already, which is what the caller waits for. */
    if (error == ESRCH)
        napi_resolve_deferred(env, deferred, make_undefined(env));
    else
        napi_reject_deferred(env, deferred, make_errno_error(env, error, "pidfd_open", NULL, NULL));
    return promise;
}

static napi_value exit_now(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int code = call_int32(&call, 0, "code");
    if (!call.failed)
        _exit(code);
    return NULL;
}

static napi_value set_process_name(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *name = call_string(&call, 0, "name");
    if (call.failed)
        return NULL;
    if (prctl(PR_SET_NAME, name, 0, 0, 0) < 0)
        return throw_errno(env, errno, "prctl", name);
    return make_undefined(env);
}

/* Pages that the allocator keeps for later go back to the kernel: those of all arenas. */
static napi_value trim_memory(napi_env env, napi_callback_info info) {
    (void)info;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    return make_undefined(env);
}

napi_status register_process(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"waitForExit", wait_for_exit},
        {"exitNow", exit_now},
        {"setProcessName", set_process_name},
        {"trimMemory", trim_memory},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
