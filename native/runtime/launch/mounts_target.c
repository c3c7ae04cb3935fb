/* Where mounts are laid on, inside a root that an image filled. See mounts.h. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "mounts.h"
#include "root_path.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* What may be laid over files of /proc: what system containers (lxcfs) replace. Anything else in
 * there could fake or hide what this runtime and the kernel's protections rely on. */
static bool mounts_may_cover_proc(const char *destination) {
    static const char *const files[] = {"/proc/cpuinfo",
                                        "/proc/diskstats",
                                        "/proc/meminfo",
                                        "/proc/stat",
                                        "/proc/swaps",
                                        "/proc/uptime",
                                        "/proc/loadavg",
                                        "/proc/slabinfo",
                                        "/proc/sys/kernel/ns_last_pid",
                                        "/proc/sys/crypto/fips_enabled"};
    for (size_t index = 0; index < sizeof(files) / sizeof(files[0]); index++) {
        if (strcmp(files[index], destination) == 0)
            return true;
    }
    return false;
}

static bool mounts_is_proc(int fd) {
    struct statfs system;
    return fstatfs(fd, &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

/* Programs, and security modules above all, believe what /proc tells: only procfs may stand there.
 * Found by what it is, since an image may call it otherwise. */
static int mounts_check_proc(const struct config_mount *mount, int tree, int root_fd,
                             const struct statx *found, struct error **err) {
    struct statx proc;
    if (statx(root_fd, "proc", AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_MNT_ID, &proc) < 0 ||
        proc.stx_ino != found->stx_ino || proc.stx_mnt_id != found->stx_mnt_id ||
        proc.stx_dev_major != found->stx_dev_major || proc.stx_dev_minor != found->stx_dev_minor)
        return 0;
    if (mount->bind ? mounts_is_proc(tree) : strcmp(mount->type, "proc") == 0)
        return 0;
    return error_setf(err, EPERM, "mount", mount->destination,
                      "\"%s\" cannot be mounted because it is not of type proc",
                      mount->destination);
}

/* source: the type of what is to be mounted, S_IFDIR or another. */
static int mounts_check_target(const struct config_mount *mount, int tree, mode_t source,
                               int root_fd, int target, struct error **err) {
    struct statx found;
    if (statx(target, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO | STATX_MNT_ID, &found) < 0)
        return error_set(err, errno, "stat", mount->destination);
    /* move_mount would only say EINVAL. */
    if (S_ISDIR(source) != S_ISDIR(found.stx_mode))
        return error_setf(err, ENOTDIR, "mount", mount->destination,
                          "mount on %s: not a directory: are you trying to mount a directory onto "
                          "a file (or vice-versa)? Check if the specified host path exists and is "
                          "the expected type",
                          mount->destination);
    if (mounts_check_proc(mount, tree, root_fd, &found, err) < 0)
        return -1;
    if (mounts_is_proc(target) && strcmp(mount->destination, "/proc") != 0 &&
        !mounts_may_cover_proc(mount->destination))
        return error_setf(err, EPERM, "mount", mount->destination,
                          "\"%s\" cannot be mounted because it is inside /proc",
                          mount->destination);
    return 0;
}

/* A symlink in place of /proc or /sys would have everything below masked and guarded somewhere
 * else. */
static int mounts_open_plain(const struct config_mount *mount, int root_fd, bool *made,
                             struct error **err) {
    cleanup_close int found = root_path_directory(root_fd, mount->destination, made, err);
    if (found < 0)
        return -1;
    int plain = root_path_open_plain(root_fd, mount->destination, O_PATH);
    if (plain < 0)
        return error_setf(err, errno, "mount", mount->destination,
                          "%s must be mounted on an ordinary directory, and %s is none",
                          mount->type, mount->destination);
    return plain;
}

int mounts_open_target(const struct config_mount *mount, int tree, int root_fd, bool *made,
                       struct error **err) {
    struct stat source = {.st_mode = S_IFDIR};
    cleanup_close int target = -1;
    *made = false;
    if (mount->bind && fstatat(tree, "", &source, AT_EMPTY_PATH) < 0)
        return error_set(err, errno, "stat", mount->source);
    if (!mount->bind && (strcmp(mount->type, "proc") == 0 || strcmp(mount->type, "sysfs") == 0))
        target = mounts_open_plain(mount, root_fd, made, err);
    else if (S_ISDIR(source.st_mode))
        target = root_path_directory(root_fd, mount->destination, made, err);
    else
        target = root_path_file(root_fd, mount->destination, err);
    if (target < 0 || mounts_check_target(mount, tree, source.st_mode, root_fd, target, err) < 0)
        return -1;
    return steal_fd(&target);
}
