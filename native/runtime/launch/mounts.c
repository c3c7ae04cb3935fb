/* See mounts.h. */
#define _GNU_SOURCE
#include "mounts.h"
#include "../../common/cleanup.h"
#include "idmap.h"
#include "mounts_cgroup.h"
#include "mounts_copy_up.h"
#include "root_path.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static int *mounts_descriptors(struct arena *arena, size_t count) {
    int *descriptors = arena_array(arena, count + 1, sizeof(int));
    for (size_t index = 0; descriptors != NULL && index < count; index++)
        descriptors[index] = -1;
    return descriptors;
}

static bool mounts_is_cgroup(const struct config_mount *mount) {
    return !mount->bind && !mount->remount &&
           (strcmp(mount->type, "cgroup") == 0 || strcmp(mount->type, "cgroup2") == 0);
}

int mounts_detach(int tree, const char *name, struct error **err) {
    struct mount_attr attributes = {.propagation = MS_SLAVE};
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
        return error_set(err, errno, "set the propagation of", name);
    return 0;
}

static int mounts_open_bind(const struct config_mount *mount, bool mapped, const char *bundle,
                            struct error **err) {
    char path[PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s%s%s", mount->source[0] == '/' ? "" : bundle,
                          mount->source[0] == '/' ? "" : "/", mount->source);
    if (length >= (int)sizeof(path))
        return error_set(err, ENAMETOOLONG, "open the mount source", mount->source);
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
    cleanup_close int tree =
        open_tree(AT_FDCWD, path, flags | (mount->recursive ? AT_RECURSIVE : 0));
    if (tree < 0)
        return error_set(err, errno, "open the mount source", path);
    if (mapped && mounts_detach(tree, path, err) < 0)
        return -1;
    return idmap_apply(mount, tree, err) < 0 ? -1 : steal_fd(&tree);
}

int mounts_open(const struct config *config, const struct cgroup *cgroup, const char *bundle,
                struct mounts *mounts, struct error **err) {
    struct arena *arena = (struct arena *)&config->arena;
    bool mapped = config_namespace(config, CLONE_NEWUSER) != NULL;
    *mounts = (struct mounts){mounts_descriptors(arena, config->mount_count), NULL};
    if (mounts->trees == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < config->mount_count; index++) {
        const struct config_mount *mount = &config->mounts[index];
        if (mount->bind &&
            (mounts->trees[index] = mounts_open_bind(mount, mapped, bundle, err)) < 0)
            return -1;
        if (mounts_is_cgroup(mount)) {
            if (mounts->groups != NULL)
                return error_setf(err, EINVAL, "mount", mount->destination,
                                  "config.json: mounts of type cgroup must not stand twice");
            mounts->groups = mounts_descriptors(arena, cgroup->count);
            if (mounts->groups == NULL)
                return fields_no_memory(err);
            if (mounts_cgroup_open(cgroup, mapped, mounts->groups, err) < 0)
                return -1;
        }
    }
    return 0;
}

int mounts_move(int tree, int target, const char *name, struct error **err) {
    if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return error_set(err, errno, "mount on", name);
    return 0;
}

static int mounts_set_attributes(const struct config_mount *mount, int tree, uint64_t set,
                                 struct error **err) {
    struct mount_attr own = {.attr_set = set, .attr_clr = mount->clear};
    if ((own.attr_set | own.attr_clr) != 0 &&
        mount_setattr(tree, "", AT_EMPTY_PATH, &own, sizeof(own)) < 0)
        return error_set(err, errno, "set the mount options of", mount->destination);
    struct mount_attr all = {.attr_set = mount->recursive_set, .attr_clr = mount->recursive_clear};
    if ((all.attr_set | all.attr_clr) != 0 &&
        mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &all, sizeof(all)) < 0)
        return error_set(err, errno, "set the mount options of", mount->destination);
    return 0;
}

static int mounts_propagate(const struct config_mount *mount, int tree, struct error **err) {
    struct mount_attr attributes = {.propagation = mount->propagation};
    if (mount->propagation != 0 &&
        mount_setattr(tree, "", AT_EMPTY_PATH | (mount->propagation_recursive ? AT_RECURSIVE : 0),
                      &attributes, sizeof(attributes)) < 0)
        return error_set(err, errno, "set the propagation of", mount->destination);
    return 0;
}

