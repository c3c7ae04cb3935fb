/* mounts of config.json: the options of mount(8) sorted into attributes, propagation and file
 * system data. */
#define _GNU_SOURCE
#include "config.h"
#include "idmap.h"
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

struct mount_option {
    const char *name;
    uint64_t set, clear;
};

/* With an r in front of the name the attribute covers all mounts below as well. */
static const struct mount_option ATTRIBUTES[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    /* Without any of them the kernel does as with relatime (mount(2)). */
    {"norelatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
};

static const struct {
    const char *name;
    unsigned long flags;
} PROPAGATIONS[] = {
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
};

static const struct mount_option *mount_find_attribute(const char *name) {
    for (size_t index = 0; index < sizeof(ATTRIBUTES) / sizeof(ATTRIBUTES[0]); index++) {
        if (strcmp(ATTRIBUTES[index].name, name) == 0)
            return &ATTRIBUTES[index];
    }
    return NULL;
}

static unsigned long mount_find_propagation(const char *name) {
    for (size_t index = 0; index < sizeof(PROPAGATIONS) / sizeof(PROPAGATIONS[0]); index++) {
        if (strcmp(PROPAGATIONS[index].name, name) == 0)
            return PROPAGATIONS[index].flags;
    }
    return 0;
}

/* A later option wins over an earlier one. */
static void mount_add_attribute(const struct mount_option *option, uint64_t *set, uint64_t *clear) {
    *set = (*set & ~option->clear) | option->set;
    *clear = (*clear & ~option->set) | option->clear;
}

/* defaults asks for nothing. silent and loud are about the kernel's log, which a mount context
 * replaces. iversion and noiversion: file systems that can count versions do so when somebody asks
 * (statx(2)), and the mount API has no word for it. */
static bool mount_is_ignored(const char *option) {
    static const char *const names[] = {"", "defaults", "silent", "loud", "iversion", "noiversion"};
    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        if (strcmp(names[index], option) == 0)
            return true;
    }
    return false;
}

/* True where the option was one of the mount itself. */
static bool mount_take_option(struct config_mount *mount, const char *option) {
    const struct mount_option *attribute = mount_find_attribute(option);
    if (attribute != NULL) {
        mount_add_attribute(attribute, &mount->set, &mount->clear);
        return true;
    }
    attribute = option[0] == 'r' ? mount_find_attribute(option + 1) : NULL;
    if (attribute != NULL) {
        mount_add_attribute(attribute, &mount->recursive_set, &mount->recursive_clear);
        return true;
    }
    unsigned long propagation = mount_find_propagation(option);
    if (propagation != 0) {
        mount->propagation = propagation & ~(unsigned long)MS_REC;
        mount->propagation_recursive = (propagation & MS_REC) != 0;
        return true;
    }
    if (strcmp(option, "idmap") == 0 || strcmp(option, "ridmap") == 0) {
        mount->idmap = option[0] == 'r' ? IDMAP_ALL : IDMAP_TOP;
        return true;
    }
    if (strcmp(option, "bind") == 0 || strcmp(option, "rbind") == 0) {
        mount->bind = true;
        mount->recursive = mount->recursive || option[0] == 'r';
        return true;
    }
    if (strcmp(option, "remount") == 0)
        return mount->remount = true;
    if (strcmp(option, "tmpcopyup") == 0)
        return mount->copy_up = true;
    return mount_is_ignored(option);
}

/* Words of the superblock that every file system takes, and the kernel parses (mount(8)). */
static bool mount_is_generic(const char *name) {
    static const char *const names[] = {"async",      "sync", "dirsync", "lazytime",
                                        "nolazytime", "mand", "nomand"};
    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        if (strcmp(names[index], name) == 0)
            return true;
    }
    return false;
}

bool config_is_mount_option(const char *name) {
    struct config_mount scratch = {0};
    return mount_take_option(&scratch, name) || mount_is_generic(name);
}

