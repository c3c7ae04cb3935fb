/* See root_path.h. */
#define _GNU_SOURCE
#include "root_path.h"
#include "../../common/cleanup.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* As many symlinks as the kernel follows. */
#define LINKS_MAX 40

static int root_path_resolve(int root_fd, const char *path, int flags, uint64_t resolve) {
    int fd;
    do {
        /* EAGAIN: something was renamed meanwhile, and the kernel could not be sure to have stayed
         * inside. */
        fd = sys_openat2(root_fd, path, (uint64_t)flags | O_CLOEXEC, 0,
                         resolve | RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
    } while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return fd;
}

int root_path_open(int root_fd, const char *path, int flags) {
    return root_path_resolve(root_fd, path, flags, 0);
}

int root_path_open_plain(int root_fd, const char *path, int flags) {
    return root_path_resolve(root_fd, path, flags, RESOLVE_NO_SYMLINKS);
}

enum root_path_kind {
    ROOT_PATH_DIRECTORY,
    ROOT_PATH_FILE,
};

static int root_path_make(int root_fd, const char *path, enum root_path_kind kind, int links,
                          bool *made, struct error **err);

/* Splits off the last component; the parent is "" for the root itself. Trailing slashes are
 * dropped. */
static int root_path_split(const char *path, char parent[PATH_MAX], const char **name,
                           struct error **err) {
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        length--;
    size_t start = length;
    while (start > 0 && path[start - 1] != '/')
        start--;
    if (length == start || length >= PATH_MAX)
        return error_set(err, length == start ? EINVAL : ENAMETOOLONG, "create in the root", path);
    memcpy(parent, path, start);
    parent[start] = '\0';
    *name = path + start;
    return 0;
}

/* The path that a symlink at parent/name stands for; 1 where there is no symlink. */
static int root_path_follow(int parent_fd, const char *parent, const char *name,
                            char followed[PATH_MAX], struct error **err) {
    char target[PATH_MAX];
    ssize_t length = readlinkat(parent_fd, name, target, sizeof(target) - 1);
    if (length < 0 && (errno == EINVAL || errno == ENOENT))
        return 1;
    if (length < 0)
        return error_set(err, errno, "create in the root", name);
    target[length] = '\0';
    int needed = target[0] == '/' ? snprintf(followed, PATH_MAX, "%s", target)
                                  : snprintf(followed, PATH_MAX, "%s/%s", parent, target);
    return needed >= PATH_MAX ? error_set(err, ENAMETOOLONG, "create in the root", name) : 0;
}

static int root_path_make_last(int parent_fd, const char *name, enum root_path_kind kind) {
    if (kind == ROOT_PATH_DIRECTORY) {
        if (mkdirat(parent_fd, name, 0755) < 0)
            return -1;
        return openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    cleanup_close int fd =
        openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    return fd < 0 ? -1 : openat(parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int root_path_make(int root_fd, const char *path, enum root_path_kind kind, int links,
                          bool *made, struct error **err) {
    char parent[PATH_MAX], last[NAME_MAX + 1], followed[PATH_MAX];
    const char *name;
    int fd = root_path_open(root_fd, path[0] == '\0' ? "/" : path, O_PATH);
    if (fd >= 0 || errno != ENOENT)
        return fd >= 0 ? fd : error_set(err, errno, "open in the root", path);
    if (links > LINKS_MAX)
        return error_set(err, ELOOP, "create in the root", path);
    if (root_path_split(path, parent, &name, err) < 0)
        return -1;
    size_t length = strcspn(name, "/");
    if (length > NAME_MAX)
        return error_set(err, ENAMETOOLONG, "create in the root", path);
    memcpy(last, name, length);
    last[length] = '\0';
    cleanup_close int parent_fd =
        root_path_make(root_fd, parent, ROOT_PATH_DIRECTORY, links + 1, NULL, err);
    if (parent_fd < 0)
        return -1;
    fd = root_path_make_last(parent_fd, last, kind);
    if (fd >= 0) {
        if (made != NULL)
            *made = true;
        return fd;
    }
    if (errno != EEXIST)
        return error_set(err, errno, "create in the root", path);
    if (strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
        return root_path_open(root_fd, path, O_PATH);
    int link = root_path_follow(parent_fd, parent, last, followed, err);
    if (link < 0)
        return -1;
    /* No link: another container, in a volume of both, has just made it, or taken it away. */
    return root_path_make(root_fd, link > 0 ? path : followed, kind, links + 1, made, err);
}

int root_path_directory(int root_fd, const char *path, bool *made, struct error **err) {
    if (made != NULL)
        *made = false;
    return root_path_make(root_fd, path, ROOT_PATH_DIRECTORY, 0, made, err);
}

int root_path_file(int root_fd, const char *path, struct error **err) {
    return root_path_make(root_fd, path, ROOT_PATH_FILE, 0, NULL, err);
}

int root_path_parent(int root_fd, const char *path, const char **name, struct error **err) {
    char parent[PATH_MAX];
    if (root_path_split(path, parent, name, err) < 0)
        return -1;
    if (strchr(*name, '/') != NULL || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
        return error_set(err, EINVAL, "create in the root", path);
    return root_path_directory(root_fd, parent, NULL, err);
}