/* A tmpfs without a mode takes that of the directory which it covers. */
static const char *mounts_tmpfs_mode(const struct config_mount *mount, int target, bool made,
                                     char mode[16]) {
    struct stat status;
    if (strcmp(mount->type, "tmpfs") != 0 || made)
        return NULL;
    for (size_t index = 0; index < mount->data.count; index++) {
        if (strncmp(mount->data.items[index], "mode=", 5) == 0)
            return NULL;
    }
    if (fstatat(target, "", &status, AT_EMPTY_PATH) < 0)
        return NULL;
    snprintf(mode, 16, "%04o", (unsigned)status.st_mode & 07777);
    return mode;
}

/* Attributes of what is mounted there already. */
static int mounts_remount(const struct config_mount *mount, int root_fd, struct error **err) {
    struct statx found;
    cleanup_close int target = root_path_open(root_fd, mount->destination, O_PATH);
    if (target < 0 || statx(target, "", AT_EMPTY_PATH, STATX_TYPE, &found) < 0)
        return error_set(err, errno, "remount", mount->destination);
    if ((found.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0)
        return error_setf(err, EINVAL, "remount", mount->destination,
                          "remount %s: nothing is mounted there", mount->destination);
    if (mounts_set_attributes(mount, target, mount->set, err) < 0)
        return -1;
    return mounts_propagate(mount, target, err);
}

static int mounts_attach_one(const struct config_mount *mount, bool mapped, int *tree, int root_fd,
                             struct error **err) {
    bool made;
    char mode[16];
    cleanup_close int target = mounts_open_target(mount, *tree, root_fd, &made, err);
    if (target < 0)
        return -1;
    /* Targets of later mounts, and devices, are still to be made in a tmpfs: read-only comes in
     * mounts_finish. */
    uint64_t set = mount->set;
    if (!mount->bind && strcmp(mount->type, "tmpfs") == 0)
        set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
    if (!mount->bind)
        *tree = mounts_new(mount->type, mount->source, &mount->data,
                           mounts_tmpfs_mode(mount, target, made, mode), set, err);
    if (*tree < 0 && mapped && strcmp(mount->type, "sysfs") == 0) {
        if (err != NULL)
            error_free(*err);
        *tree = mounts_host_sysfs(mount, err);
    }
    if (*tree < 0 || mounts_set_attributes(mount, *tree, set, err) < 0 ||
        (mount->copy_up && !made && mounts_copy_up(target, *tree, mount->destination, err) < 0))
        return -1;
    if (mounts_move(*tree, target, mount->destination, err) < 0)
        return -1;
    return mounts_propagate(mount, *tree, err);
}

int mounts_attach(const struct config *config, const struct cgroup *cgroup, struct mounts *mounts,
                  int root_fd, struct error **err) {
    bool mapped = config_namespace(config, CLONE_NEWUSER) != NULL;
    for (size_t index = 0; index < config->mount_count; index++) {
        const struct config_mount *mount = &config->mounts[index];
        if (mounts_is_cgroup(mount)) {
            if (mounts_cgroup_attach(mount, cgroup, mounts, root_fd, err) < 0)
                return -1;
        } else if (mount->remount) {
            if (mounts_remount(mount, root_fd, err) < 0)
                return -1;
        } else if (mounts_attach_one(mount, mapped, &mounts->trees[index], root_fd, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int mounts_finish(const struct config *config, struct mounts *mounts, struct error **err) {
    for (size_t index = 0; index < config->mount_count; index++) {
        const struct config_mount *mount = &config->mounts[index];
        if (mount->bind || mount->remount || strcmp(mount->type, "tmpfs") != 0 ||
            (mount->set & MOUNT_ATTR_RDONLY) == 0)
            continue;
        if (mounts_set_attributes(mount, mounts->trees[index], mount->set, err) < 0)
            return -1;
    }
    return 0;
}
