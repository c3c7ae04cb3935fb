/* See rootfs.h. */
#define _GNU_SOURCE
#include "rootfs.h"
#include "../../common/cleanup.h"
#include "mounts.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int rootfs_isolate(const struct config *config, struct error **err) {
    /* What is unbindable could not be bound from now on. */
    unsigned long propagation = (config->root_propagation & MS_UNBINDABLE) != 0
                                    ? MS_PRIVATE | MS_REC
                                    : config->root_propagation;
    if (mount(NULL, "/", NULL, propagation, NULL) < 0)
        return error_set(err, errno, "set the propagation of", "/");
    return 0;
}

/* pivot_root refuses a root whose parent mount is shared, and a mount on a shared parent would
 * appear on the host. */
static int rootfs_make_parent_private(const char *root, struct error **err) {
    char path[PATH_MAX];
    if (realpath(root, path) == NULL)
        return error_set(err, errno, "open", root);
    for (;;) {
        struct statx status;
        if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &status) < 0)
            return error_set(err, errno, "stat", path);
        if ((status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0 || strcmp(path, "/") == 0)
            break;
        char *slash = strrchr(path, '/');
        slash[slash == path ? 1 : 0] = '\0';
    }
    if (mount(NULL, path, NULL, MS_PRIVATE, NULL) < 0)
        return error_set(err, errno, "make private", path);
    return 0;
}

int rootfs_open(const struct config *config, struct error **err) {
    cleanup_close int tree =
        open_tree(AT_FDCWD, config->root, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0)
        return error_set(err, errno, "open the root", config->root);
    if (config_namespace(config, CLONE_NEWUSER) != NULL &&
        mounts_detach(tree, config->root, err) < 0)
        return -1;
    struct mount_attr attributes = {.propagation = MS_PRIVATE};
    if (mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
        return error_set(err, errno, "make private", config->root);
    return steal_fd(&tree);
}

/* The folders above root.path may be closed to the user namespace's root. The root of the mount
 * namespace never is, and what lies on it hides nothing: an absolute path starts below. */
static const char *rootfs_place(const struct config *config) {
    bool mapped = config_namespace(config, CLONE_NEWUSER) != NULL;
    return mapped && access(config->root, F_OK) < 0 && errno == EACCES ? "/" : config->root;
}

int rootfs_mount(const struct config *config, int root_fd, struct error **err) {
    const char *place = rootfs_place(config);
    if ((config->root_propagation & MS_SHARED) != 0 && rootfs_make_parent_private(place, err) < 0)
        return -1;
    if (move_mount(root_fd, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) <
        0)
        return error_set(err, errno, "mount the root", config->root);
    return 0;
}

int rootfs_enter(const struct config *config, int root_fd, struct error **err) {
    cleanup_close int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* "." for both: the old root comes to lie on top of the new one, with no directory needed to
     * put it in. */
    if (host < 0 || fchdir(root_fd) < 0 || sys_pivot_root(".", ".") < 0)
        return error_set(err, errno, "pivot_root", config->root);
    if (fchdir(host) < 0)
        return error_set(err, errno, "chdir", "the old root");
    /* The host's mounts are still peers of ours where shared: without this the unmount below would
     * be theirs too. */
    if ((config->root_propagation & MS_SHARED) != 0 &&
        mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0)
        return error_set(err, errno, "set the propagation of", "the old root");
    if (umount2(".", MNT_DETACH) < 0)
        return error_set(err, errno, "unmount", "the old root");
    if (chdir("/") < 0)
        return error_set(err, errno, "chdir", "/");
    return 0;
}

int rootfs_finish(const struct config *config, int root_fd, struct error **err) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    if (config->root_read_only &&
        mount_setattr(root_fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
        return error_set(err, errno, "make read-only", "/");
    /* Each mount below has been given its own; only a name that begins with r is about them too. */
    unsigned long propagation = config->root_propagation & ~(unsigned long)MS_REC;
    if (config->root_propagation_recursive)
        propagation |= MS_REC;
    if ((propagation & (MS_SHARED | MS_UNBINDABLE)) != 0 &&
        mount(NULL, "/", NULL, propagation, NULL) < 0)
        return error_set(err, errno, "set the propagation of", "/");
    return 0;
}
