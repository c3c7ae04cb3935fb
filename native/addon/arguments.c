/*
 * Arguments in: JavaScript values to C values, each checked. See module.h.
 */
#define _GNU_SOURCE
#include "module.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct call call_begin(napi_env env, napi_callback_info info) {
    struct call call = {.env = env, .count = CALL_ARGUMENTS_MAX};
    if (napi_get_cb_info(env, info, &call.count, call.arguments, NULL, NULL) != napi_ok) {
        call.count = 0;
        call.failed = true;
    }
    return call;
}

void call_type_error(struct call *call, const char *name, const char *expected) {
    if (call->failed)
        return;
    call->failed = true;
    char message[160];
    snprintf(message, sizeof message, "%s must be %s", name, expected);
    napi_throw_type_error(call->env, "ERR_INVALID_ARG_TYPE", message);
}

/* Unset slots hold undefined: napi_get_cb_info fills what the caller left out. */
static napi_value argument(struct call *call, size_t index) {
    return index < CALL_ARGUMENTS_MAX ? call->arguments[index] : NULL;
}

bool call_absent(struct call *call, size_t index) {
    napi_valuetype type = napi_undefined;
    napi_value value = argument(call, index);
    if (value != NULL)
        napi_typeof(call->env, value, &type);
    return type == napi_undefined || type == napi_null;
}

static bool read_integer(struct call *call, napi_value value, double least, double most,
                         double *result) {
    return value != NULL && napi_get_value_double(call->env, value, result) == napi_ok &&
           *result >= least && *result <= most && trunc(*result) == *result;
}

int32_t call_value_int32(struct call *call, napi_value value, const char *name) {
    double result = 0;
    if (call->failed)
        return 0;
    if (!read_integer(call, value, INT32_MIN, INT32_MAX, &result)) {
        call_type_error(call, name, "a 32-bit integer");
        return 0;
    }
    return (int32_t)result;
}

uint64_t call_value_uint64(struct call *call, napi_value value, const char *name) {
    double result = 0;
    if (call->failed)
        return 0;
    if (!read_integer(call, value, 0, 9007199254740991.0, &result)) {
        call_type_error(call, name, "an integer that is not negative");
        return 0;
    }
    return (uint64_t)result;
}

int32_t call_int32(struct call *call, size_t index, const char *name) {
    return call_value_int32(call, argument(call, index), name);
}

uint64_t call_uint64(struct call *call, size_t index, const char *name) {
    return call_value_uint64(call, argument(call, index), name);
}

bool call_bool(struct call *call, size_t index, const char *name) {
    bool result = false;
    napi_value value = argument(call, index);
    if (!call->failed &&
        (value == NULL || napi_get_value_bool(call->env, value, &result) != napi_ok))
        call_type_error(call, name, "a boolean");
    return result;
}

/* Fills *out where value is a Uint8Array (Buffer included). */
static bool read_bytes(struct call *call, napi_value value, struct bytes *out) {
    bool is_typed_array = false;
    napi_typedarray_type type;
    size_t length;
    void *data;
    if (value == NULL || napi_is_typedarray(call->env, value, &is_typed_array) != napi_ok ||
        !is_typed_array)
        return false;
    if (napi_get_typedarray_info(call->env, value, &type, &length, &data, NULL, NULL) != napi_ok ||
        type != napi_uint8_array)
        return false;
    *out = (struct bytes){.data = data, .length = length};
    return true;
}

struct bytes call_bytes(struct call *call, size_t index, const char *name) {
    struct bytes bytes = {.data = NULL, .length = 0};
    if (!call->failed && !read_bytes(call, argument(call, index), &bytes))
        call_type_error(call, name, "a Uint8Array");
    return bytes;
}

char *call_value_string(struct call *call, napi_value value, const char *name) {
    struct bytes bytes;
    char *text = NULL;
    size_t length = 0;
    if (call->failed)
        return NULL;
    if (value != NULL &&
        napi_get_value_string_utf8(call->env, value, NULL, 0, &length) == napi_ok) {
        text = malloc(length + 1);
        if (text != NULL &&
            napi_get_value_string_utf8(call->env, value, text, length + 1, &length) != napi_ok)
            text[0] = '\0';
    } else if (read_bytes(call, value, &bytes)) {
        length = bytes.length;
        text = malloc(length + 1);
        if (text != NULL) {
            if (length > 0)
                memcpy(text, bytes.data, length);
            text[length] = '\0';
        }
    } else {
        call_type_error(call, name, "a string or a Uint8Array");
        return NULL;
    }
    if (text == NULL) {
        call->failed = true;
        throw_errno(call->env, ENOMEM, "malloc", NULL);
    } else if (memchr(text, '\0', length) != NULL) {
        free(text);
        text = NULL;
        call_type_error(call, name, "without NUL bytes");
    }
    return text;
}

char *call_string(struct call *call, size_t index, const char *name) {
    return call_value_string(call, argument(call, index), name);
}

napi_value call_property(struct call *call, napi_value object, const char *name) {
    napi_valuetype type = napi_undefined;
    napi_value value = NULL;
    if (call->failed)
        return NULL;
    if (object == NULL || napi_typeof(call->env, object, &type) != napi_ok || type != napi_object) {
        call_type_error(call, "options", "an object");
        return NULL;
    }
    if (napi_get_named_property(call->env, object, name, &value) != napi_ok)
        call->failed = true;
    return value;
}

static bool array_length(struct call *call, napi_value value, const char *name, uint32_t *length) {
    bool is_array = false;
    if (call->failed)
        return false;
    if (value == NULL || napi_is_array(call->env, value, &is_array) != napi_ok || !is_array ||
        napi_get_array_length(call->env, value, length) != napi_ok) {
        call_type_error(call, name, "an array");
        return false;
    }
    return true;
}

static napi_value array_element(struct call *call, napi_value array, uint32_t index) {
    napi_value element = NULL;
    if (napi_get_element(call->env, array, index, &element) != napi_ok)
        call->failed = true;
    return element;
}

char **call_value_strings(struct call *call, napi_value value, const char *name, size_t *length) {
    uint32_t count = 0;
    if (!array_length(call, value, name, &count))
        return NULL;
    cleanup_strings char **strings = calloc((size_t)count + 1, sizeof *strings);
    if (strings == NULL) {
        call->failed = true;
        throw_errno(call->env, ENOMEM, "calloc", NULL);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        strings[i] = call_value_string(call, array_element(call, value, i), name);
        if (strings[i] == NULL)
            return NULL;
    }
    if (length != NULL)
        *length = count;
    char **result = strings;
    strings = NULL;
    return result;
}

int *call_value_int32s(struct call *call, napi_value value, const char *name, size_t *length) {
    uint32_t count = 0;
    if (!array_length(call, value, name, &count))
        return NULL;
    int *numbers = calloc((size_t)count + 1, sizeof *numbers);
    if (numbers == NULL) {
        call->failed = true;
        throw_errno(call->env, ENOMEM, "calloc", NULL);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = call_value_int32(call, array_element(call, value, i), name);
    if (call->failed) {
        free(numbers);
        return NULL;
    }
    *length = count;
    return numbers;
}

void free_strings(char **strings) {
    if (strings == NULL)
        return;
    for (char **string = strings; *string != NULL; string++)
        free(*string);
    free(strings);
}
