/*
 * The parsed config.json (OCI runtime-spec 1.2): only what the launch half acts on, validated whole
 * before anything changes on the machine. Texts are borrowed from the JSON tree, arrays lie in the
 * arena; both live until config_free. Unknown fields are ignored; known ones that cannot be
 * honoured are refused by name.
 */
#ifndef MYDOCK_CONFIG_H
#define MYDOCK_CONFIG_H

#include "../../common/error.h"
#include "arena.h"
#include "fields.h"
#include "hooks.h"
#include "id_map.h"
#include "resources.h"
#include "scheduling.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct config_rlimit {
    int resource;
    const char *name;
    uint64_t soft, hard;
};

/* Bit n stands for capability n of capabilities(7). */
struct config_capabilities {
    /* False: process.capabilities is absent, and the process keeps what the caller has. */
    bool given;
    uint64_t bounding, effective, permitted, inheritable, ambient;
};

struct config_process {
    struct text_list args, env;
    const char *cwd;
    bool terminal;
    /* 0: not given. */
    unsigned short rows, columns;
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    size_t group_count;
    /* -1: not given, 0022. */
    int umask;
    struct config_capabilities capabilities;
    struct config_rlimit *rlimits;
    size_t rlimit_count;
    struct scheduling scheduling;
    bool no_new_privileges;
    bool oom_given;
    int oom_score_adj;
    /* NULL: none. */
    const char *apparmor;
    const char *selinux;
};

/* Whether a bind is idmapped: not, itself alone, or with all mounts below. */
enum config_idmap {
    IDMAP_NONE,
    IDMAP_TOP,
    IDMAP_ALL,
};

struct config_mount {
    const char *destination, *type, *source;
    bool bind;
    /* rbind: the source's submounts come along. */
    bool recursive;
    /* What is mounted at the destination already gets other attributes. */
    bool remount;
    /* tmpcopyup: the tmpfs starts with what it covers. */
    bool copy_up;
    /* MOUNT_ATTR_* of the mount itself, and (rro, rnosuid...) of it and all below. */
    uint64_t set, clear, recursive_set, recursive_clear;
    /* MS_PRIVATE and so on; 0: as it comes. */
    unsigned long propagation;
    bool propagation_recursive;
    /* Options for the file system itself: "size=64m", "newinstance". */
    struct text_list data;
    enum config_idmap idmap;
    /* Lines of /proc/PID/uid_map and gid_map. */
    const char *uid_map, *gid_map;
    /* A user namespace that has them, between idmap_open and idmap_close; else -1. */
    int idmap_fd;
};

struct config_namespace {
    /* CLONE_NEW*. */
    int flag;
    const char *name;
    /* NULL: a new one. */
    const char *path;
};

struct config_device {
    const char *path;
    mode_t mode;
    dev_t number;
    uid_t uid;
    gid_t gid;
};

struct config_pair {
    const char *key, *value;
};

#define CONFIG_NAMESPACES_MAX 8

struct config {
    json_t *json;
    struct arena arena;

    struct config_process process;
    const char *root;
    bool root_read_only;
    const char *hostname, *domainname;
    struct config_mount *mounts;
    size_t mount_count;

    struct config_namespace namespaces[CONFIG_NAMESPACES_MAX];
    size_t namespace_count;
    /* linux.personality, as personality(2) takes it; -1: not given. */
    long personality;
    /* linux.uidMappings and gidMappings. */
    struct id_maps user_maps;
    struct config_device *devices;
    size_t device_count;
    struct text_list masked_paths, read_only_paths;
    struct config_pair *sysctls;
    size_t sysctl_count;
    struct config_pair *time_offsets;
    size_t time_offset_count;
    /* MS_* flags of linux.rootfsPropagation; MS_SLAVE | MS_REC by default. */
    unsigned long root_propagation;
    /* Its name began with r: it is said of all mounts below the root as well. */
    bool root_propagation_recursive;
    /* Absolute below each hierarchy's mount point; NULL where config.json does not say. */
    const char *cgroups_path;
    struct resources resources;
    /* linux.seccomp, NULL for none. */
    const json_t *seccomp;
    struct hooks hooks;
    /* NULL: none. */
    const json_t *annotations;
};

/* Reads folder/config.json. bundle: what root.path is relative to. */
int config_load(const char *folder, const char *bundle, struct config **out, struct error **err);
void config_free(struct config *config);

/* A JSON file of at most 16 MB, its numbers beyond 63 bits wrapped around as the readers of config
 * expect them. The caller owns it. */
json_t *config_parse_file(const char *path, struct error **err);

/* Reads a process object; name stands in messages ("process"). process must be zeroed. */
int config_read_process(const json_t *object, const char *name, struct arena *arena,
                        struct config_process *process, struct error **err);
/* Reads mounts. */
int config_read_mounts(const struct fields *top, struct config *config, struct error **err);
/* Reads linux.mountLabel, from linux: an option of the mounts that take one. */
int config_label_mounts(const struct fields *from, struct config *config, struct error **err);
/* Reads linux. */
int config_read_linux(const struct fields *top, struct config *config, struct error **err);

/* What this runtime knows: the types of namespaces one after the other, NULL behind the last;
 * whether a word is an option of mounts themselves, not of their file systems. */
const char *config_namespace_name(size_t index);
bool config_is_mount_option(const char *name);

/* The namespace of a kind (CLONE_NEW*), NULL where the container stays in its caller's. */
const struct config_namespace *config_namespace(const struct config *config, int flag);

#endif
