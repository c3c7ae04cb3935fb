/* The parts of a listing as values of JavaScript. See tree_listing.h. */
#define _GNU_SOURCE
#include "tree_listing.h"
#include <string.h>

napi_value tree_numbers(napi_env env, const void *data, size_t bytes) {
    void *copy = NULL;
    napi_value buffer;
    napi_value result = NULL;
    if (napi_create_arraybuffer(env, bytes, &copy, &buffer) != napi_ok)
        return NULL;
    if (bytes > 0)
        memcpy(copy, data, bytes);
    napi_create_typedarray(env, napi_float64_array, bytes / sizeof(double), buffer, 0, &result);
    return result;
}

napi_value tree_latin1(napi_env env, const struct text *text, size_t drop) {
    napi_value result = NULL;
    size_t length = text->length < drop ? 0 : text->length - drop;
    napi_create_string_latin1(env, text->data == NULL ? "" : text->data, length, &result);
    return result;
}

napi_value tree_xattrs_value(napi_env env, const struct text *xattrs) {
    napi_value all = NULL;
    napi_value own = NULL;
    struct tree_xattr head;
    uint32_t entry = UINT32_MAX;
    uint32_t count = 0;
    if (napi_create_array(env, &all) != napi_ok)
        return NULL;
    for (size_t at = 0; at < xattrs->length;) {
        memcpy(&head, xattrs->data + at, sizeof head);
        at += sizeof head;
        napi_handle_scope scope;
        napi_value name;
        napi_value value;
        if (head.entry != entry) {
            entry = head.entry;
            count = 0;
            napi_create_array(env, &own);
            napi_set_element(env, all, entry, own);
        }
        napi_open_handle_scope(env, &scope);
        napi_create_string_latin1(env, xattrs->data + at, head.name_length, &name);
        at += head.name_length;
        napi_create_buffer_copy(env, head.value_length, xattrs->data + at, NULL, &value);
        at += head.value_length;
        napi_set_element(env, own, count++, name);
        napi_set_element(env, own, count++, value);
        napi_close_handle_scope(env, scope);
    }
    return all;
}
