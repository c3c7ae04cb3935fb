/*
 * What copying a file tree needs beyond Node: device nodes, and times to the nanosecond on links as
 * well.
 */
#define _GNU_SOURCE
#include "module.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static napi_value mknod_(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *path = call_string(&call, 0, "path");
    mode_t mode = (mode_t)call_uint64(&call, 1, "mode");
    unsigned int major = (unsigned int)call_uint64(&call, 2, "major");
    unsigned int minor = (unsigned int)call_uint64(&call, 3, "minor");
    if (call.failed)
        return NULL;
    if (mknod(path, mode, makedev(major, minor)) < 0)
        return throw_errno(env, errno, "mknod", path);
    return make_undefined(env);
}

static napi_value set_times(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *path = call_string(&call, 0, "path");
    int64_t seconds = 0;
    if (!call.failed && napi_get_value_int64(env, call.arguments[1], &seconds) != napi_ok)
        call_type_error(&call, "seconds", "a number");
    long nanoseconds = call_int32(&call, 2, "nanoseconds");
    if (call.failed)
        return NULL;
    struct timespec time = {.tv_sec = seconds, .tv_nsec = nanoseconds};
    struct timespec times[2] = {time, time};
    if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) < 0)
        return throw_errno(env, errno, "utimensat", path);
    return make_undefined(env);
}

napi_status register_nodes(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"mknod", mknod_},
        {"setTimes", set_times},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
