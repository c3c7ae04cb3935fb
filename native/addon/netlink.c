/*
 * Netlink for TypeScript: sockets, and requests on the calling thread, on the pool, and inside of
 * another network namespace.
 */
#define _GNU_SOURCE
#include "interfaces.h"
#include "module.h"
#include "netlink_exchange.h"
#include "netns.h"
#include "pool.h"
#include <errno.h>
#include <string.h>

static napi_value netlink_open(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int protocol = call_int32(&call, 0, "protocol");
    cleanup_free char *path = call_absent(&call, 1) ? NULL : call_string(&call, 1, "netnsPath");
    if (call.failed)
        return NULL;
    const char *step = "setns";
    int own = path == NULL ? -1 : enter_netns(path);
    if (path != NULL && own < 0)
        return throw_errno(env, errno, step, path);
    int fd = netlink_socket(protocol, &step);
    if (own >= 0)
        leave_netns(own);
    return fd < 0 ? throw_errno(env, errno, step, path) : make_int32(env, fd);
}

static napi_value exchange_result(napi_env env, const struct exchange *exchange) {
    napi_value buffer = NULL;
    napi_create_buffer_copy(env, exchange->answer_length, exchange->answer, NULL, &buffer);
    return buffer;
}

static napi_value netlink_request_sync(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    struct exchange exchange = {.fd = call_int32(&call, 0, "fd"),
                                .request = call_bytes(&call, 1, "request")};
    if (call.failed)
        return NULL;
    exchange_run(&exchange);
    napi_value result = exchange.error == 0 ? exchange_result(env, &exchange)
                                            : throw_errno(env, exchange.error, exchange.step, NULL);
    free(exchange.answer);
    return result;
}

/* One request on the pool, from its call to its promise. The request is copied: the caller may
 * reuse its buffer. */
struct pending_exchange {
    struct pool_job job;
    struct exchange exchange;
    /* Inside: where it is asked, and what is written there before. Else where links are born
     * without IPv6 meanwhile; NULL: nowhere. */
    char *netns;
    char **paths;
    char **values;
    uint8_t request[];
};

static void pending_run(struct pool_job *job) {
    struct pending_exchange *pending = (struct pending_exchange *)job;
    exchange_run(&pending->exchange);
    job->error = pending->exchange.error;
    job->step = pending->exchange.step;
}

static void pending_run_without_ipv6(struct pool_job *job) {
    int setting = without_new_ipv6(((struct pending_exchange *)job)->netns);
    pending_run(job);
    with_new_ipv6(setting);
}

static void fail(struct pool_job *job, int error, const char *step, const char *path) {
    job->error = error;
    job->step = step;
    job->path = path;
}

static void pending_run_here(struct pending_exchange *pending) {
    struct pool_job *job = &pending->job;
    const char *failed = NULL;
    const char *step = NULL;
    int error = write_settings(pending->paths, pending->values, &failed);
    if (error != 0)
        return fail(job, error, "write", failed);
    cleanup_close int fd = netlink_socket(pending->exchange.fd, &step);
    if (fd < 0)
        return fail(job, errno, step, pending->netns);
    pending->exchange.fd = fd;
    pending_run(job);
}

static void pending_run_inside(struct pool_job *job) {
    struct pending_exchange *pending = (struct pending_exchange *)job;
    int own = enter_netns(pending->netns);
    if (own < 0)
        return fail(job, errno, "setns", pending->netns);
    pending_run_here(pending);
    leave_netns(own);
}

static napi_value pending_result(napi_env env, struct pool_job *job) {
    return exchange_result(env, &((struct pending_exchange *)job)->exchange);
}

static void pending_release(struct pool_job *job) {
    struct pending_exchange *pending = (struct pending_exchange *)job;
    free(pending->exchange.answer);
    free(pending->netns);
    free_strings(pending->paths);
    free_strings(pending->values);
    free(pending);
}

static struct pending_exchange *pending_new(struct bytes request, int fd,
                                            void (*run)(struct pool_job *)) {
    struct pending_exchange *pending = calloc(1, sizeof *pending + request.length);
    if (pending == NULL)
        return NULL;
    if (request.length > 0)
        memcpy(pending->request, request.data, request.length);
    pending->job = (struct pool_job){.run = run,
                                     .result = pending_result,
                                     .release = pending_release,
                                     .step = "netlink request"};
    pending->exchange.fd = fd;
    pending->exchange.request = (struct bytes){.data = pending->request, .length = request.length};
    return pending;
}

static napi_value netlink_request(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    struct bytes request = call_bytes(&call, 1, "request");
    cleanup_free char *netns = call_absent(&call, 2) ? NULL : call_string(&call, 2, "netnsPath");
    if (call.failed)
        return NULL;
    struct pending_exchange *pending =
        pending_new(request, fd, netns == NULL ? pending_run : pending_run_without_ipv6);
    if (pending == NULL)
        return throw_errno(env, ENOMEM, "calloc", NULL);
    pending->netns = netns;
    netns = NULL;
    return pool_queue(env, &pending->job);
}

static napi_value set_up_netns(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    size_t path_count = 0;
    size_t value_count = 0;
    int protocol = call_int32(&call, 0, "protocol");
    cleanup_free char *netns = call_string(&call, 1, "netnsPath");
    cleanup_strings char **paths =
        call_value_strings(&call, call.arguments[2], "paths", &path_count);
    cleanup_strings char **values =
        call_value_strings(&call, call.arguments[3], "values", &value_count);
    struct bytes request = call_bytes(&call, 4, "request");
    if (!call.failed && path_count != value_count)
        call_type_error(&call, "values", "as many as paths");
    if (call.failed)
        return NULL;
    struct pending_exchange *pending = pending_new(request, protocol, pending_run_inside);
    if (pending == NULL)
        return throw_errno(env, ENOMEM, "calloc", NULL);
    pending->netns = netns;
    pending->paths = paths;
    pending->values = values;
    netns = NULL;
    paths = NULL;
    values = NULL;
    return pool_queue(env, &pending->job);
}

napi_status register_netlink(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"netlinkOpen", netlink_open},
        {"netlinkRequest", netlink_request},
        {"netlinkRequestSync", netlink_request_sync},
        {"setUpNetns", set_up_netns},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