static int mount_refuse_options(const struct fields *entry, const struct text_list *options,
                                struct error **err) {
    for (size_t index = 0; index < options->count; index++) {
        if (strcmp(options->items[index], "move") == 0)
            return fields_refuse(entry, "move", "is a mount option not supported", err);
    }
    return 0;
}

static int mount_check(const struct fields *entry, const struct config_mount *mount,
                       struct error **err) {
    if (mount->remount && mount->data.count > 0)
        return fields_refuse(entry, "options",
                             "remount changes the options of the mount, not those of its file "
                             "system",
                             err);
    if (mount->remount)
        return 0;
    if (!mount->bind && (mount->type == NULL || mount->type[0] == '\0'))
        return fields_refuse(entry, "type", "is missing", err);
    if (mount->bind && (mount->source == NULL || mount->source[0] == '\0'))
        return fields_refuse(entry, "source", "is missing", err);
    if (mount->copy_up && (mount->bind || strcmp(mount->type, "tmpfs") != 0))
        return fields_refuse(entry, "options", "tmpcopyup is for a tmpfs", err);
    return 0;
}

static int mount_read(const struct fields *entry, struct config_mount *mount, struct error **err) {
    struct text_list options;
    mount->idmap_fd = -1;
    if (fields_text(entry, "destination", &mount->destination, err) < 0 ||
        fields_text(entry, "type", &mount->type, err) < 0 ||
        fields_text(entry, "source", &mount->source, err) < 0 ||
        fields_texts(entry, "options", &options, err) < 0 ||
        mount_refuse_options(entry, &options, err) < 0)
        return -1;
    if (mount->destination == NULL || mount->destination[0] == '\0')
        return fields_refuse(entry, "destination", "is missing", err);
    mount->data.items = arena_array(entry->arena, options.count + 2, sizeof(const char *));
    if (mount->data.items == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < options.count; index++) {
        if (!mount_take_option(mount, options.items[index]))
            mount->data.items[mount->data.count++] = options.items[index];
    }
    if (mount->type != NULL && strcmp(mount->type, "bind") == 0)
        mount->bind = true;
    if (mount->remount)
        mount->bind = false;
    if (mount_check(entry, mount, err) < 0)
        return -1;
    return mount->remount ? 0 : idmap_read(entry, mount, err);
}

int config_read_mounts(const struct fields *top, struct config *config, struct error **err) {
    const json_t *array = NULL;
    if (fields_array(top, "mounts", &array, err) < 0)
        return -1;
    size_t count = array == NULL ? 0 : json_array_size(array);
    config->mounts = arena_array(top->arena, count + 1, sizeof(*config->mounts));
    if (config->mounts == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < count; index++) {
        struct fields entry;
        if (fields_element(top, "mounts", array, index, &entry, err) < 0 ||
            mount_read(&entry, &config->mounts[index], err) < 0)
            return -1;
    }
    config->mount_count = count;
    return 0;
}

/* These take no label of SELinux's at the mount: their files have their own, or the host's. */
static bool mount_has_own_labels(const struct config_mount *mount) {
    static const char *const types[] = {"proc", "sysfs", "mqueue", "cgroup", "cgroup2"};
    if (mount->bind || mount->remount)
        return true;
    for (size_t index = 0; index < sizeof(types) / sizeof(types[0]); index++) {
        if (strcmp(types[index], mount->type) == 0)
            return true;
    }
    return false;
}

int config_label_mounts(const struct fields *from, struct config *config, struct error **err) {
    const char *label = NULL;
    if (fields_text(from, "mountLabel", &label, err) < 0)
        return -1;
    if (label == NULL || label[0] == '\0')
        return 0;
    if (access("/sys/fs/selinux/enforce", F_OK) < 0)
        return error_setf(err, ENOTSUP, "config", "linux.mountLabel",
                          "config.json: linux.mountLabel is %s, but this kernel has no SELinux",
                          label);
    const char *option = arena_format(from->arena, "context=%s", label);
    if (option == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < config->mount_count; index++) {
        struct config_mount *mount = &config->mounts[index];
        if (!mount_has_own_labels(mount))
            mount->data.items[mount->data.count++] = option;
    }
    return 0;
}
