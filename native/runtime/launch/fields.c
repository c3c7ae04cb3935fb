/* See fields.h. */
#define _GNU_SOURCE
#include "fields.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const json_t *fields_get(const struct fields *from, const char *key) {
    const json_t *value = from->object == NULL ? NULL : json_object_get(from->object, key);
    return json_is_null(value) ? NULL : value;
}

int fields_no_memory(struct error **err) {
    return error_set(err, ENOMEM, "read", "config.json");
}

int fields_refuse(const struct fields *from, const char *key, const char *what,
                  struct error **err) {
    char name[256];
    const char *dot = from->name[0] == '\0' || key[0] == '\0' || key[0] == '[' ? "" : ".";
    snprintf(name, sizeof(name), "%s%s%s", from->name, dot, key);
    return error_setf(err, EINVAL, "config", name, "config.json: %s %s", name, what);
}

static char *fields_name(const struct fields *from, const char *key) {
    if (from->name[0] == '\0')
        return arena_format(from->arena, "%s", key);
    return arena_format(from->arena, "%s.%s", from->name, key);
}

int fields_object(const struct fields *from, const char *key, struct fields *out,
                  struct error **err) {
    const json_t *value = fields_get(from, key);
    if (value != NULL && !json_is_object(value))
        return fields_refuse(from, key, "must be an object", err);
    out->object = value;
    out->arena = from->arena;
    out->name = fields_name(from, key);
    return out->name == NULL ? fields_no_memory(err) : 0;
}

int fields_array(const struct fields *from, const char *key, const json_t **out,
                 struct error **err) {
    const json_t *value = fields_get(from, key);
    if (value != NULL && !json_is_array(value))
        return fields_refuse(from, key, "must be an array", err);
    if (value != NULL)
        *out = value;
    return 0;
}

int fields_element(const struct fields *from, const char *key, const json_t *array, size_t index,
                   struct fields *out, struct error **err) {
    char element[96];
    snprintf(element, sizeof(element), "%s[%zu]", key, index);
    const json_t *value = json_array_get(array, index);
    if (!json_is_object(value))
        return fields_refuse(from, element, "must be an object", err);
    out->object = value;
    out->arena = from->arena;
    out->name = fields_name(from, element);
    return out->name == NULL ? fields_no_memory(err) : 0;
}

/* A text with a NUL inside cannot be handed to the kernel: refused rather than cut. */
static bool fields_is_text(const json_t *value) {
    return json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value);
}

int fields_text(const struct fields *from, const char *key, const char **out, struct error **err) {
    const json_t *value = fields_get(from, key);
    if (value == NULL)
        return 0;
    if (!fields_is_text(value))
        return fields_refuse(from, key, "must be a string without NUL", err);
    *out = json_string_value(value);
    return 0;
}

int fields_flag(const struct fields *from, const char *key, bool *out, struct error **err) {
    const json_t *value = fields_get(from, key);
    if (value == NULL)
        return 0;
    if (!json_is_boolean(value))
        return fields_refuse(from, key, "must be true or false", err);
    *out = json_is_true(value);
    return 0;
}

int fields_number(const struct fields *from, const char *key, int64_t minimum, int64_t maximum,
                  int64_t *out, struct error **err) {
    const json_t *value = fields_get(from, key);
    if (value == NULL)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < minimum ||
        json_integer_value(value) > maximum) {
        char what[96];
        snprintf(what, sizeof(what), "must be a whole number from %lld to %lld", (long long)minimum,
                 (long long)maximum);
        return fields_refuse(from, key, what, err);
    }
    *out = json_integer_value(value);
    return 0;
}

int fields_texts(const struct fields *from, const char *key, struct text_list *out,
                 struct error **err) {
    const json_t *array = NULL;
    if (fields_array(from, key, &array, err) < 0)
        return -1;
    size_t count = array == NULL ? 0 : json_array_size(array);
    const char **items = arena_array(from->arena, count + 1, sizeof(*items));
    if (items == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < count; index++) {
        const json_t *value = json_array_get(array, index);
        if (!fields_is_text(value)) {
            char element[96];
            snprintf(element, sizeof(element), "%s[%zu]", key, index);
            return fields_refuse(from, element, "must be a string without NUL", err);
        }
        items[index] = json_string_value(value);
    }
    *out = (struct text_list){items, count};
    return 0;
}

bool fields_has(const struct fields *from, const char *key) {
    const json_t *value = fields_get(from, key);
    if (value == NULL)
        return false;
    if (json_is_object(value))
        return json_object_size(value) > 0;
    if (json_is_array(value))
        return json_array_size(value) > 0;
    return !json_is_string(value) || json_string_length(value) > 0;
}
