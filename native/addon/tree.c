/*
 * What there is in a tree that others may change: names are opened below an open root, links are
 * never followed, and a directory is listed with one call. All are synchronous; what they cost is a
 * few system calls a name. Contents are read by tree_read.c.
 */
#define _GNU_SOURCE
#include "tree.h"
#include "module.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Attributes of one directory's entries beyond this are refused (E2BIG). */
#define TREE_XATTR_BYTES_MAX ((size_t)64 << 20)

void tree_fields(const struct stat *st, double *fields) {
    fields[TREE_MODE] = st->st_mode;
    fields[TREE_UID] = st->st_uid;
    fields[TREE_GID] = st->st_gid;
    fields[TREE_LINKS] = (double)st->st_nlink;
    fields[TREE_MAJOR] = major(st->st_rdev);
    fields[TREE_MINOR] = minor(st->st_rdev);
    fields[TREE_SIZE] = (double)st->st_size;
    fields[TREE_SECONDS] = (double)st->st_mtim.tv_sec;
    fields[TREE_NANOSECONDS] = (double)st->st_mtim.tv_nsec;
    fields[TREE_CHANGE_SECONDS] = (double)st->st_ctim.tv_sec;
    fields[TREE_CHANGE_NANOSECONDS] = (double)st->st_ctim.tv_nsec;
    fields[TREE_DEVICE] = (double)st->st_dev;
    fields[TREE_INODE_HIGH] = (double)((uint64_t)st->st_ino >> 32);
    fields[TREE_INODE_LOW] = (double)((uint64_t)st->st_ino & 0xffffffff);
}

