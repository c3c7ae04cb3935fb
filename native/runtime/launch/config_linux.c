/* The linux object of config.json without its resources (resources.c). See config.h. */
#define _GNU_SOURCE
#include "config.h"
#include "syscalls.h"
#include "user_namespace.h"
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static const struct {
    const char *type;
    int flag;
} NAMESPACES[] = {
    {"pid", CLONE_NEWPID},   {"network", CLONE_NEWNET},   {"mount", CLONE_NEWNS},
    {"ipc", CLONE_NEWIPC},   {"uts", CLONE_NEWUTS},       {"user", CLONE_NEWUSER},
    {"time", CLONE_NEWTIME}, {"cgroup", CLONE_NEWCGROUP},
};

const char *config_namespace_name(size_t index) {
    return index < sizeof(NAMESPACES) / sizeof(NAMESPACES[0]) ? NAMESPACES[index].type : NULL;
}

static int linux_read_namespace(const struct fields *entry, struct config *config,
                                struct error **err) {
    const char *type = NULL, *path = NULL;
    if (fields_text(entry, "type", &type, err) < 0 || fields_text(entry, "path", &path, err) < 0)
        return -1;
    int flag = 0;
    for (size_t index = 0; type != NULL && index < sizeof(NAMESPACES) / sizeof(NAMESPACES[0]);
         index++) {
        if (strcmp(NAMESPACES[index].type, type) == 0)
            flag = NAMESPACES[index].flag;
    }
    if (flag == 0)
        return fields_refuse(entry, "type", "is not a namespace", err);
    if (path != NULL && path[0] == '\0')
        path = NULL;
    if (path != NULL && path[0] != '/')
        return fields_refuse(entry, "path", "must be absolute", err);
    if (config_namespace(config, flag) != NULL)
        return fields_refuse(entry, "type", "stands twice", err);
    /* The caller's own: there is nothing to join, and the kernel refuses to. */
    if (flag == CLONE_NEWUSER && path != NULL && user_namespace_is_own(path))
        return 0;
    config->namespaces[config->namespace_count++] = (struct config_namespace){flag, type, path};
    return 0;
}

static int linux_read_namespaces(const struct fields *from, struct config *config,
                                 struct error **err) {
    const json_t *array = NULL;
    if (fields_array(from, "namespaces", &array, err) < 0)
        return -1;
    for (size_t index = 0; index < json_array_size(array); index++) {
        struct fields entry;
        if (fields_element(from, "namespaces", array, index, &entry, err) < 0 ||
            linux_read_namespace(&entry, config, err) < 0)
            return -1;
    }
    if (config_namespace(config, CLONE_NEWNS) == NULL)
        return fields_refuse(from, "namespaces", "must hold a mount namespace", err);
    return 0;
}

static int linux_read_mappings(const struct fields *from, struct config *config,
                               struct error **err) {
    struct id_maps *maps = &config->user_maps;
    if (id_map_read(from, "uidMappings", &maps->uids, err) < 0 ||
        id_map_read(from, "gidMappings", &maps->gids, err) < 0)
        return -1;
    const struct config_namespace *user = config_namespace(config, CLONE_NEWUSER);
    if (user == NULL && maps->uids.count > 0)
        return fields_refuse(from, "uidMappings", "need a user namespace", err);
    if (user == NULL && maps->gids.count > 0)
        return fields_refuse(from, "gidMappings", "need a user namespace", err);
    if (user == NULL || user->path != NULL)
        return 0;
    if (maps->uids.count == 0)
        return fields_refuse(from, "uidMappings", "are missing: a new user namespace needs them",
                             err);
    if (maps->gids.count == 0)
        return fields_refuse(from, "gidMappings", "are missing: a new user namespace needs them",
                             err);
    return 0;
}

