/* See devices.h; runtime-spec, config-linux.md, "Default Devices" and "Dev symbolic links". */
#define _GNU_SOURCE
#include "devices.h"
#include "../../common/cleanup.h"
#include "capabilities.h"
#include "mounts.h"
#include "root_path.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* makedev(3) for small numbers, as a constant. */
#define DEVICE(major, minor) ((major) << 8 | (minor))

static const struct config_device DEFAULT_DEVICES[] = {
    {"/dev/null", S_IFCHR | 0666, DEVICE(1, 3), 0, 0},
    {"/dev/zero", S_IFCHR | 0666, DEVICE(1, 5), 0, 0},
    {"/dev/full", S_IFCHR | 0666, DEVICE(1, 7), 0, 0},
    {"/dev/random", S_IFCHR | 0666, DEVICE(1, 8), 0, 0},
    {"/dev/urandom", S_IFCHR | 0666, DEVICE(1, 9), 0, 0},
    {"/dev/tty", S_IFCHR | 0666, DEVICE(5, 0), 0, 0},
};
#define DEFAULT_COUNT (sizeof(DEFAULT_DEVICES) / sizeof(DEFAULT_DEVICES[0]))

static const struct {
    const char *target, *path;
} LINKS[] = {
    {"/proc/self/fd", "/dev/fd"},       {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"},
    {"pts/ptmx", "/dev/ptmx"},
};

static const struct config_device *devices_at(const struct config *config, size_t index) {
    return index < DEFAULT_COUNT ? &DEFAULT_DEVICES[index]
                                 : &config->devices[index - DEFAULT_COUNT];
}

static bool devices_are_foreign(const struct config *config) {
    const char *word = json_string_value(json_object_get(config->annotations, DEVICES_ANNOTATION));
    if (word != NULL && strcmp(word, "none") == 0)
        return true;
    for (size_t index = 0; index < config->mount_count; index++) {
        if (config->mounts[index].bind && strcmp(config->mounts[index].destination, "/dev") == 0)
            return true;
    }
    return false;
}

/* The host's node is often called otherwise than the container's ("/dev/xvda" for "/dev/sda"): the
 * kernel knows it by its number. The name is below /dev. */
static int devices_name(const struct config_device *device, char name[PATH_MAX]) {
    char path[64], line[PATH_MAX];
    name[0] = '\0';
    snprintf(path, sizeof(path), "/sys/dev/%s/%u:%u/uevent",
             S_ISBLK(device->mode) ? "block" : "char", major(device->number),
             minor(device->number));
    FILE *lines = fopen(path, "re");
    while (lines != NULL && fgets(line, sizeof(line), lines) != NULL) {
        if (strncmp(line, "DEVNAME=", 8) == 0)
            snprintf(name, PATH_MAX, "/dev/%.*s", (int)strcspn(line + 8, "\n"), line + 8);
    }
    if (lines != NULL)
        fclose(lines);
    return name[0] == '\0' ? -1 : 0;
}

static bool devices_is_node(int fd, const struct config_device *device) {
    struct stat status;
    return fstatat(fd, "", &status, AT_EMPTY_PATH) == 0 &&
           (status.st_mode & S_IFMT) == (device->mode & S_IFMT) && status.st_rdev == device->number;
}

static int devices_open_node(const struct config_device *device, struct error **err) {
    char name[PATH_MAX];
    cleanup_close int node = open_tree(AT_FDCWD, device->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (node >= 0 && devices_is_node(node, device))
        return steal_fd(&node);
    if (devices_name(device, name) == 0) {
        cleanup_close int other = open_tree(AT_FDCWD, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (other >= 0 && devices_is_node(other, device))
            return steal_fd(&other);
    }
    return error_setf(err, ENOENT, "open the device", device->path,
                      "device %s: no device can be made in a user namespace, and the host has no "
                      "node for %u:%u",
                      device->path, major(device->number), minor(device->number));
}

int devices_open(const struct config *config, int **nodes, struct error **err) {
    *nodes = NULL;
    bool mapped = config_namespace(config, CLONE_NEWUSER) != NULL;
    if ((capabilities_has(CAP_MKNOD) && !mapped) || devices_are_foreign(config))
        return 0;
    size_t count = DEFAULT_COUNT + config->device_count;
    *nodes = arena_array((struct arena *)&config->arena, count, sizeof(int));
    if (*nodes == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < count; index++) {
        const struct config_device *device = devices_at(config, index);
        (*nodes)[index] = -1;
        if (S_ISFIFO(device->mode))
            continue;
        (*nodes)[index] = devices_open_node(device, err);
        if ((*nodes)[index] < 0 || mounts_detach((*nodes)[index], device->path, err) < 0)
            return -1;
    }
    return 0;
}

static bool devices_is_same(int parent_fd, const char *name, const struct config_device *device) {
    struct stat status;
    return fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           (status.st_mode & S_IFMT) == (device->mode & S_IFMT) &&
           (S_ISFIFO(device->mode) || status.st_rdev == device->number);
}

static int devices_make_node(int root_fd, const struct config_device *device, struct error **err) {
    const char *name;
    cleanup_close int parent = root_path_parent(root_fd, device->path, &name, err);
    if (parent < 0)
        return -1;
    /* Without a tmpfs on /dev the image's own files stand there: a node that is another one is
     * replaced. */
    if (mknodat(parent, name, device->mode, device->number) < 0) {
        if (errno != EEXIST)
            return error_set(err, errno, "make the device", device->path);
        if (!devices_is_same(parent, name, device) &&
            (unlinkat(parent, name, 0) < 0 ||
             mknodat(parent, name, device->mode, device->number) < 0))
            return error_set(err, errno, "make the device", device->path);
    }
    /* A second name for the file would be the same; a symlink cannot have come in between: nothing
     * else runs here. */
    if (fchownat(parent, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(parent, name, device->mode & 07777, 0) < 0)
        return error_set(err, errno, "set the mode of", device->path);
    return 0;
}

static int devices_bind_node(int root_fd, const struct config_device *device, int node,
                             struct error **err) {
    cleanup_close int target = root_path_file(root_fd, device->path, err);
    return target < 0 ? -1 : mounts_move(node, target, device->path, err);
}

static int devices_link(int root_fd, const char *target, const char *path, struct error **err) {
    const char *name;
    cleanup_close int parent = root_path_parent(root_fd, path, &name, err);
    if (parent < 0)
        return -1;
    if (symlinkat(target, parent, name) == 0)
        return 0;
    struct stat status;
    if (errno != EEXIST || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set(err, errno, "link", path);
    if (S_ISDIR(status.st_mode))
        return error_set(err, EISDIR, "link", path);
    if (unlinkat(parent, name, 0) < 0 || symlinkat(target, parent, name) < 0)
        return error_set(err, errno, "link", path);
    return 0;
}

int devices_create(const struct config *config, const int *nodes, int root_fd, struct error **err) {
    if (devices_are_foreign(config))
        return 0;
    mode_t mask = umask(0);
    int result = 0;
    for (size_t index = 0; result == 0 && index < DEFAULT_COUNT + config->device_count; index++) {
        const struct config_device *device = devices_at(config, index);
        result = nodes == NULL || nodes[index] < 0
                     ? devices_make_node(root_fd, device, err)
                     : devices_bind_node(root_fd, device, nodes[index], err);
    }
    umask(mask);
    for (size_t index = 0; result == 0 && index < sizeof(LINKS) / sizeof(LINKS[0]); index++)
        result = devices_link(root_fd, LINKS[index].target, LINKS[index].path, err);
    return result;
}
