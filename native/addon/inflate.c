/*
 * gzip for JavaScript: a reader is an external value, and every step goes from one Uint8Array into
 * another on the calling thread. What the data mean is gzip.c's matter.
 */
#include "gzip.h"
#include "module.h"
#include <errno.h>

/* Marks the external value, so that no other one passes for it. */
static const napi_type_tag READER_TAG = {0x6d79646f636b677aULL, 0x6970726561646572ULL};

static void finalize(napi_env env, void *data, void *hint) {
    (void)env;
    (void)hint;
    gzip_reader_free(data);
}

static napi_value gzip_open(napi_env env, napi_callback_info info) {
    (void)info;
    napi_value handle;
    struct gzip_reader *reader = gzip_reader_new();
    if (reader == NULL)
        return throw_errno(env, ENOMEM, "gzipOpen", NULL);
    if (napi_create_external(env, reader, finalize, NULL, &handle) != napi_ok) {
        gzip_reader_free(reader);
        return throw_errno(env, ENOMEM, "gzipOpen", NULL);
    }
    if (napi_type_tag_object(env, handle, &READER_TAG) != napi_ok)
        return throw_errno(env, EINVAL, "gzipOpen", NULL);
    return handle;
}

static struct gzip_reader *call_reader(struct call *call) {
    bool ours = false;
    void *data = NULL;
    if (call->failed)
        return NULL;
    if (napi_check_object_type_tag(call->env, call->arguments[0], &READER_TAG, &ours) != napi_ok ||
        !ours || napi_get_value_external(call->env, call->arguments[0], &data) != napi_ok) {
        call_type_error(call, "reader", "a gzip reader");
        return NULL;
    }
    return data;
}

/* gzipStep(reader, input, output, counts): counts is a Uint32Array of two, consumed and produced.
 * Returns null, or what is wrong with the data. */
static napi_value gzip_step(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    struct gzip_reader *reader = call_reader(&call);
    struct bytes input = call_bytes(&call, 1, "input");
    struct bytes output = call_bytes(&call, 2, "output");
    if (call.failed)
        return NULL;
    napi_typedarray_type type;
    size_t length = 0;
    void *counts = NULL;
    if (napi_get_typedarray_info(env, call.arguments[3], &type, &length, &counts, NULL, NULL) !=
            napi_ok ||
        type != napi_uint32_array || length < 2) {
        call_type_error(&call, "counts", "a Uint32Array of two");
        return NULL;
    }
    struct gzip_step step;
    const char *wrong = gzip_reader_step(reader, input.data, input.length, (uint8_t *)output.data,
                                         output.length, &step);
    ((uint32_t *)counts)[0] = (uint32_t)step.consumed;
    ((uint32_t *)counts)[1] = (uint32_t)step.produced;
    return wrong == NULL ? make_null(env) : make_string(env, wrong);
}

/* gzipComplete(reader): whether the input may end here. */
static napi_value gzip_complete(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    struct gzip_reader *reader = call_reader(&call);
    if (call.failed)
        return NULL;
    return make_bool(env, gzip_reader_complete(reader));
}

napi_status register_inflate(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"gzipOpen", gzip_open},
        {"gzipStep", gzip_step},
        {"gzipComplete", gzip_complete},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
