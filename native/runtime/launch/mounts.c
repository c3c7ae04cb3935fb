/* See mounts.h. */
#define _GNU_SOURCE
#include "mounts.h"
#include "../../common/cleanup.h"
#include "idmap.h"
#include "mounts_cgroup.h"
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
    return !mount->bind && strcmp(mount->type, "cgroup") == 0;
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

/* The kind of namespace whose user namespace decides who may mount the file system. */
static const char *mounts_owner(const char *type) {
    static const struct {
        const char *type, *kind;
    } owners[] = {{"proc", "pid"}, {"mqueue", "ipc"}, {"sysfs", "network"}};
    for (size_t index = 0; index < sizeof(owners) / sizeof(owners[0]); index++) {
        if (strcmp(owners[index].type, type) == 0)
            return owners[index].kind;
    }
    return NULL;
}

/* The last message of the file system about what it did not like ("e tmpfs: Bad value for 'size'").
 */
static int mounts_error(int context, int number, const char *type, struct error **err) {
    char text[256];
    ssize_t length = read(context, text, sizeof(text) - 1);
    if (number == EPERM && mounts_owner(type) != NULL && length <= 2)
        return error_setf(err, number, "mount", type,
                          "mount %s: %s (a container with a user namespace needs a new %s "
                          "namespace, or one that belongs to its user namespace)",
                          type, strerror(number), mounts_owner(type));
    if (length <= 2)
        return error_set(err, number, "mount", type);
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return error_setf(err, number, "mount", type, "mount %s: %s (%s)", type, strerror(number),
                      text + 2);
}

static int mounts_configure(int context, const char *option) {
    char key[64];
    const char *equals = strchr(option, '=');
    size_t length = equals == NULL ? strlen(option) : (size_t)(equals - option);
    if (length >= sizeof(key)) {
        errno = EINVAL;
        return -1;
    }
    memcpy(key, option, length);
    key[length] = '\0';
    if (equals == NULL)
        return fsconfig(context, FSCONFIG_SET_FLAG, key, NULL, 0);
    return fsconfig(context, FSCONFIG_SET_STRING, key, equals + 1, 0);
}

/* File systems whose superblock is shared or is not on a disk: read-only is a property of the mount
 * alone. */
static bool mounts_is_virtual(const char *type) {
    static const char *const types[] = {"proc",    "sysfs",      "tmpfs",    "devpts",  "mqueue",
                                        "cgroup",  "cgroup2",    "ramfs",    "bpf",     "debugfs",
                                        "tracefs", "securityfs", "devtmpfs", "configfs"};
    for (size_t index = 0; index < sizeof(types) / sizeof(types[0]); index++) {
        if (strcmp(types[index], type) == 0)
            return true;
    }
    return false;
}

int mounts_new(const char *type, const char *source, const struct text_list *options,
               const char *mode, uint64_t attributes, struct error **err) {
    cleanup_close int context = fsopen(type, FSOPEN_CLOEXEC);
    if (context < 0)
        return error_set(err, errno, "mount", type);
    if (source != NULL && source[0] != '\0' &&
        fsconfig(context, FSCONFIG_SET_STRING, "source", source, 0) < 0)
        return mounts_error(context, errno, type, err);
    for (size_t index = 0; options != NULL && index < options->count; index++) {
        if (mounts_configure(context, options->items[index]) < 0)
            return mounts_error(context, errno, type, err);
    }
    if (mode != NULL && fsconfig(context, FSCONFIG_SET_STRING, "mode", mode, 0) < 0)
        return mounts_error(context, errno, type, err);
    if ((attributes & MOUNT_ATTR_RDONLY) != 0 && !mounts_is_virtual(type) &&
        fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
        return mounts_error(context, errno, type, err);
    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return mounts_error(context, errno, type, err);
    int tree = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)attributes);
    return tree < 0 ? mounts_error(context, errno, type, err) : tree;
}

int mounts_move(int tree, int target, const char *name, struct error **err) {
    if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return error_set(err, errno, "mount on", name);
    return 0;
}

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