static int linux_read_device(const struct fields *entry, struct config_device *device,
                             struct error **err) {
    const char *type = NULL;
    int64_t major = 0, minor = 0, mode = 0666, uid = 0, gid = 0;
    if (fields_text(entry, "path", &device->path, err) < 0 ||
        fields_text(entry, "type", &type, err) < 0 ||
        fields_number(entry, "major", 0, UINT32_MAX, &major, err) < 0 ||
        fields_number(entry, "minor", 0, UINT32_MAX, &minor, err) < 0 ||
        fields_number(entry, "fileMode", 0, 0177777, &mode, err) < 0 ||
        fields_number(entry, "uid", 0, UINT32_MAX - 1, &uid, err) < 0 ||
        fields_number(entry, "gid", 0, UINT32_MAX - 1, &gid, err) < 0)
        return -1;
    if (device->path == NULL || device->path[0] != '/')
        return fields_refuse(entry, "path", "must be absolute", err);
    if (type == NULL || strlen(type) != 1 || strchr("cubp", type[0]) == NULL)
        return fields_refuse(entry, "type", "must be one of c, u, b, p", err);
    mode_t kind = type[0] == 'b' ? S_IFBLK : type[0] == 'p' ? S_IFIFO : S_IFCHR;
    device->mode = kind | ((mode_t)mode & 07777);
    device->number = makedev((unsigned)major, (unsigned)minor);
    device->uid = (uid_t)uid;
    device->gid = (gid_t)gid;
    return 0;
}

static int linux_read_devices(const struct fields *from, struct config *config,
                              struct error **err) {
    const json_t *array = NULL;
    if (fields_array(from, "devices", &array, err) < 0)
        return -1;
    size_t count = array == NULL ? 0 : json_array_size(array);
    config->devices = arena_array(from->arena, count + 1, sizeof(*config->devices));
    if (config->devices == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < count; index++) {
        struct fields entry;
        if (fields_element(from, "devices", array, index, &entry, err) < 0 ||
            linux_read_device(&entry, &config->devices[index], err) < 0)
            return -1;
    }
    config->device_count = count;
    return 0;
}

/* "net.ipv4.ip_forward" as a path below /proc/sys; with a slash first among the separators the name
 * is a path already, so that interface names may hold dots (sysctl.d(5)). */
static char *linux_sysctl_path(struct arena *arena, const char *key) {
    char *path = arena_format(arena, "%s", key);
    size_t separator = strcspn(key, "./");
    for (char *letter = path; key[separator] == '.' && letter != NULL && *letter != '\0'; letter++)
        *letter = (char)(*letter == '.' ? '/' : *letter == '/' ? '.' : *letter);
    return path;
}

static int linux_read_sysctls(const struct fields *from, struct config *config,
                              struct error **err) {
    struct fields sysctl;
    if (fields_object(from, "sysctl", &sysctl, err) < 0)
        return -1;
    size_t count = sysctl.object == NULL ? 0 : json_object_size(sysctl.object);
    config->sysctls = arena_array(from->arena, count + 1, sizeof(*config->sysctls));
    if (config->sysctls == NULL)
        return fields_no_memory(err);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)sysctl.object, key, value) {
        struct config_pair *pair = &config->sysctls[config->sysctl_count++];
        pair->key = linux_sysctl_path(from->arena, key);
        if (pair->key == NULL)
            return fields_no_memory(err);
        if (key[0] == '\0' || pair->key[0] == '/' || strstr(pair->key, "..") != NULL)
            return fields_refuse(&sysctl, key, "is not a sysctl name", err);
        if (fields_text(&sysctl, key, &pair->value, err) < 0)
            return -1;
        if (pair->value == NULL)
            return fields_refuse(&sysctl, key, "must be a string", err);
    }
    return 0;
}

static int linux_read_time_offsets(const struct fields *from, struct config *config,
                                   struct error **err) {
    struct fields offsets;
    if (fields_object(from, "timeOffsets", &offsets, err) < 0)
        return -1;
    size_t count = offsets.object == NULL ? 0 : json_object_size(offsets.object);
    config->time_offsets = arena_array(from->arena, count + 1, sizeof(*config->time_offsets));
    if (config->time_offsets == NULL)
        return fields_no_memory(err);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)offsets.object, key, value) {
        struct fields entry;
        int64_t seconds = 0, nanoseconds = 0;
        if (fields_object(&offsets, key, &entry, err) < 0 ||
            fields_number(&entry, "secs", INT64_MIN, INT64_MAX, &seconds, err) < 0 ||
            fields_number(&entry, "nanosecs", 0, 999999999, &nanoseconds, err) < 0)
            return -1;
        struct config_pair *pair = &config->time_offsets[config->time_offset_count++];
        pair->key = key;
        pair->value = arena_format(from->arena, "%s %lld %lld", key, (long long)seconds,
                                   (long long)nanoseconds);
        if (pair->value == NULL)
            return fields_no_memory(err);
    }
    const struct config_namespace *time = config_namespace(config, CLONE_NEWTIME);
    if (count > 0 && (time == NULL || time->path != NULL))
        return fields_refuse(from, "timeOffsets", "need a new time namespace", err);
    return 0;
}

