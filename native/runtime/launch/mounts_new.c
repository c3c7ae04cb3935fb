/* New mounts of file systems. See mounts.h; fsopen(2). */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "mounts.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

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

/* What the file system was asked for: "newinstance,gid=5". */
static void mounts_options_text(const struct text_list *options, char *text, size_t size) {
    size_t length = 0;
    text[0] = '\0';
    for (size_t index = 0; options != NULL && index < options->count && length < size; index++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", index == 0 ? "" : ",",
                                   options->items[index]);
}

/* The last message of the file system about what it did not like ("e tmpfs: Bad value for 'size'").
 * Those that leave none are given their options when the mount is made, and say no more than
 * EINVAL (devpts of Linux 6.12): all of the options are told then. */
static int mounts_error(int context, int number, const char *type, const struct text_list *options,
                        struct error **err) {
    char text[256];
    ssize_t length = read(context, text, sizeof(text) - 1);
    if (number == EPERM && mounts_owner(type) != NULL && length <= 2)
        return error_setf(err, number, "mount", type,
                          "mount %s: %s (a container with a user namespace needs a new %s "
                          "namespace, or one that belongs to its user namespace)",
                          type, strerror(number), mounts_owner(type));
    if (length <= 2 && number == EINVAL && options != NULL && options->count > 0) {
        mounts_options_text(options, text, sizeof(text));
        return error_setf(err, number, "mount", type, "mount %s: %s (options '%s'%s)", type,
                          strerror(number), text,
                          strstr(text, "id=") == NULL
                              ? ""
                              : ", whose users and groups must be mapped in the container");
    }
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
        return mounts_error(context, errno, type, options, err);
    for (size_t index = 0; options != NULL && index < options->count; index++) {
        if (mounts_configure(context, options->items[index]) < 0)
            return mounts_error(context, errno, type, options, err);
    }
    if (mode != NULL && fsconfig(context, FSCONFIG_SET_STRING, "mode", mode, 0) < 0)
        return mounts_error(context, errno, type, options, err);
    if ((attributes & MOUNT_ATTR_RDONLY) != 0 && !mounts_is_virtual(type) &&
        fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
        return mounts_error(context, errno, type, options, err);
    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return mounts_error(context, errno, type, options, err);
    int tree = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)attributes);
    return tree < 0 ? mounts_error(context, errno, type, options, err) : tree;
}

/* sysfs shows network devices: only who owns the network namespace may mount it. Others see the
 * host's, which is still in reach, and cannot write. */
int mounts_host_sysfs(const struct config_mount *mount, struct error **err) {
    struct mount_attr attributes = {.attr_set = mount->set | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                                MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    cleanup_close int tree =
        open_tree(AT_FDCWD, "/sys", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0 ||
        mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
        return error_set(err, errno, "bind the host's /sys on", mount->destination);
    return steal_fd(&tree);
}
