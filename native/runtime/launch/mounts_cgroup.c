/* See mounts_cgroup.h. */
#define _GNU_SOURCE
#include "mounts_cgroup.h"
#include "../../common/cleanup.h"
#include "root_path.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

int mounts_cgroup_open(const struct cgroup *cgroup, bool mapped, int *groups, struct error **err) {
    for (size_t index = 0; index < cgroup->count; index++) {
        const char *directory = cgroup->hierarchies[index].directory;
        groups[index] = open_tree(AT_FDCWD, directory, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (groups[index] < 0)
            return error_set(err, errno, "open", directory);
        if (mapped && mounts_detach(groups[index], directory, err) < 0)
            return -1;
    }
    return 0;
}

static int cgroup_restrict(const struct cgroup *cgroup, size_t index, const struct mounts *mounts,
                           uint64_t attributes, struct error **err) {
    struct mount_attr own = {.attr_set = attributes};
    if (mount_setattr(mounts->groups[index], "", AT_EMPTY_PATH, &own, sizeof(own)) < 0)
        return error_set(err, errno, "set the mount options of",
                         cgroup->hierarchies[index].directory);
    return 0;
}

static const char *cgroup_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* "cpu" -> "cpu,cpuacct": programs look for a controller by its own name. */
static void cgroup_link_controllers(const struct cgroup_hierarchy *hierarchy, int directory) {
    const char *base = cgroup_base_name(hierarchy->mount);
    char copy[256], *position = NULL;
    strncpy(copy, hierarchy->controllers, sizeof(copy) - 1);
    copy[sizeof(copy) - 1] = '\0';
    for (char *name = strtok_r(copy, ",", &position); name != NULL;
         name = strtok_r(NULL, ",", &position)) {
        if (strncmp(name, "name=", 5) == 0)
            name += 5;
        /* EEXIST: the directory itself has that name. */
        if (strcmp(name, base) != 0 && symlinkat(base, directory, name) < 0)
            continue;
    }
}

static int cgroup_attach_hierarchy(const struct cgroup *cgroup, size_t index,
                                   const struct mounts *mounts, uint64_t attributes, int directory,
                                   struct error **err) {
    const struct cgroup_hierarchy *hierarchy = &cgroup->hierarchies[index];
    const char *base = cgroup_base_name(hierarchy->mount);
    if (mkdirat(directory, base, 0755) < 0 && errno != EEXIST)
        return error_set(err, errno, "create", hierarchy->mount);
    cleanup_close int target =
        openat(directory, base, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0)
        return error_set(err, errno, "open", hierarchy->mount);
    if (cgroup_restrict(cgroup, index, mounts, attributes, err) < 0 ||
        mounts_move(mounts->groups[index], target, hierarchy->mount, err) < 0)
        return -1;
    cgroup_link_controllers(hierarchy, directory);
    return 0;
}

/* Type cgroup2 asks for v2 by name: the container's own group, as with type cgroup. */
static int cgroup_attach_v2(const struct config_mount *mount, const struct cgroup *cgroup,
                            const struct mounts *mounts, int target, struct error **err) {
    for (size_t index = 0; index < cgroup->count; index++) {
        if (!cgroup->hierarchies[index].v2)
            continue;
        if (cgroup_restrict(cgroup, index, mounts, mount->set, err) < 0)
            return -1;
        return mounts_move(mounts->groups[index], target, mount->destination, err);
    }
    return error_setf(err, ENODEV, "mount", mount->destination,
                      "mount cgroup2 on %s: this host has no cgroup v2", mount->destination);
}

int mounts_cgroup_attach(const struct config_mount *mount, const struct cgroup *cgroup,
                         const struct mounts *mounts, int root_fd, struct error **err) {
    cleanup_close int target = root_path_directory(root_fd, mount->destination, NULL, err);
    if (target < 0)
        return -1;
    if (strcmp(mount->type, "cgroup2") == 0 || (cgroup->count == 1 && cgroup->hierarchies[0].v2))
        return cgroup_attach_v2(mount, cgroup, mounts, target, err);
    uint64_t writable = mount->set & ~(uint64_t)MOUNT_ATTR_RDONLY;
    cleanup_close int tree = mounts_new("tmpfs", "tmpfs", NULL, "0755", writable, err);
    if (tree < 0 || mounts_move(tree, target, mount->destination, err) < 0)
        return -1;
    for (size_t index = 0; index < cgroup->count; index++) {
        if (cgroup_attach_hierarchy(cgroup, index, mounts, mount->set, tree, err) < 0)
            return -1;
    }
    struct mount_attr own = {.attr_set = mount->set & MOUNT_ATTR_RDONLY};
    if (own.attr_set != 0 && mount_setattr(tree, "", AT_EMPTY_PATH, &own, sizeof(own)) < 0)
        return error_set(err, errno, "make read-only", mount->destination);
    return 0;
}
