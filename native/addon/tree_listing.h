/*
 * What a listing gathers without JavaScript, so that any thread can do it (tree_list.c), and how it
 * becomes values then (tree_values.c). A zeroed struct text is empty.
 */
#ifndef MYDOCK_ADDON_TREE_LISTING_H
#define MYDOCK_ADDON_TREE_LISTING_H

#include <node_api.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Attributes of one directory's entries beyond this are refused (E2BIG). */
#define TREE_XATTR_BYTES_MAX ((size_t)64 << 20)

/* Bytes that grow. */
struct text {
    char *data;
    size_t length;
    size_t room;
};

static inline void cleanup_text_data(struct text *text) {
    free(text->data);
}
#define cleanup_text __attribute__((cleanup(cleanup_text_data)))

/* In front of each attribute of a text of attributes: its name and its value follow. */
struct tree_xattr {
    uint32_t entry;
    uint32_t name_length;
    uint32_t value_length;
};

/* 0 or an errno. */
int text_add(struct text *text, const void *data, size_t length);
/* Adds the target of a link, and a NUL behind it. */
int tree_read_link(struct text *text, int fd, const char *name);
/* Adds the attributes of a path that is not followed, as those of `entry`. Those that vanish
 * meanwhile are left out. */
int tree_read_xattrs(const char *path, uint32_t entry, struct text *xattrs);

/* An array by entry, with holes, of [name, value, ...]. */
napi_value tree_xattrs_value(napi_env env, const struct text *xattrs);
/* A Float64Array with a copy of the data; NULL where there is no memory. */
napi_value tree_numbers(napi_env env, const void *data, size_t bytes);
/* Without the last `drop` bytes. */
napi_value tree_latin1(napi_env env, const struct text *text, size_t drop);

#endif
