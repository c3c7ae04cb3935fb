/*
 * What the files of the addon share: registration, arguments in, values and errors out. Each topic
 * file exports one `napi_status register_<topic>(napi_env, napi_value exports)`, declared here and
 * listed in module.c; the functions' contract is the Addon interface in src/native/addon.ts.
 *
 * A callback reads its arguments through a `struct call`: a wrong one throws a TypeError and marks
 * the call failed, so that all arguments can be read first and checked once. Nothing here aborts on
 * bad input.
 */
#ifndef MYDOCK_ADDON_MODULE_H
#define MYDOCK_ADDON_MODULE_H

#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

napi_status register_spawn(napi_env env, napi_value exports);
napi_status register_process(napi_env env, napi_value exports);
napi_status register_socket(napi_env env, napi_value exports);
napi_status register_port(napi_env env, napi_value exports);
napi_status register_mount(napi_env env, napi_value exports);
napi_status register_loop(napi_env env, napi_value exports);
napi_status register_files(napi_env env, napi_value exports);
napi_status register_nodes(napi_env env, napi_value exports);
napi_status register_netns(napi_env env, napi_value exports);
napi_status register_interfaces(napi_env env, napi_value exports);
napi_status register_netlink(napi_env env, napi_value exports);
napi_status register_archive(napi_env env, napi_value exports);
napi_status register_inflate(napi_env env, napi_value exports);
napi_status register_volume(napi_env env, napi_value exports);
napi_status register_usernamespace(napi_env env, napi_value exports);
napi_status register_clamp(napi_env env, napi_value exports);
napi_status register_mount_points(napi_env env, napi_value exports);
napi_status register_tree(napi_env env, napi_value exports);
napi_status register_handover(napi_env env, napi_value exports);

struct addon_function {
    const char *name;
    napi_callback callback;
};

/* Defines each function on exports. */
napi_status addon_export(napi_env env, napi_value exports, const struct addon_function *functions,
                         size_t count);

#define CALL_ARGUMENTS_MAX 6

struct call {
    napi_env env;
    napi_value arguments[CALL_ARGUMENTS_MAX];
    size_t count;
    /* An exception is pending: return NULL to JavaScript. */
    bool failed;
};

/* A byte string that stays valid for the duration of the callback. */
struct bytes {
    const uint8_t *data;
    size_t length;
};

struct call call_begin(napi_env env, napi_callback_info info);

int32_t call_int32(struct call *call, size_t index, const char *name);
/* For flag sets and openat2's 64-bit fields: any integer from 0 to 2^53-1. */
uint64_t call_uint64(struct call *call, size_t index, const char *name);
bool call_bool(struct call *call, size_t index, const char *name);
/* True where the argument is missing, undefined or null. */
bool call_absent(struct call *call, size_t index);
/* A string or the bytes of a Uint8Array, owned by the caller, without embedded NUL. NULL where it
 * failed. */
char *call_string(struct call *call, size_t index, const char *name);
struct bytes call_bytes(struct call *call, size_t index, const char *name);

/* The same for values that are not arguments: properties of an options object, elements of an
 * array. */
napi_value call_property(struct call *call, napi_value object, const char *name);
int32_t call_value_int32(struct call *call, napi_value value, const char *name);
uint64_t call_value_uint64(struct call *call, napi_value value, const char *name);
char *call_value_string(struct call *call, napi_value value, const char *name);
/* An array of strings as a NULL-terminated vector with its length in *length (may be NULL); free
 * with free_strings. */
char **call_value_strings(struct call *call, napi_value value, const char *name, size_t *length);
/* An array of numbers, owned by the caller; its length in *length. */
int *call_value_int32s(struct call *call, napi_value value, const char *name, size_t *length);

/* Marks the call failed and throws a TypeError: `name` must be `expected`. */
void call_type_error(struct call *call, const char *name, const char *expected);

/* An Error with code, errno, syscall, and path where it is not NULL; `detail`, where not NULL,
 * joins the message. */
napi_value make_errno_error(napi_env env, int number, const char *syscall, const char *path,
                            const char *detail);
/* Throws it; returns NULL for `return throw_errno(...)`. */
napi_value throw_errno(napi_env env, int number, const char *syscall, const char *path);

napi_value make_int32(napi_env env, int32_t value);
napi_value make_bool(napi_env env, bool value);
napi_value make_null(napi_env env);
napi_value make_undefined(napi_env env);
napi_value make_string(napi_env env, const char *value);
/* Sets object.name; false where the environment fails. */
bool set_property(napi_env env, napi_value object, const char *name, napi_value value);

void free_strings(char **strings);

static inline void cleanup_free_pointer(void *pointer) {
    free(*(void **)pointer);
}
static inline void cleanup_close_fd(const int *fd) {
    if (*fd >= 0)
        close(*fd);
}
static inline void cleanup_strings_pointer(char ***strings) {
    free_strings(*strings);
}
#define cleanup_free __attribute__((cleanup(cleanup_free_pointer)))
#define cleanup_close __attribute__((cleanup(cleanup_close_fd)))
#define cleanup_strings __attribute__((cleanup(cleanup_strings_pointer)))

/* Hands the descriptor over: the cleanup of the variable does nothing after it. */
static inline int steal_fd(int *fd) {
    int value = *fd;
    *fd = -1;
    return value;
}

#endif
