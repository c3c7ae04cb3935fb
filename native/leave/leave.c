/*
 * leave.node: the end of the command line client. Node takes its heap apart, block by block, and
 * waits for threads that may still be compiling; the kernel does the same in a tenth of the time.
 */
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdlib.h>
#include <unistd.h>

/* leave(exitCode): does not return, and runs nothing more. */
static napi_value leave(napi_env env, napi_callback_info info) {
    size_t count = 1;
    napi_value argument = NULL;
    int32_t code = EXIT_FAILURE;
    if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) == napi_ok && count == 1)
        napi_get_value_int32(env, argument, &code);
    _exit(code);
}

NAPI_MODULE_INIT() {
    napi_value function = NULL;
    if (napi_create_function(env, "leave", NAPI_AUTO_LENGTH, leave, NULL, &function) != napi_ok)
        return exports;
    return function;
}
