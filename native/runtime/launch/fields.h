/*
 * Strict reading of JSON members: a wrong type or a number out of range is an error that names the
 * field in full
 * ("process.user.uid must be a whole number from 0 to 4294967294"). An absent or null member leaves
 * *out as it is, so that the caller's initial value is the default. Texts are borrowed from the
 * JSON tree.
 */
#ifndef MYDOCK_FIELDS_H
#define MYDOCK_FIELDS_H

#include "../../common/error.h"
#include "arena.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct text_list {
    /* count texts and a NULL behind them. */
    const char **items;
    size_t count;
};

/* What is being read: an object and its name for messages. */
struct fields {
    const json_t *object;
    const char *name;
    struct arena *arena;
};

/* Opens members. fields_object leaves out->object NULL where it is absent: all reads from it then
 * find nothing. */
int fields_object(const struct fields *from, const char *key, struct fields *out,
                  struct error **err);
int fields_array(const struct fields *from, const char *key, const json_t **out,
                 struct error **err);
/* Element index of an array found under key, which must be an object. */
int fields_element(const struct fields *from, const char *key, const json_t *array, size_t index,
                   struct fields *out, struct error **err);

int fields_text(const struct fields *from, const char *key, const char **out, struct error **err);
int fields_flag(const struct fields *from, const char *key, bool *out, struct error **err);
int fields_number(const struct fields *from, const char *key, int64_t minimum, int64_t maximum,
                  int64_t *out, struct error **err);
int fields_texts(const struct fields *from, const char *key, struct text_list *out,
                 struct error **err);

/* True where the member is there, is not null, and is no empty object, array or text. */
bool fields_has(const struct fields *from, const char *key);
/* The error "NAME.KEY what". */
int fields_refuse(const struct fields *from, const char *key, const char *what, struct error **err);
int fields_no_memory(struct error **err);

#endif
