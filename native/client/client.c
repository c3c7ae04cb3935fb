/*
 * client.node: what the command line client needs of its process at the begin and at the end,
 * and connections (socket.c).
 *
 * setFlag: bin/mydock gives Node flags of V8 that shorten its start. V8 takes compiled code only
 * where all flags are as they were when it was compiled, so that the client sets them back before
 * it loads anything. Node has this function in a module that loads fifteen others.
 *
 * leave: Node takes its heap apart, block by block, and waits for threads that may still be
 * compiling; the kernel does the same in a tenth of the time.
 */
#define NAPI_VERSION 8
#include "client.h"
#include <node_api.h>
#include <stdlib.h>
#include <unistd.h>

enum { FLAG_SIZE = 64 };

/* v8::V8::SetFlagsFromString(const char *), where this Node has it. */
extern void v8_set_flags(const char *flags) __asm__("_ZN2v82V818SetFlagsFromStringEPKc")
    __attribute__((weak));

/* setFlag(text): false where that cannot be. */
static napi_value set_flag(napi_env env, napi_callback_info info) {
    size_t count = 1, length = 0;
    napi_value argument = NULL, result = NULL;
    char flag[FLAG_SIZE];
    int done =
        napi_get_cb_info(env, info, &count, &argument, NULL, NULL) == napi_ok && count == 1 &&
        napi_get_value_string_latin1(env, argument, flag, sizeof(flag), &length) == napi_ok &&
        v8_set_flags != NULL;
    if (done)
        v8_set_flags(flag);
    return napi_get_boolean(env, done, &result) == napi_ok ? result : NULL;
}

/* leave(exitCode): does not return, and runs nothing more. */
static napi_value leave(napi_env env, napi_callback_info info) {
    size_t count = 1;
    napi_value argument = NULL;
    int32_t code = EXIT_FAILURE;
    if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) == napi_ok && count == 1)
        napi_get_value_int32(env, argument, &code);
    _exit(code);
}

static void add(napi_env env, napi_value exports, const char *name, napi_callback call) {
    napi_value function = NULL;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, NULL, &function) == napi_ok)
        napi_set_named_property(env, exports, name, function);
}

NAPI_MODULE_INIT() {
    add(env, exports, "setFlag", set_flag);
    add(env, exports, "leave", leave);
    add(env, exports, "connectUnix", client_connect_unix);
    add(env, exports, "watch", client_watch);
    add(env, exports, "unwatch", client_unwatch);
    return exports;
}