static int linux_read_personality(const struct fields *from, struct config *config,
                                  struct error **err) {
    struct fields personality;
    const char *domain = NULL;
    config->personality = -1;
    if (fields_object(from, "personality", &personality, err) < 0)
        return -1;
    if (personality.object == NULL)
        return 0;
    if (fields_text(&personality, "domain", &domain, err) < 0)
        return -1;
    if (domain != NULL && strcmp(domain, "LINUX") == 0)
        config->personality = PER_LINUX;
    else if (domain != NULL && strcmp(domain, "LINUX32") == 0)
        config->personality = PER_LINUX32;
    else
        return fields_refuse(&personality, "domain", "must be LINUX or LINUX32", err);
    if (fields_has(&personality, "flags"))
        return fields_refuse(&personality, "flags", "must be empty: no flag is defined", err);
    return 0;
}

static int linux_read_propagation(const struct fields *from, struct config *config,
                                  struct error **err) {
    const char *name = NULL;
    if (fields_text(from, "rootfsPropagation", &name, err) < 0)
        return -1;
    config->root_propagation = MS_SLAVE | MS_REC;
    if (name == NULL || name[0] == '\0')
        return 0;
    const char *kind = name[0] == 'r' ? name + 1 : name;
    config->root_propagation_recursive = name[0] == 'r';
    if (strcmp(kind, "private") == 0)
        config->root_propagation = MS_PRIVATE | MS_REC;
    else if (strcmp(kind, "shared") == 0)
        config->root_propagation = MS_SHARED | MS_REC;
    else if (strcmp(kind, "unbindable") == 0)
        config->root_propagation = MS_UNBINDABLE | MS_REC;
    else if (strcmp(kind, "slave") != 0)
        return fields_refuse(from, "rootfsPropagation", "is not a propagation type", err);
    return 0;
}

static int linux_refuse_unsupported(const struct fields *from, struct error **err) {
    static const char *const keys[] = {"intelRdt", "netDevices", "memoryPolicy"};
    for (size_t index = 0; index < sizeof(keys) / sizeof(keys[0]); index++) {
        if (fields_has(from, keys[index]))
            return fields_refuse(from, keys[index], "is not supported", err);
    }
    return 0;
}

static int linux_read_cgroups_path(const struct fields *from, struct config *config,
                                   struct error **err) {
    const char *path = NULL;
    if (fields_text(from, "cgroupsPath", &path, err) < 0)
        return -1;
    if (path == NULL || path[0] == '\0')
        return 0;
    if (strstr(path, "..") != NULL || path[strspn(path, "/")] == '\0')
        return fields_refuse(from, "cgroupsPath", "must name a group below the root", err);
    /* "slice:prefix:name" is for systemd (systemd_unit.h). */
    bool systemd = strchr(path, ':') != NULL;
    config->cgroups_path =
        path[0] == '/' || systemd ? path : arena_format(from->arena, "/%s", path);
    return config->cgroups_path == NULL ? fields_no_memory(err) : 0;
}

int config_read_linux(const struct fields *top, struct config *config, struct error **err) {
    struct fields from, resources, seccomp;
    if (fields_object(top, "linux", &from, err) < 0 || linux_refuse_unsupported(&from, err) < 0 ||
        linux_read_namespaces(&from, config, err) < 0 ||
        linux_read_mappings(&from, config, err) < 0 || linux_read_devices(&from, config, err) < 0 ||
        linux_read_sysctls(&from, config, err) < 0 ||
        linux_read_time_offsets(&from, config, err) < 0 ||
        linux_read_propagation(&from, config, err) < 0 ||
        linux_read_personality(&from, config, err) < 0 ||
        config_label_mounts(&from, config, err) < 0 ||
        linux_read_cgroups_path(&from, config, err) < 0 ||
        fields_texts(&from, "maskedPaths", &config->masked_paths, err) < 0 ||
        fields_texts(&from, "readonlyPaths", &config->read_only_paths, err) < 0 ||
        fields_object(&from, "resources", &resources, err) < 0 ||
        resources_read(&resources, &config->resources, err) < 0 ||
        fields_object(&from, "seccomp", &seccomp, err) < 0)
        return -1;
    config->seccomp = seccomp.object;
    return 0;
}
