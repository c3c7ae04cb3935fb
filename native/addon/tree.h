/*
 * Trees that others may change while they are read: what the listing (tree.c, tree_list.c) and the
 * reading of contents (tree_read.c) share. The contract with JavaScript is src/native/tree.ts.
 */
#ifndef MYDOCK_ADDON_TREE_H
#define MYDOCK_ADDON_TREE_H

#include <node_api.h>
#include <stdint.h>
#include <sys/stat.h>

/* Twin of TREE_FIELDS in src/native/tree.ts. */
enum tree_field {
    TREE_MODE,
    TREE_UID,
    TREE_GID,
    TREE_LINKS,
    TREE_MAJOR,
    TREE_MINOR,
    TREE_SIZE,
    TREE_SECONDS,
    TREE_NANOSECONDS,
    TREE_CHANGE_SECONDS,
    TREE_CHANGE_NANOSECONDS,
    TREE_DEVICE,
    TREE_INODE_HIGH,
    TREE_INODE_LOW,
    TREE_COUNT,
};
/* From here on, what tells that a file is still the one that was listed. */
#define TREE_STATE_FROM TREE_SIZE
#define TREE_STATE_COUNT (TREE_COUNT - TREE_STATE_FROM)

/* What stat says, as the TREE_COUNT numbers of a listing. */
void tree_fields(const struct stat *st, double *fields);

/* Opens a path below the root, on which no component is a link; with O_PATH the last may be one. A
 * descriptor, or -1 with errno. */
int tree_open(int root, const char *path, uint64_t flags);

/* On the thread pool; the others are synchronous. */
napi_value tree_list(napi_env env, napi_callback_info info);
napi_value tree_read(napi_env env, napi_callback_info info);
napi_value tree_read_files(napi_env env, napi_callback_info info);
napi_value tree_open_file(napi_env env, napi_callback_info info);
napi_value tree_unchanged(napi_env env, napi_callback_info info);

#endif
