/* See mounts_copy_up.h. */
#define _GNU_SOURCE
#include "mounts_copy_up.h"
#include "../../common/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define DEPTH_MAX 64
#define ATTRIBUTE_MAX 65536

struct copy_up {
    /* Where the mount is, for messages. */
    const char *name;
    dev_t device;
    char value[ATTRIBUTE_MAX];
};

static int copy_up_fail(const struct copy_up *copy, const char *entry, struct error **err) {
    int number = errno;
    return error_setf(err, number, "tmpcopyup", copy->name, "mount %s: copy \"%s\" up: %s",
                      copy->name, entry, strerror(number));
}

/* A tmpfs of an older kernel has no user attributes; those of other security modules and of overlay
 * are about the file below. */
static bool copy_up_keeps(const char *attribute) {
    return strncmp(attribute, "user.", 5) == 0 || strcmp(attribute, "security.capability") == 0 ||
           strncmp(attribute, "system.posix_acl_", 17) == 0;
}

static int copy_up_attributes(struct copy_up *copy, int from, int to) {
    char names[ATTRIBUTE_MAX];
    ssize_t length = flistxattr(from, names, sizeof(names));
    if (length < 0)
        return errno == EOPNOTSUPP ? 0 : -1;
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        if (!copy_up_keeps(name))
            continue;
        ssize_t size = fgetxattr(from, name, copy->value, sizeof(copy->value));
        if (size < 0 || (fsetxattr(to, name, copy->value, (size_t)size, 0) < 0 &&
                         errno != EOPNOTSUPP && errno != EPERM))
            return -1;
    }
    return 0;
}

/* The mode after the owner: a change of that takes the set-ID bits away; capabilities after both.
 */
static int copy_up_status(struct copy_up *copy, int from, int to, const struct stat *status) {
    const struct timespec times[] = {status->st_atim, status->st_mtim};
    if (fchown(to, status->st_uid, status->st_gid) < 0 || fchmod(to, status->st_mode & 07777) < 0 ||
        copy_up_attributes(copy, from, to) < 0)
        return -1;
    return futimens(to, times);
}

static int copy_up_file(struct copy_up *copy, int from, int to, const char *entry,
                        const struct stat *status) {
    /* O_NONBLOCK: what was a file a moment ago could be a FIFO now. */
    cleanup_close int in = openat(from, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    cleanup_close int out =
        in < 0 ? -1 : openat(to, entry, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return -1;
    for (;;) {
        ssize_t moved = sendfile(out, in, NULL, 1 << 20);
        if (moved < 0)
            return -1;
        if (moved == 0)
            return copy_up_status(copy, in, out, status);
    }
}

static int copy_up_other(int from, int to, const char *entry, const struct stat *status) {
    const struct timespec times[] = {status->st_atim, status->st_mtim};
    if (S_ISLNK(status->st_mode)) {
        char target[PATH_MAX];
        ssize_t length = readlinkat(from, entry, target, sizeof(target) - 1);
        if (length < 0)
            return -1;
        target[length] = '\0';
        if (symlinkat(target, to, entry) < 0)
            return -1;
    } else if (mknodat(to, entry, status->st_mode, status->st_rdev) < 0) {
        return -1;
    }
    if (fchownat(to, entry, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        (!S_ISLNK(status->st_mode) && fchmodat(to, entry, status->st_mode & 07777, 0) < 0))
        return -1;
    return utimensat(to, entry, times, AT_SYMLINK_NOFOLLOW);
}

static int copy_up_directory(struct copy_up *copy, int from, int to, int depth, struct error **err);

static int copy_up_entry(struct copy_up *copy, int from, int to, const char *entry, int depth,
                         struct error **err) {
    struct stat status;
    if (fstatat(from, entry, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return copy_up_fail(copy, entry, err);
    if (S_ISREG(status.st_mode))
        return copy_up_file(copy, from, to, entry, &status) < 0 ? copy_up_fail(copy, entry, err)
                                                                : 0;
    if (!S_ISDIR(status.st_mode))
        return copy_up_other(from, to, entry, &status) < 0 ? copy_up_fail(copy, entry, err) : 0;
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    cleanup_close int inner = openat(from, entry, flags);
    if (inner < 0 || mkdirat(to, entry, 0700) < 0)
        return copy_up_fail(copy, entry, err);
    cleanup_close int made = openat(to, entry, flags);
    if (made < 0)
        return copy_up_fail(copy, entry, err);
    if (status.st_dev == copy->device && copy_up_directory(copy, inner, made, depth + 1, err) < 0)
        return -1;
    return copy_up_status(copy, inner, made, &status) < 0 ? copy_up_fail(copy, entry, err) : 0;
}

static int copy_up_directory(struct copy_up *copy, int from, int to, int depth,
                             struct error **err) {
    if (depth > DEPTH_MAX) {
        errno = ELOOP;
        return copy_up_fail(copy, "a folder this deep", err);
    }
    int own = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_directory DIR *entries = own < 0 ? NULL : fdopendir(own);
    if (entries == NULL) {
        if (own >= 0)
            close(own);
        return copy_up_fail(copy, ".", err);
    }
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(entries);
        if (entry == NULL)
            return errno == 0 ? 0 : copy_up_fail(copy, ".", err);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            copy_up_entry(copy, from, to, entry->d_name, depth, err) < 0)
            return -1;
    }
}

int mounts_copy_up(int from, int to, const char *name, struct error **err) {
    struct stat status;
    cleanup_free struct copy_up *copy = malloc(sizeof(*copy));
    if (copy == NULL || fstatat(from, "", &status, AT_EMPTY_PATH) < 0)
        return error_set(err, copy == NULL ? ENOMEM : errno, "tmpcopyup", name);
    copy->name = name;
    copy->device = status.st_dev;
    return copy_up_directory(copy, from, to, 0, err);
}
