/* Connections to the daemon, without Node's module for them, which loads all of its streams. */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include "client.h"
#include <errno.h>
#include <node_api.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

struct watch {
    uv_poll_t poll;
    napi_env env;
    napi_ref callback;
    napi_async_context context;
};

/* connectUnix(path): a descriptor, or a negative errno. */
napi_value client_connect_unix(napi_env env, napi_callback_info info) {
    size_t count = 1, length = 0;
    napi_value argument = NULL, result = NULL;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int answer = -ENAMETOOLONG;
    if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count != 1 ||
        napi_get_value_string_utf8(env, argument, NULL, 0, &length) != napi_ok)
        return NULL;
    if (length < sizeof(address.sun_path)) {
        napi_get_value_string_utf8(env, argument, address.sun_path, sizeof(address.sun_path),
                                   &length);
        answer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int status = answer < 0 ? -1 : 0;
        do {
            if (answer >= 0)
                status = connect(answer, (struct sockaddr *)&address, sizeof(address));
        } while (answer >= 0 && status < 0 && errno == EINTR);
        if (status < 0) {
            int code = errno;
            if (answer >= 0)
                close(answer);
            answer = -code;
        }
    }
    return napi_create_int32(env, answer, &result) == napi_ok ? result : NULL;
}

/* Node runs what the callback has queued (promises) behind it. */
static void heard(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct watch *watch = poll->data;
    napi_handle_scope scope = NULL;
    napi_value callback = NULL, receiver = NULL;
    if (napi_open_handle_scope(watch->env, &scope) != napi_ok)
        return;
    if (napi_get_reference_value(watch->env, watch->callback, &callback) == napi_ok &&
        napi_get_global(watch->env, &receiver) == napi_ok)
        napi_make_callback(watch->env, watch->context, receiver, callback, 0, NULL, NULL);
    napi_close_handle_scope(watch->env, scope);
}

static void free_watch(uv_handle_t *handle) {
    free(handle->data);
}

/* watch(descriptor, callback): called whenever a read would not wait; gives what `unwatch` takes.
 */
napi_value client_watch(napi_env env, napi_callback_info info) {
    size_t count = 2;
    napi_value arguments[2] = {NULL, NULL}, name = NULL, result = NULL;
    int32_t descriptor = -1;
    uv_loop_t *loop = NULL;
    if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count != 2 ||
        napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok ||
        napi_get_uv_event_loop(env, &loop) != napi_ok)
        return NULL;
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL || uv_poll_init(loop, &watch->poll, descriptor) != 0) {
        free(watch);
        napi_throw_error(env, NULL, "cannot watch a connection");
        return NULL;
    }
    watch->env = env;
    watch->poll.data = watch;
    if (napi_create_string_latin1(env, "mydock", NAPI_AUTO_LENGTH, &name) != napi_ok ||
        napi_create_reference(env, arguments[1], 1, &watch->callback) != napi_ok ||
        napi_async_init(env, NULL, name, &watch->context) != napi_ok ||
        napi_create_external(env, watch, NULL, NULL, &result) != napi_ok ||
        uv_poll_start(&watch->poll, UV_READABLE, heard) != 0) {
        uv_close((uv_handle_t *)&watch->poll, free_watch);
        napi_throw_error(env, NULL, "cannot watch a connection");
        return NULL;
    }
    return result;
}

/* unwatch(watch), once; before its descriptor is closed. */
napi_value client_unwatch(napi_env env, napi_callback_info info) {
    size_t count = 1;
    napi_value argument = NULL;
    void *data = NULL;
    if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count != 1 ||
        napi_get_value_external(env, argument, &data) != napi_ok)
        return NULL;
    struct watch *watch = data;
    uv_poll_stop(&watch->poll);
    napi_delete_reference(env, watch->callback);
    napi_async_destroy(env, watch->context);
    uv_close((uv_handle_t *)&watch->poll, free_watch);
    return NULL;
}
