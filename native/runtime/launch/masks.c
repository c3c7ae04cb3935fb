/* See masks.h. */
#define _GNU_SOURCE
#include "masks.h"
#include "../../common/cleanup.h"
#include "mounts.h"
#include "root_path.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A mount that is laid over several targets: the first takes the mount itself, later ones copies of
 * it (only a mount that is attached can be copied before Linux 6.15). */
struct mask {
    int tree;
    bool attached;
};

/* The container's own null device, to lay over files: a mode or owner that the container gives it
 * through a masked path stays inside. Looked at first: the image, or a mount on /dev, could have
 * put another file there, which would then show up in place of what is to be hidden. */
static int masks_open_null(int root_fd, struct error **err) {
    struct stat status;
    cleanup_close int found = root_path_open(root_fd, "/dev/null", O_PATH);
    if (found < 0 || fstatat(found, "", &status, AT_EMPTY_PATH) < 0)
        return error_set(err, errno, "open", "/dev/null in the container");
    if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3))
        return error_setf(err, EINVAL, "open", "/dev/null",
                          "the container's /dev/null is no null device");
    cleanup_close int null =
        open_tree(found, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    /* With -v /dev:/dev the node is the host's after all. */
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    if (null < 0 || mount_setattr(null, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
        return error_set(err, errno, "open", "/dev/null in the container");
    return steal_fd(&null);
}

static int mask_lay(struct mask *mask, int target, const char *path, struct error **err) {
    if (!mask->attached) {
        mask->attached = true;
        return mounts_move(mask->tree, target, path, err);
    }
    cleanup_close int copy =
        open_tree(mask->tree, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (copy < 0)
        return error_set(err, errno, "mask", path);
    return mounts_move(copy, target, path, err);
}

static int masks_hide(const char *path, struct mask *files, struct mask *directories, int root_fd,
                      struct error **err) {
    struct stat status;
    cleanup_close int target = root_path_open(root_fd, path, O_PATH);
    if (target < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : error_set(err, errno, "mask", path);
    if (fstatat(target, "", &status, AT_EMPTY_PATH) < 0)
        return error_set(err, errno, "mask", path);
    if (!S_ISDIR(status.st_mode)) {
        if (files->tree < 0 && (files->tree = masks_open_null(root_fd, err)) < 0)
            return -1;
        return mask_lay(files, target, path, err);
    }
    if (directories->tree < 0) {
        directories->tree = mounts_new("tmpfs", "tmpfs", NULL, "0755", MOUNT_ATTR_RDONLY, err);
        if (directories->tree < 0)
            return -1;
    }
    return mask_lay(directories, target, path, err);
}

static int masks_guard(const char *path, int root_fd, struct error **err) {
    cleanup_close int target = root_path_open(root_fd, path, O_PATH);
    if (target < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0
                                                   : error_set(err, errno, "make read-only", path);
    cleanup_close int tree =
        open_tree(target, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    if (tree < 0 ||
        mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
        return error_set(err, errno, "make read-only", path);
    return mounts_move(tree, target, path, err);
}

int masks_apply(const struct config *config, int root_fd, struct error **err) {
    for (size_t index = 0; index < config->read_only_paths.count; index++) {
        if (masks_guard(config->read_only_paths.items[index], root_fd, err) < 0)
            return -1;
    }
    struct mask files = {-1, false}, directories = {-1, false};
    int result = 0;
    for (size_t index = 0; result == 0 && index < config->masked_paths.count; index++)
        result = masks_hide(config->masked_paths.items[index], &files, &directories, root_fd, err);
    if (files.tree >= 0)
        close(files.tree);
    if (directories.tree >= 0)
        close(directories.tree);
    return result;
}
