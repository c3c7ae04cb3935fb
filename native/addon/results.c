/*
 * Values and errors out: C values to JavaScript values. See module.h.
 */
#define _GNU_SOURCE
#include "module.h"
#include <stdio.h>
#include <string.h>

napi_value make_int32(napi_env env, int32_t value) {
    napi_value result = NULL;
    napi_create_int32(env, value, &result);
    return result;
}

napi_value make_bool(napi_env env, bool value) {
    napi_value result = NULL;
    napi_get_boolean(env, value, &result);
    return result;
}

napi_value make_null(napi_env env) {
    napi_value result = NULL;
    napi_get_null(env, &result);
    return result;
}

napi_value make_undefined(napi_env env) {
    napi_value result = NULL;
    napi_get_undefined(env, &result);
    return result;
}

napi_value make_string(napi_env env, const char *value) {
    napi_value result = NULL;
    napi_create_string_utf8(env, value, NAPI_AUTO_LENGTH, &result);
    return result;
}

bool set_property(napi_env env, napi_value object, const char *name, napi_value value) {
    return value != NULL && napi_set_named_property(env, object, name, value) == napi_ok;
}

napi_value make_errno_error(napi_env env, int number, const char *syscall, const char *path,
                            const char *detail) {
    const char *code = strerrorname_np(number);
    char message[4096 + 512];
    snprintf(message, sizeof message, "%s: %s, %s%s%s%s%s%s%s", code == NULL ? "errno" : code,
             strerrordesc_np(number), syscall, path == NULL ? "" : " '", path == NULL ? "" : path,
             path == NULL ? "" : "'", detail == NULL ? "" : " (", detail == NULL ? "" : detail,
             detail == NULL ? "" : ")");
    napi_value error = NULL;
    if (napi_create_error(env, make_string(env, code == NULL ? "UNKNOWN" : code),
                          make_string(env, message), &error) != napi_ok)
        return NULL;
    /* Negative, as in the errors of Node's own system calls. */
    set_property(env, error, "errno", make_int32(env, -number));
    set_property(env, error, "syscall", make_string(env, syscall));
    if (path != NULL)
        set_property(env, error, "path", make_string(env, path));
    return error;
}

napi_value throw_errno(napi_env env, int number, const char *syscall, const char *path) {
    napi_value error = make_errno_error(env, number, syscall, path, NULL);
    if (error != NULL)
        napi_throw(env, error);
    return NULL;
}
