/* See idmap.h; user_namespaces(7). */
#define _GNU_SOURCE
#include "idmap.h"
#include "../../common/cleanup.h"
#include "user_namespace.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif

/* The ranges as /proc/PID/uid_map takes them; NULL with *err. */
static const char *idmap_text(const struct fields *entry, const char *key, struct error **err) {
    struct id_map map;
    if (id_map_read(entry, key, &map, err) < 0)
        return NULL;
    const char *text = id_map_text(entry->arena, &map);
    if (text == NULL)
        fields_no_memory(err);
    return text;
}

int idmap_read(const struct fields *entry, struct config_mount *mount, struct error **err) {
    bool uids = fields_has(entry, "uidMappings"), gids = fields_has(entry, "gidMappings");
    if (!uids && !gids) {
        /* idmap without: the container's own mappings, if it has a user namespace (idmap_open). */
        if (mount->idmap != IDMAP_NONE && !mount->bind)
            return fields_refuse(entry, "options", "idmap is supported for bind mounts only", err);
        return 0;
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

static int idmap_namespace(const struct config_mount *mount, struct error **err) {
    char object[PATH_MAX + 8];
    snprintf(object, sizeof(object), "mount %s", mount->destination);
    return user_namespace_make(mount->uid_map, mount->gid_map, object, err);
}

/* The namespace of an earlier mount with the same ranges, else -1. */
static int idmap_same(const struct config *config, const struct config_mount *mount) {
    for (const struct config_mount *other = config->mounts; other < mount; other++) {
        if (other->idmap_fd >= 0 && other->uid_map != NULL &&
            strcmp(other->uid_map, mount->uid_map) == 0 &&
            strcmp(other->gid_map, mount->gid_map) == 0)
            return fcntl(other->idmap_fd, F_DUPFD_CLOEXEC, 0);
    }
    return -1;
}

static int idmap_find(const struct config *config, const struct config_mount *mount, int user_fd,
                      struct error **err) {
    if (mount->uid_map != NULL) {
        int same = idmap_same(config, mount);
        return same >= 0 ? same : idmap_namespace(mount, err);
    }
    if (user_fd < 0)
        return error_setf(err, EINVAL, "config", mount->destination,
                          "config.json: the mount on %s: idmap needs uidMappings and gidMappings, "
                          "or a user namespace of the container's",
                          mount->destination);
    int copy = fcntl(user_fd, F_DUPFD_CLOEXEC, 0);
    return copy < 0 ? error_set(err, errno, "idmap", mount->destination) : copy;
}

int idmap_open(struct config *config, int user_fd, struct error **err) {
    for (size_t index = 0; index < config->mount_count; index++) {
        struct config_mount *mount = &config->mounts[index];
        if (mount->idmap == IDMAP_NONE)
            continue;
        mount->idmap_fd = idmap_find(config, mount, user_fd, err);
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
