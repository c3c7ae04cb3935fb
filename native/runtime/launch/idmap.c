/* See idmap.h; user_namespaces(7). */
#define _GNU_SOURCE
#include "idmap.h"
#include "../../common/cleanup.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif
/* The kernel takes less than a page in one write. */
#define IDMAP_TEXT_MAX 4096
#define IDMAP_ID_MAX 4294967294LL

/* The ranges as /proc/PID/uid_map takes them; NULL with *err. */
static const char *idmap_text(const struct fields *entry, const char *key, struct error **err) {
    const json_t *array = NULL;
    char text[IDMAP_TEXT_MAX];
    size_t length = 0;
    if (fields_array(entry, key, &array, err) < 0)
        return NULL;
    for (size_t index = 0; index < json_array_size(array); index++) {
        struct fields range;
        int64_t inside = -1, outside = -1, size = 0;
        if (fields_element(entry, key, array, index, &range, err) < 0 ||
            fields_number(&range, "containerID", 0, IDMAP_ID_MAX, &inside, err) < 0 ||
            fields_number(&range, "hostID", 0, IDMAP_ID_MAX, &outside, err) < 0 ||
            fields_number(&range, "size", 1, IDMAP_ID_MAX + 1, &size, err) < 0)
            return NULL;
        if (inside < 0 || outside < 0 || size < 1) {
            fields_refuse(&range, "containerID", "must be given, and hostID and size", err);
            return NULL;
        }
        int added = snprintf(text + length, sizeof(text) - length, "%lld %lld %lld\n",
                             (long long)inside, (long long)outside, (long long)size);
        if ((length += (size_t)added) >= sizeof(text)) {
            fields_refuse(entry, key, "has more ranges than the kernel takes", err);
            return NULL;
        }
    }
    text[length] = '\0';
    const char *copy = arena_format(entry->arena, "%s", text);
    if (copy == NULL)
        fields_no_memory(err);
    return copy;
}

int idmap_read(const struct fields *entry, struct config_mount *mount, struct error **err) {
    bool uids = fields_has(entry, "uidMappings"), gids = fields_has(entry, "gidMappings");
    if (!uids && !gids) {
        if (mount->idmap == IDMAP_NONE)
            return 0;
        return fields_refuse(entry, "options", "idmap needs uidMappings and gidMappings", err);
    }
    if (uids != gids)
        return fields_refuse(entry, uids ? "gidMappings" : "uidMappings",
                             "must stand beside the mappings of the other kind", err);
    if (!mount->bind)
        return fields_refuse(entry, "uidMappings", "are supported for bind mounts only", err);
    if (mount->idmap == IDMAP_NONE)
        mount->idmap = IDMAP_TOP;
    mount->uid_map = idmap_text(entry, "uidMappings", err);
    if (mount->uid_map == NULL)
        return -1;
    mount->gid_map = idmap_text(entry, "gidMappings", err);
    return mount->gid_map == NULL ? -1 : 0;
}

static int idmap_write(pid_t pid, const char *file, const char *text,
                       const struct config_mount *mount, struct error **err) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, text, strlen(text)) >= 0)
        return 0;
    return error_setf(err, errno, "idmap", mount->destination,
                      "mount %s: the kernel refuses its ID mapping (%s): %s", mount->destination,
                      file, strerror(errno));
}

static int idmap_fill(pid_t pid, const struct config_mount *mount, struct error **err) {
    char path[64];
    if (idmap_write(pid, "uid_map", mount->uid_map, mount, err) < 0 ||
        idmap_write(pid, "gid_map", mount->gid_map, mount, err) < 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? error_set(err, errno, "open the namespace", path) : fd;
}

/* A child that only waits to be killed holds the new namespace while its maps are written. It sends
 * no SIGCHLD (no exit signal), and dies with its parent. */
static int idmap_namespace(const struct config_mount *mount, struct error **err) {
    int pidfd = -1, status;
    struct clone3_arguments arguments = {
        .flags = CLONE_NEWUSER | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
    };
    pid_t parent = getpid();
    pid_t pid = sys_clone3(&arguments);
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
            _exit(1);
        for (;;)
            pause();
    }
    if (pid < 0)
        return error_setf(err, errno, "idmap", mount->destination,
                          "mount %s: an ID mapping needs a user namespace, and none can be made "
                          "(see user.max_user_namespaces): %s",
                          mount->destination, strerror(errno));
    int fd = idmap_fill(pid, mount, err);
    sys_pidfd_send_signal(pidfd, SIGKILL);
    while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
        continue;
    close(pidfd);
    return fd;
}

