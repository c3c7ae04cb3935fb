/*
 * What there is in a tree that others may change: names are opened below an open root, links are
 * never followed. Directories are listed by tree_list.c, contents are read by tree_read.c.
 */
#define _GNU_SOURCE
#include "tree.h"
#include "module.h"
#include "tree_listing.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

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
    cleanup_text struct text link = {0};
    int error = S_ISLNK(st.st_mode) ? tree_read_link(&link, fd, "") : 0;
    if (error != 0)
        return throw_errno(env, error, "readlink", path);
    double fields[TREE_COUNT];
    tree_fields(&st, fields);
    cleanup_text struct text xattrs = {0};
    char name[64];
    /* A link's own attributes are out of reach of a descriptor. */
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (!S_ISLNK(st.st_mode))
        error = tree_read_xattrs(name, 0, &xattrs);
    if (error != 0)
        return throw_errno(env, error, "listxattr", path);
    napi_value result;
    napi_value all = tree_xattrs_value(env, &xattrs);
    napi_value own = make_null(env);
    if (xattrs.length > 0)
        napi_get_element(env, all, 0, &own);
    napi_create_object(env, &result);
    if (!set_property(env, result, "fields", tree_numbers(env, fields, sizeof fields)) ||
        !set_property(env, result, "link", tree_latin1(env, &link, 1)) ||
        !set_property(env, result, "xattrs", own))
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