/* source: the type of what is to be mounted, S_IFDIR or another. */
static int mounts_check_target(const struct config_mount *mount, mode_t source, int target,
                               struct error **err) {
    struct statfs system;
    struct stat found;
    if (fstatat(target, "", &found, AT_EMPTY_PATH) < 0)
        return error_set(err, errno, "stat", mount->destination);
    /* move_mount would only say EINVAL. */
    if (S_ISDIR(source) != S_ISDIR(found.st_mode))
        return error_setf(err, ENOTDIR, "mount", mount->destination,
                          "mount on %s: not a directory: are you trying to mount a directory onto "
                          "a file (or vice-versa)? Check if the specified host path exists and is "
                          "the expected type",
                          mount->destination);
    if (fstatfs(target, &system) < 0)
        return error_set(err, errno, "statfs", mount->destination);
    if (system.f_type == PROC_SUPER_MAGIC && strcmp(mount->destination, "/proc") != 0 &&
        !mounts_may_cover_proc(mount->destination))
        return error_setf(err, EPERM, "mount", mount->destination,
                          "\"%s\" cannot be mounted because it is inside /proc",
                          mount->destination);
    return 0;
}

/* The target of a mount, made if it is missing. *made: it is new. */
static int mounts_open_target(const struct config_mount *mount, int tree, int root_fd, bool *made,
                              struct error **err) {
    struct stat source = {.st_mode = S_IFDIR};
    *made = false;
    if (mount->bind && fstatat(tree, "", &source, AT_EMPTY_PATH) < 0)
        return error_set(err, errno, "stat", mount->source);
    cleanup_close int target = S_ISDIR(source.st_mode)
                                   ? root_path_directory(root_fd, mount->destination, made, err)
                                   : root_path_file(root_fd, mount->destination, err);
    if (target < 0 || mounts_check_target(mount, source.st_mode, target, err) < 0)
        return -1;
    /* A symlink in place of /proc or /sys would have everything below masked and guarded somewhere
     * else. */
    bool guarded =
        !mount->bind && (strcmp(mount->type, "proc") == 0 || strcmp(mount->type, "sysfs") == 0);
    if (guarded) {
        cleanup_close int plain = root_path_open_plain(root_fd, mount->destination, O_PATH);
        if (plain < 0)
            return error_setf(err, errno, "mount", mount->destination,
                              "%s must be mounted on an ordinary directory, and %s is none",
                              mount->type, mount->destination);
    }
    return steal_fd(&target);
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

/* sysfs shows network devices: only who owns the network namespace may mount it. Others see the
 * host's, which is still in reach, and cannot write. */
static int mounts_host_sysfs(const struct config_mount *mount, struct error **err) {
    struct mount_attr attributes = {.attr_set = mount->set | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                                MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    cleanup_close int tree =
        open_tree(AT_FDCWD, "/sys", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0 ||
        mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
        return error_set(err, errno, "bind the host's /sys on", mount->destination);
    return steal_fd(&tree);
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
    if (*tree < 0 || mounts_set_attributes(mount, *tree, set, err) < 0)
        return -1;
    if (mounts_move(*tree, target, mount->destination, err) < 0)
        return -1;
    struct mount_attr attributes = {.propagation = mount->propagation};
    if (mount->propagation != 0 &&
        mount_setattr(*tree, "", AT_EMPTY_PATH | (mount->propagation_recursive ? AT_RECURSIVE : 0),
                      &attributes, sizeof(attributes)) < 0)
        return error_set(err, errno, "set the propagation of", mount->destination);
    return 0;
}

int mounts_attach(const struct config *config, const struct cgroup *cgroup, struct mounts *mounts,
                  int root_fd, struct error **err) {
    bool mapped = config_namespace(config, CLONE_NEWUSER) != NULL;
    for (size_t index = 0; index < config->mount_count; index++) {
        const struct config_mount *mount = &config->mounts[index];
        if (mounts_is_cgroup(mount)) {
            if (mounts_cgroup_attach(mount, cgroup, mounts, root_fd, err) < 0)
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
        if (mount->bind || strcmp(mount->type, "tmpfs") != 0 ||
            (mount->set & MOUNT_ATTR_RDONLY) == 0)
            continue;
        if (mounts_set_attributes(mount, mounts->trees[index], MOUNT_ATTR_RDONLY, err) < 0)
            return -1;
    }
    return 0;
}