int tree_open(int root, const char *path, uint64_t flags) {
    struct open_how how = {
        .flags = flags | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int fd = -1;
    /* EAGAIN: a rename raced with RESOLVE_BENEATH. */
    for (int attempt = 0; attempt < 32; attempt++) {
        fd = (int)syscall(SYS_openat2, root, *path == '\0' ? "." : path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd;
}

/* Bytes that grow. */
struct text {
    char *data;
    size_t length;
    size_t room;
};

static void cleanup_text(struct text *text) {
    free(text->data);
}

static int text_add(struct text *text, const void *data, size_t length) {
    if (text->length + length > text->room) {
        size_t room = (text->length + length) * 2 + 1024;
        char *grown = realloc(text->data, room);
        if (grown == NULL)
            return ENOMEM;
        text->data = grown;
        text->room = room;
    }
    memcpy(text->data + text->length, data, length);
    text->length += length;
    return 0;
}

static int text_add_link(struct text *text, int fd, const char *name) {
    char target[PATH_MAX];
    ssize_t length = readlinkat(fd, name, target, sizeof target);
    if (length < 0)
        return errno;
    int error = text_add(text, target, (size_t)length);
    return error != 0 ? error : text_add(text, "", 1);
}

/* listxattrat(2), Linux 6.13: a path through /proc costs as much again as all else of a listing. */
#ifndef SYS_listxattrat
#define SYS_listxattrat 465
#endif

/* Whether a name in a directory may have attributes; those of most kinds of trees have none. */
static bool may_have_xattrs(int fd, const char *name) {
    static _Atomic bool missing;
    char one[1];
    if (missing)
        return true;
    long length = syscall(SYS_listxattrat, fd, name, AT_SYMLINK_NOFOLLOW, one, (size_t)0);
    if (length < 0 && errno == ENOSYS)
        missing = true;
    return length > 0 || (length < 0 && errno != ENOTSUP && errno != ENOENT);
}

/* [name, value, …] of a path that is not followed; NULL without any. Those that vanish meanwhile
 * are left out. */
static napi_value tree_xattrs(napi_env env, const char *path, size_t *total, int *error) {
    char names[XATTR_LIST_MAX];
    ssize_t length = llistxattr(path, names, sizeof names);
    if (length <= 0) {
        if (length < 0 && errno != ENOTSUP && errno != ENOENT)
            *error = errno;
        return NULL;
    }
    cleanup_free char *data = malloc(XATTR_SIZE_MAX);
    napi_value list;
    if (data == NULL || napi_create_array(env, &list) != napi_ok) {
        *error = ENOMEM;
        return NULL;
    }
    *total += (size_t)length;
    uint32_t count = 0;
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        napi_value value;
        ssize_t size = lgetxattr(path, name, data, XATTR_SIZE_MAX);
        if (size < 0) {
            if (errno != ENODATA && errno != ENOTSUP && errno != ENOENT)
                *error = errno;
            continue;
        }
        *total += (size_t)size;
        if (*total > TREE_XATTR_BYTES_MAX) {
            *error = E2BIG;
            break;
        }
        napi_create_string_latin1(env, name, NAPI_AUTO_LENGTH, &value);
        napi_set_element(env, list, count++, value);
        napi_create_buffer_copy(env, (size_t)size, data, NULL, &value);
        napi_set_element(env, list, count++, value);
    }
    return list;
}

static napi_value float64_array(napi_env env, const void *data, size_t bytes) {
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

static napi_value latin1(napi_env env, const struct text *text, size_t drop) {
    napi_value result = NULL;
    size_t length = text->length < drop ? 0 : text->length - drop;
    napi_create_string_latin1(env, text->data == NULL ? "" : text->data, length, &result);
    return result;
}

struct tree_listing {
    struct text names;
    struct text fields;
    struct text links;
    /* An array with holes where an entry has no attributes; NULL where none of them has. */
    napi_value xattrs;
    uint32_t count;
    size_t xattr_bytes;
};

static int list_name(napi_env env, int fd, const char *name, struct tree_listing *listing) {
    struct stat st;
    double fields[TREE_COUNT];
    char path[64 + NAME_MAX];
    int error = 0;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : errno;
    if (S_ISLNK(st.st_mode) && (error = text_add_link(&listing->links, fd, name)) != 0)
        return error == ENOENT || error == EINVAL ? 0 : error;
    tree_fields(&st, fields);
    uint32_t at = listing->count++;
    if ((error = text_add(&listing->names, name, strlen(name))) != 0 ||
        (error = text_add(&listing->names, "/", 1)) != 0 ||
        (error = text_add(&listing->fields, fields, sizeof fields)) != 0)
        return error;
    if (!may_have_xattrs(fd, name))
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", fd, name);
    napi_handle_scope scope;
    napi_open_handle_scope(env, &scope);
    napi_value xattrs = tree_xattrs(env, path, &listing->xattr_bytes, &error);
    if (xattrs != NULL)
        napi_set_element(env, listing->xattrs, at, xattrs);
    napi_close_handle_scope(env, scope);
    return error;
}

/* treeList(rootFd, path): {names, fields, links, xattrs} of a directory's entries, unsorted. */
static napi_value tree_list(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int root = call_int32(&call, 0, "rootFd");
    cleanup_free char *path = call_string(&call, 1, "path");
    if (call.failed)
        return NULL;
    int fd = tree_open(root, path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return throw_errno(env, errno, "openat2", path);
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        int saved = errno;
        close(fd);
        return throw_errno(env, saved, "opendir", path);
    }
    struct tree_listing listing = {0};
    napi_create_array(env, &listing.xattrs);
    int error = 0;
    for (;;) {
        errno = 0;
        struct dirent *child = readdir(dir);
        if (child == NULL) {
            error = errno;
            break;
        }
        if (strcmp(child->d_name, ".") == 0 || strcmp(child->d_name, "..") == 0)
            continue;
        if ((error = list_name(env, fd, child->d_name, &listing)) != 0)
            break;
    }
    closedir(dir);
    napi_value result = NULL;
    if (error != 0) {
        throw_errno(env, error, error == E2BIG ? "listxattr" : "stat", path);
    } else {
        napi_create_object(env, &result);
        napi_value fields = float64_array(env, listing.fields.data, listing.fields.length);
        if (fields == NULL || !set_property(env, result, "names", latin1(env, &listing.names, 1)) ||
            !set_property(env, result, "fields", fields) ||
            !set_property(env, result, "links", latin1(env, &listing.links, 1)) ||
            !set_property(env, result, "xattrs", listing.xattrs))
            result = throw_errno(env, ENOMEM, "readdir", path);
    }
    free(listing.names.data);
    free(listing.fields.data);
    free(listing.links.data);
    return result;
}

/* treeLook(rootFd, path): {fields, link, xattrs} of what is there, null where nothing is. */
static napi_value tree_look(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int root = call_int32(&call, 0, "rootFd");
    cleanup_free char *path = call_string(&call, 1, "path");
    if (call.failed)
        return NULL;
    cleanup_close int fd = tree_open(root, path, O_PATH);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return make_null(env);
        return throw_errno(env, errno, "openat2", path);
    }
    struct stat st;
    if (fstatat(fd, "", &st, AT_EMPTY_PATH) != 0)
        return throw_errno(env, errno, "stat", path);
    __attribute__((cleanup(cleanup_text))) struct text link = {0};
    int error = S_ISLNK(st.st_mode) ? text_add_link(&link, fd, "") : 0;
    if (error != 0)
        return throw_errno(env, error, "readlink", path);
    double fields[TREE_COUNT];
    tree_fields(&st, fields);
    napi_value result;
    napi_value xattrs = NULL;
    size_t xattr_bytes = 0;
    char name[64];
    /* A link's own attributes are out of reach of a descriptor. */
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (!S_ISLNK(st.st_mode))
        xattrs = tree_xattrs(env, name, &xattr_bytes, &error);
    if (error != 0)
        return throw_errno(env, error, "listxattr", path);
    napi_create_object(env, &result);
    if (!set_property(env, result, "fields", float64_array(env, fields, sizeof fields)) ||
        !set_property(env, result, "link", latin1(env, &link, 1)) ||
        !set_property(env, result, "xattrs", xattrs == NULL ? make_null(env) : xattrs))
        return throw_errno(env, ENOMEM, "stat", path);
    return result;
}

napi_status register_tree(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"treeList", tree_list},      {"treeLook", tree_look},
        {"treeRead", tree_read},      {"treeReadFiles", tree_read_files},
        {"treeOpen", tree_open_file}, {"treeUnchanged", tree_unchanged},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
