/*
 * File operations that Node does not offer: openat2, flock, extended attributes.
 */
#define _GNU_SOURCE
#include "module.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

static napi_value openat2_(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int directory = call_int32(&call, 0, "dirFd");
    cleanup_free char *path = call_string(&call, 1, "path");
    struct open_how how = {
        .flags = call_uint64(&call, 2, "flags") | O_CLOEXEC,
        .mode = call_uint64(&call, 3, "mode"),
        .resolve = call_uint64(&call, 4, "resolve"),
    };
    if (call.failed)
        return NULL;
    int fd = -1;
    /* EAGAIN: a rename or mount raced with RESOLVE_IN_ROOT or RESOLVE_BENEATH; a lasting one is
     * reported. */
    for (int attempt = 0; attempt < 32; attempt++) {
        fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd < 0 ? throw_errno(env, errno, "openat2", path) : make_int32(env, fd);
}

static napi_value flock_(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    bool exclusive = call_bool(&call, 1, "exclusive");
    if (call.failed)
        return NULL;
    int result = 0;
    do
        result = flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
    while (result < 0 && errno == EINTR);
    if (result < 0 && errno != EWOULDBLOCK)
        return throw_errno(env, errno, "flock", NULL);
    return make_bool(env, result == 0);
}

/* The value of one attribute as a Buffer; NULL with *error set. ENODATA: it went away meanwhile. */
static napi_value read_xattr(napi_env env, const char *path, const char *name, int *error) {
    for (;;) {
        napi_value buffer = NULL;
        void *data = NULL;
        ssize_t size = lgetxattr(path, name, NULL, 0);
        if (size < 0) {
            *error = errno;
            return NULL;
        }
        if (napi_create_buffer(env, (size_t)size, &data, &buffer) != napi_ok) {
            *error = ENOMEM;
            return NULL;
        }
        ssize_t length = size == 0 ? 0 : lgetxattr(path, name, data, (size_t)size);
        if (length == size)
            return buffer;
        /* It changed its size between the two calls: ask again. */
        if (length < 0 && errno != ERANGE) {
            *error = errno;
            return NULL;
        }
    }
}

/* The names, NUL after each, owned by the caller; NULL with *error set (0 where there are none). */
static char *read_xattr_names(const char *path, size_t *length, int *error) {
    for (;;) {
        ssize_t size = llistxattr(path, NULL, 0);
        if (size <= 0) {
            *error = size < 0 ? errno : 0;
            return NULL;
        }
        cleanup_free char *names = malloc((size_t)size);
        if (names == NULL) {
            *error = ENOMEM;
            return NULL;
        }
        ssize_t got = llistxattr(path, names, (size_t)size);
        if (got >= 0) {
            *length = (size_t)got;
            char *result = names;
            names = NULL;
            return result;
        }
        if (errno != ERANGE) {
            *error = errno;
            return NULL;
        }
    }
}

static napi_value list_xattrs(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *path = call_string(&call, 0, "path");
    napi_value result = NULL;
    if (call.failed || napi_create_array(env, &result) != napi_ok)
        return NULL;
    size_t length = 0;
    int error = 0;
    cleanup_free char *names = read_xattr_names(path, &length, &error);
    /* ENOTSUP: a file system without attributes has none. */
    if (names == NULL)
        return error == 0 || error == ENOTSUP ? result
                                              : throw_errno(env, error, "llistxattr", path);
    uint32_t count = 0;
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        napi_value entry = NULL;
        napi_value value = read_xattr(env, path, name, &error);
        if (value == NULL && error == ENODATA)
            continue;
        if (value == NULL)
            return throw_errno(env, error, "lgetxattr", path);
        if (napi_create_object(env, &entry) != napi_ok ||
            !set_property(env, entry, "name", make_string(env, name)) ||
            !set_property(env, entry, "value", value) ||
            napi_set_element(env, result, count++, entry) != napi_ok)
            return NULL;
    }
    return result;
}

static napi_value set_xattr(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *path = call_string(&call, 0, "path");
    cleanup_free char *name = call_string(&call, 1, "name");
    struct bytes value = call_bytes(&call, 2, "value");
    if (call.failed)
        return NULL;
    if (lsetxattr(path, name, value.data, value.length, 0) < 0)
        return throw_errno(env, errno, "lsetxattr", path);
    return make_undefined(env);
}

napi_status register_files(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"openat2", openat2_},
        {"flock", flock_},
        {"listXattrs", list_xattrs},
        {"setXattr", set_xattr},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