/* The namespace of an earlier mount with the same ranges, else -1. */
static int idmap_same(const struct config *config, const struct config_mount *mount) {
    for (const struct config_mount *other = config->mounts; other < mount; other++) {
        if (other->idmap_fd >= 0 && strcmp(other->uid_map, mount->uid_map) == 0 &&
            strcmp(other->gid_map, mount->gid_map) == 0)
            return fcntl(other->idmap_fd, F_DUPFD_CLOEXEC, 0);
    }
    return -1;
}

int idmap_open(struct config *config, struct error **err) {
    for (size_t index = 0; index < config->mount_count; index++) {
        struct config_mount *mount = &config->mounts[index];
        if (mount->idmap == IDMAP_NONE)
            continue;
        mount->idmap_fd = idmap_same(config, mount);
        if (mount->idmap_fd < 0)
            mount->idmap_fd = idmap_namespace(mount, err);
        if (mount->idmap_fd < 0) {
            idmap_close(config);
            return -1;
        }
    }
    return 0;
}

void idmap_close(struct config *config) {
    for (size_t index = 0; index < config->mount_count; index++) {
        if (config->mounts[index].idmap_fd >= 0)
            close(steal_fd(&config->mounts[index].idmap_fd));
    }
}

/* For messages: what a bind's source lies on. */
static const char *idmap_file_system(int tree, char other[32]) {
    static const struct {
        unsigned long magic;
        const char *name;
    } known[] = {
        {EXT4_SUPER_MAGIC, "ext4"},
        {BTRFS_SUPER_MAGIC, "btrfs"},
        {XFS_SUPER_MAGIC, "xfs"},
        {TMPFS_MAGIC, "tmpfs"},
        {NFS_SUPER_MAGIC, "nfs"},
        {0xff534d42, "cifs"},
        {OVERLAYFS_SUPER_MAGIC, "overlay"},
        {0x65735546, "fuse"},
        {PROC_SUPER_MAGIC, "proc"},
        {SYSFS_MAGIC, "sysfs"},
        {0xe0f5e1e2, "erofs"},
        {MSDOS_SUPER_MAGIC, "vfat"},
    };
    struct statfs system;
    if (fstatfs(tree, &system) < 0)
        return "unknown";
    for (size_t index = 0; index < sizeof(known) / sizeof(known[0]); index++) {
        if (known[index].magic == ((unsigned long)system.f_type & 0xffffffffUL))
            return known[index].name;
    }
    snprintf(other, 32, "0x%lx", (unsigned long)system.f_type);
    return other;
}

int idmap_apply(const struct config_mount *mount, int tree, struct error **err) {
    if (mount->idmap == IDMAP_NONE)
        return 0;
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP,
                                    .userns_fd = (uint64_t)mount->idmap_fd};
    unsigned flags = AT_EMPTY_PATH | (mount->idmap == IDMAP_ALL ? AT_RECURSIVE : 0);
    if (mount_setattr(tree, "", flags, &attributes, sizeof(attributes)) == 0)
        return 0;
    char other[32];
    int number = errno;
    const char *name = idmap_file_system(tree, other);
    const char *below = mount->idmap == IDMAP_ALL ? ", or one that is mounted below it," : "";
    if (number == EINVAL)
        return error_setf(err, number, "idmap", mount->destination,
                          "mount %s: IDs cannot be mapped on %s: its file system (%s)%s does not "
                          "support it: %s",
                          mount->destination, mount->source, name, below, strerror(number));
    if (number == EPERM)
        return error_setf(err, number, "idmap", mount->destination,
                          "mount %s: IDs cannot be mapped on %s (%s): it%s has a mapping already: "
                          "%s",
                          mount->destination, mount->source, name, below, strerror(number));
    return error_setf(err, number, "idmap", mount->destination,
                      "mount %s: IDs cannot be mapped on %s (%s): %s", mount->destination,
                      mount->source, name, strerror(number));
}
