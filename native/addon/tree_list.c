/*
 * Lists a directory on the thread pool: what a name costs is a few system calls, and a directory
 * may have millions of names, or lie on a file system that does not answer. See tree.h.
 */
#define _GNU_SOURCE
#include "module.h"
#include "pool.h"
#include "tree.h"
#include "tree_listing.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

int text_add(struct text *text, const void *data, size_t length) {
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

int tree_read_link(struct text *text, int fd, const char *name) {
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

int tree_read_xattrs(const char *path, uint32_t entry, struct text *xattrs) {
    char names[XATTR_LIST_MAX];
    ssize_t length = llistxattr(path, names, sizeof names);
    if (length <= 0)
        return length < 0 && errno != ENOTSUP && errno != ENOENT ? errno : 0;
    cleanup_free char *data = malloc(XATTR_SIZE_MAX);
    if (data == NULL)
        return ENOMEM;
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        ssize_t size = lgetxattr(path, name, data, XATTR_SIZE_MAX);
        if (size < 0) {
            if (errno != ENODATA && errno != ENOTSUP && errno != ENOENT)
                return errno;
            continue;
        }
        struct tree_xattr head = {entry, (uint32_t)strlen(name), (uint32_t)size};
        if (xattrs->length + sizeof head + head.name_length + (size_t)size > TREE_XATTR_BYTES_MAX)
            return E2BIG;
        int error = 0;
        if ((error = text_add(xattrs, &head, sizeof head)) != 0 ||
            (error = text_add(xattrs, name, head.name_length)) != 0 ||
            (error = text_add(xattrs, data, (size_t)size)) != 0)
            return error;
    }
    return 0;
}

/* One call under way. */
struct list_job {
    struct pool_job job;
    /* Its own descriptor: the caller may close the root meanwhile. */
    int root;
    char *path;
    bool with_xattrs;
    struct text names;
    struct text fields;
    struct text links;
    struct text xattrs;
    uint32_t count;
};

static void list_release(struct pool_job *job) {
    struct list_job *list = (struct list_job *)job;
    if (list->root >= 0)
        close(list->root);
    free(list->path);
    free(list->names.data);
    free(list->fields.data);
    free(list->links.data);
    free(list->xattrs.data);
    free(list);
}

static int list_failed(struct list_job *job, int error, const char *step) {
    job->job.step = step;
    job->job.error = error;
    return error;
}

static int list_name(struct list_job *job, int fd, const char *name) {
    struct stat st;
    double fields[TREE_COUNT];
    char path[64 + NAME_MAX];
    int error = 0;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : list_failed(job, errno, "stat");
    if (S_ISLNK(st.st_mode) && (error = tree_read_link(&job->links, fd, name)) != 0)
        return error == ENOENT || error == EINVAL ? 0 : list_failed(job, error, "readlink");
    tree_fields(&st, fields);
    uint32_t entry = job->count++;
    if ((error = text_add(&job->names, name, strlen(name))) != 0 ||
        (error = text_add(&job->names, "/", 1)) != 0 ||
        (error = text_add(&job->fields, fields, sizeof fields)) != 0)
        return list_failed(job, error, "readdir");
    if (!job->with_xattrs || !may_have_xattrs(fd, name))
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", fd, name);
    error = tree_read_xattrs(path, entry, &job->xattrs);
    return error == 0 ? 0 : list_failed(job, error, "listxattr");
}

static void list_run(struct pool_job *work) {
    struct list_job *job = (struct list_job *)work;
    int fd = tree_open(job->root, job->path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        list_failed(job, errno, "openat2");
        return;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        list_failed(job, errno, "opendir");
        close(fd);
        return;
    }
    for (;;) {
        errno = 0;
        struct dirent *child = readdir(dir);
        if (child == NULL) {
            if (errno != 0)
                list_failed(job, errno, "readdir");
            break;
        }
        if (strcmp(child->d_name, ".") == 0 || strcmp(child->d_name, "..") == 0)
            continue;
        if (list_name(job, fd, child->d_name) != 0)
            break;
    }
    closedir(dir);
}

static napi_value list_result(napi_env env, struct pool_job *work) {
    const struct list_job *job = (struct list_job *)work;
    napi_value result;
    napi_value fields = tree_numbers(env, job->fields.data, job->fields.length);
    napi_value xattrs = tree_xattrs_value(env, &job->xattrs);
    if (fields == NULL || xattrs == NULL || napi_create_object(env, &result) != napi_ok ||
        !set_property(env, result, "names", tree_latin1(env, &job->names, 1)) ||
        !set_property(env, result, "fields", fields) ||
        !set_property(env, result, "links", tree_latin1(env, &job->links, 1)) ||
        !set_property(env, result, "xattrs", xattrs))
        return NULL;
    return result;
}

/* treeList(rootFd, path, withXattrs): a promise of {names, fields, links, xattrs}, unsorted. */
napi_value tree_list(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    struct list_job *list = pool_new(
        env, sizeof *list,
        (struct pool_job){
            .run = list_run, .result = list_result, .release = list_release, .step = "readdir"});
    if (list == NULL)
        return NULL;
    list->root = -1;
    int root = call_int32(&call, 0, "rootFd");
    list->job.path = list->path = call_string(&call, 1, "path");
    list->with_xattrs = call_bool(&call, 2, "withXattrs");
    if (!call.failed && (list->root = fcntl(root, F_DUPFD_CLOEXEC, 0)) < 0) {
        throw_errno(env, errno, "fcntl", list->path);
        call.failed = true;
    }
    return pool_queue_call(&call, &list->job);
}
