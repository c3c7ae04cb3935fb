/* Listing a directory with all that a tar header needs, in one call. */
#define _GNU_SOURCE
#include "archive.h"
#include "module.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Twin of LIST_FIELDS in src/image/layers/native-archive.ts. */
enum list_field {
    LIST_MODE,
    LIST_UID,
    LIST_GID,
    LIST_SIZE,
    LIST_SECONDS,
    LIST_NANOSECONDS,
    LIST_MAJOR,
    LIST_MINOR,
    LIST_LINKS,
    LIST_INODE_HIGH,
    LIST_INODE_LOW,
    LIST_COUNT,
};

static void list_fields(const struct stat *st, double *fields) {
    fields[LIST_MODE] = st->st_mode;
    fields[LIST_UID] = st->st_uid;
    fields[LIST_GID] = st->st_gid;
    fields[LIST_SIZE] = (double)st->st_size;
    fields[LIST_SECONDS] = (double)st->st_mtim.tv_sec;
    fields[LIST_NANOSECONDS] = (double)st->st_mtim.tv_nsec;
    fields[LIST_MAJOR] = major(st->st_rdev);
    fields[LIST_MINOR] = minor(st->st_rdev);
    fields[LIST_LINKS] = (double)st->st_nlink;
    fields[LIST_INODE_HIGH] = (double)((uint64_t)st->st_ino >> 32);
    fields[LIST_INODE_LOW] = (double)((uint64_t)st->st_ino & 0xffffffff);
}

/* Attributes of one directory's entries beyond this are refused (E2BIG): whoever fills the
 * directory must not choose how much memory its reader takes. */
#define LIST_XATTR_BYTES_MAX ((size_t)256 << 20)

/* [name, value, …] of a path, or NULL without any; `total` counts their bytes. Attributes that
 * vanish meanwhile are left out. */
static napi_value list_xattrs(napi_env env, const char *path, size_t *total, int *error) {
    char names[XATTR_LIST_MAX];
    ssize_t length = llistxattr(path, names, sizeof(names));
    if (length <= 0) {
        if (length < 0 && errno != ENOTSUP && errno != ENOENT)
            *error = errno;
        return NULL;
    }
    napi_value list;
    napi_value value;
    uint32_t count = 0;
    char *data = malloc(XATTR_SIZE_MAX);
    if (data == NULL || napi_create_array(env, &list) != napi_ok) {
        free(data);
        *error = ENOMEM;
        return NULL;
    }
    *total += (size_t)length;
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        ssize_t size = lgetxattr(path, name, data, XATTR_SIZE_MAX);
        if (size < 0) {
            if (errno != ENODATA && errno != ENOTSUP)
                *error = errno;
            continue;
        }
        *total += (size_t)size;
        if (*total > LIST_XATTR_BYTES_MAX) {
            *error = E2BIG;
            break;
        }
        napi_create_string_latin1(env, name, NAPI_AUTO_LENGTH, &value);
        napi_set_element(env, list, count++, value);
        napi_create_buffer_copy(env, (size_t)size, data, NULL, &value);
        napi_set_element(env, list, count++, value);
    }
    free(data);
    return list;
}

struct listing {
    napi_value names;
    napi_value fields;
    napi_value links;
    napi_value xattrs;
    uint32_t count;
    size_t xattr_bytes;
};

static int list_child(napi_env env, int fd, const char *name, struct listing *listing) {
    struct stat st;
    napi_value value;
    double fields[LIST_COUNT];
    char path[64 + NAME_MAX];
    int error = 0;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : errno;
    list_fields(&st, fields);
    uint32_t at = listing->count++;
    napi_create_string_latin1(env, name, NAPI_AUTO_LENGTH, &value);
    napi_set_element(env, listing->names, at, value);
    for (uint32_t i = 0; i < LIST_COUNT; i++) {
        napi_create_double(env, fields[i], &value);
        napi_set_element(env, listing->fields, at * LIST_COUNT + i, value);
    }
    if (S_ISLNK(st.st_mode)) {
        char target[PATH_MAX];
        ssize_t length = readlinkat(fd, name, target, sizeof(target));
        if (length < 0)
            return errno;
        napi_create_string_latin1(env, target, (size_t)length, &value);
        napi_set_element(env, listing->links, at, value);
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", fd, name);
    napi_value xattrs = list_xattrs(env, path, &listing->xattr_bytes, &error);
    if (xattrs != NULL)
        napi_set_element(env, listing->xattrs, at, xattrs);
    return error;
}

/* archiveList(fd): {names, fields, links, xattrs} of a directory's entries, unsorted; the
 * descriptor stays open. */
napi_value archive_list(napi_env env, napi_callback_info info) {
    napi_value result;
    struct listing listing = {.count = 0};
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    if (call.failed)
        return NULL;
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (dir == NULL) {
        int saved = errno;
        if (copy >= 0)
            close(copy);
        return throw_errno(env, saved, "opendir", NULL);
    }
    napi_create_object(env, &result);
    napi_create_array(env, &listing.names);
    napi_create_array(env, &listing.fields);
    napi_create_array(env, &listing.links);
    napi_create_array(env, &listing.xattrs);
    int error = 0;
    for (struct dirent *child; error == 0 && (child = readdir(dir)) != NULL;) {
        if (strcmp(child->d_name, ".") == 0 || strcmp(child->d_name, "..") == 0)
            continue;
        napi_handle_scope scope;
        napi_open_handle_scope(env, &scope);
        error = list_child(env, fd, child->d_name, &listing);
        napi_close_handle_scope(env, scope);
    }
    closedir(dir);
    if (error != 0)
        return throw_errno(env, error, error == E2BIG ? "listxattr" : "stat", NULL);
    napi_set_named_property(env, result, "names", listing.names);
    napi_set_named_property(env, result, "fields", listing.fields);
    napi_set_named_property(env, result, "links", listing.links);
    napi_set_named_property(env, result, "xattrs", listing.xattrs);
    return result;
}
