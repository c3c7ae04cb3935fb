/*
 * config.json: read by config_load, and then all that acts on it before a process is made: the
 * seccomp filter with its cache, the cgroup files (in a folder that stands for a hierarchy), the
 * properties that systemd is told, the unit's name, the ID mappings, the hooks' state.
 */
#define _GNU_SOURCE
#include "dbus_check.h"
#include "json_mutate.h"
#include "runtime/launch/capabilities.h"
#include "runtime/launch/cgroup.h"
#include "runtime/launch/config.h"
#include "runtime/launch/filter.h"
#include "runtime/launch/resources_convert.h"
#include "runtime/launch/systemd_properties.h"
#include "runtime/launch/systemd_unit.h"
#include "runtime/launch/user_namespace.h"
#include "target.h"
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const WORDS[] = {
    "ro",
    "rw",
    "rro",
    "nosuid",
    "nodev",
    "noexec",
    "relatime",
    "strictatime",
    "rbind",
    "bind",
    "remount",
    "rslave",
    "shared",
    "unbindable",
    "idmap",
    "ridmap",
    "tmpcopyup",
    "size=64m",
    "mode=755",
    "defaults",
    "move",
    "tmpfs",
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "mqueue",
    "devpts",
    "overlay",
    "/proc",
    "/dev",
    "/dev/pts",
    "/sys/fs/cgroup",
    "/a/../b",
    "..",
    "",
    "/",
    "pid",
    "network",
    "mount",
    "ipc",
    "uts",
    "user",
    "time",
    "cgroup",
    "/proc/self/ns/net",
    "RLIMIT_NOFILE",
    "RLIMIT_CORE",
    "CAP_SYS_ADMIN",
    "CAP_CHOWN",
    "CAP_FUTURE",
    "SCHED_FIFO",
    "SCHED_DEADLINE",
    "SCHED_IDLE",
    "SCHED_FLAG_RESET_ON_FORK",
    "IOPRIO_CLASS_RT",
    "IOPRIO_CLASS_IDLE",
    "0-3,7",
    "8191",
    "8192",
    "1-",
    "-1",
    " 1 - 2 ",
    "LINUX32",
    "LINUX",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_X86_64",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_GE",
    "write",
    "mseal",
    "clone3",
    "memory.max",
    "cpu.weight",
    "pids.max",
    "io.max",
    "max",
    "100000 100000",
    "2MB",
    "1GB",
    "64KB",
    "GB",
    "rwm",
    "w",
    "a",
    "c",
    "b",
    "p",
    "u",
    "mlx5_0",
    "lo",
    "net.ipv4.ip_forward",
    "kernel.msgmax",
    "user.slice:docker:a",
    "::x",
    "a-b.slice:p:n.slice",
    "monotonic",
    "boottime",
    "/run/agent.sock",
    "1.2.0",
    "system_u:object_r:container_file_t:s0:c1,c2",
    "ociVersion",
    "process",
    "args",
    "env",
    "cwd",
    "user",
    "uid",
    "gid",
    "umask",
    "additionalGids",
    "capabilities",
    "bounding",
    "rlimits",
    "type",
    "soft",
    "hard",
    "noNewPrivileges",
    "scheduler",
    "policy",
    "nice",
    "priority",
    "flags",
    "runtime",
    "deadline",
    "period",
    "ioPriority",
    "class",
    "execCPUAffinity",
    "initial",
    "final",
    "root",
    "path",
    "readonly",
    "mounts",
    "destination",
    "source",
    "options",
    "uidMappings",
    "gidMappings",
    "containerID",
    "hostID",
    "size",
    "linux",
    "namespaces",
    "devices",
    "major",
    "minor",
    "fileMode",
    "resources",
    "memory",
    "limit",
    "swap",
    "reservation",
    "kernel",
    "swappiness",
    "cpu",
    "shares",
    "quota",
    "burst",
    "idle",
    "cpus",
    "mems",
    "realtimeRuntime",
    "blockIO",
    "weight",
    "weightDevice",
    "throttleReadBpsDevice",
    "rate",
    "hugepageLimits",
    "pageSize",
    "pids",
    "rdma",
    "hcaHandles",
    "unified",
    "seccomp",
    "defaultAction",
    "defaultErrnoRet",
    "architectures",
    "syscalls",
    "names",
    "action",
    "errnoRet",
    "index",
    "value",
    "valueTwo",
    "op",
    "listenerPath",
    "listenerMetadata",
    "hooks",
    "prestart",
    "createRuntime",
    "startContainer",
    "poststop",
    "timeout",
    "annotations",
    "sysctl",
    "timeOffsets",
    "secs",
    "nanosecs",
    "cgroupsPath",
    "rootfsPropagation",
    "maskedPaths",
    "readonlyPaths",
    "mountLabel",
    "personality",
    "domain",
    "intelRdt",
    "hostname",
    "domainname",
    "apparmorProfile",
    "selinuxLabel",
    "oomScoreAdj",
    "terminal",
    "consoleSize",
    "height",
    "width",
    NULL,
};

/* Files that the limits are written to, all in one folder. */
static const char *const FILES[] = {
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.soft_limit_in_bytes",
    "memory.kmem.tcp.limit_in_bytes",
    "memory.swappiness",
    "memory.oom_control",
    "memory.usage_in_bytes",
    "cpu.shares",
    "cpu.cfs_period_us",
    "cpu.cfs_quota_us",
    "cpu.cfs_burst_us",
    "cpu.rt_period_us",
    "cpu.rt_runtime_us",
    "cpu.idle",
    "cpuset.cpus",
    "cpuset.mems",
    "pids.max",
    "blkio.weight",
    "blkio.leaf_weight",
    "blkio.weight_device",
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_iops_device",
    "devices.allow",
    "devices.deny",
    "rdma.max",
    "memory.max",
    "memory.low",
    "memory.high",
    "memory.min",
    "memory.swap.max",
    "memory.current",
    "cpu.weight",
    "cpu.max",
    "cpu.max.burst",
    "io.max",
    "io.weight",
    "io.bfq.weight",
    "net_cls.classid",
    "net_prio.ifpriomap",
    "cgroup.controllers",
    "hugetlb.2MB.limit_in_bytes",
    "hugetlb.2MB.max",
    "hugetlb.1GB.max",
};

static char own_folder[256], cache_folder[300];
static char all_v1[] = "cpu,cpuacct,cpuset,memory,pids,blkio,devices,net_cls,net_prio,hugetlb,rdma";
static int group_fd;

static void begin(const char *folder) {
    char group[300];
    snprintf(own_folder, sizeof(own_folder), "%s", folder);
    snprintf(cache_folder, sizeof(cache_folder), "%s/cache", folder);
    snprintf(group, sizeof(group), "%s/group", folder);
    FUZZ_HOLDS(mkdir(cache_folder, 0700) == 0 && mkdir(group, 0700) == 0, "%s", folder);
    for (size_t index = 0; index < sizeof(FILES) / sizeof(FILES[0]); index++)
        fuzz_write_file(group, FILES[index], "1\n", 2);
    group_fd = open(group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void free_error(struct error **err) {
    error_free(*err);
    *err = NULL;
}

/* Compiled, and taken from the cache: the same. */
static void run_filter(const struct config *config) {
    struct seccomp_filter made, cached;
    struct error *err = NULL;
    if (filter_prepare(config->seccomp, cache_folder, &made, &err) == 0) {
        FUZZ_HOLDS(filter_prepare(config->seccomp, cache_folder, &cached, &err) == 0, "cached");
        FUZZ_HOLDS(made.bytes == cached.bytes && made.flags == cached.flags &&
                       made.listens == cached.listens &&
                       (made.bytes == 0 || memcmp(made.code, cached.code, made.bytes) == 0),
                   "a cached filter is another");
        filter_free(&cached);
        filter_free(&made);
    } else {
        FUZZ_HOLDS(made.code == NULL, "a filter in spite of an error");
    }
    free_error(&err);
}

static void run_properties(const struct cgroup *cgroup, const struct resources *resources) {
    struct systemd_message message = {0};
    struct systemd_array array = systemd_begin_array(&message, 8);
    systemd_properties_limits(&message, cgroup, resources);
    systemd_properties_devices(&message, resources);
    systemd_end_array(&message, array);
    FUZZ_HOLDS(message.failed || dbus_check(message.bytes, message.length, "a(sv)"),
               "properties are no a(sv)");
    systemd_message_free(&message);
}

/* The limits' texts, written to files that take everything. */
static void run_limits(struct config *config, bool v2) {
    struct cgroup_hierarchy hierarchy = {
        v2, v2 ? "" : all_v1, own_folder, own_folder, group_fd,
    };
    struct cgroup cgroup = {.hierarchies = &hierarchy, .count = 1};
    struct error *err = NULL;
    run_properties(&cgroup, &config->resources);
    cgroup_v1_limit(&cgroup, &config->resources, &err);
    free_error(&err);
    cgroup_v2_limit(&cgroup, &config->resources, &err);
    free_error(&err);
    if (!v2)
        cgroup_v1_limit_devices(&cgroup, &config->resources, &err);
    free_error(&err);
    cgroup_update(&cgroup, &config->resources, &err);
    free_error(&err);
}

static void run_names(struct config *config) {
    struct systemd_unit unit;
    struct error *err = NULL;
    if (config->cgroups_path == NULL || systemd_unit_parse(config->cgroups_path, &unit, &err) < 0) {
        free_error(&err);
        return;
    }
    FUZZ_HOLDS(strstr(unit.path, "/../") == NULL && strstr(unit.path, "//") == NULL &&
                   strchr(unit.slice, '/') == NULL && strchr(unit.scope, '/') == NULL,
               "unit %s", unit.path);
    char *object = systemd_unit_object(unit.scope);
    FUZZ_HOLDS(
        strspn(object + 1, "/_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") ==
            strlen(object) - 1,
        "object %s", object);
    free(object);
    systemd_unit_free(&unit);
}

static void run_hooks(const struct config *config) {
    const struct hooks_container about = {"id", "/bundle", config->annotations, 42};
    json_t *state = hooks_about(&about, "creating");
    char *text = json_dumps(state, JSON_COMPACT);
    FUZZ_HOLDS(text != NULL, "a state that is no JSON");
    free(text);
    json_decref(state);
    hooks_before_root(&config->hooks);
}

/* What config.h promises of a configuration that was read. */
static void check_config(const struct config *config) {
    FUZZ_HOLDS(config->process.args.count > 0 && config->process.args.items[0] != NULL &&
                   config->process.args.items[config->process.args.count] == NULL &&
                   config->process.env.items[config->process.env.count] == NULL &&
                   config->process.cwd[0] == '/' && config->root[0] == '/',
               "process");
    FUZZ_HOLDS(config->namespace_count <= CONFIG_NAMESPACES_MAX, "namespaces");
    for (size_t index = 0; index < config->namespace_count; index++)
        FUZZ_HOLDS(config_namespace(config, config->namespaces[index].flag) ==
                       &config->namespaces[index],
                   "a kind of namespace stands twice");
    for (size_t index = 0; index < config->mount_count; index++) {
        const struct config_mount *mount = &config->mounts[index];
        /* The kernel wants the whole field of access times cleared where one of them is set. */
        uint64_t plain = ~(uint64_t)MOUNT_ATTR__ATIME;
        FUZZ_HOLDS(mount->destination[0] != '\0' && (mount->set & mount->clear & plain) == 0 &&
                       (mount->recursive_set & mount->recursive_clear & plain) == 0 &&
                       mount->data.items[mount->data.count] == NULL &&
                       (mount->bind || mount->remount || mount->type != NULL),
                   "mount %s", mount->destination);
    }
    FUZZ_HOLDS(config->cgroups_path == NULL || strstr(config->cgroups_path, "..") == NULL, "..");
}

static void run(const uint8_t *data, size_t length) {
    struct config *config = NULL;
    struct error *err = NULL;
    fuzz_write_file(own_folder, "config.json", data, length);
    if (config_load(own_folder, "/bundle", &config, &err) < 0) {
        FUZZ_HOLDS(err != NULL && err->message[0] != '\0', "an error without a message");
        free_error(&err);
        return;
    }
    check_config(config);
    capabilities_limit(&config->process.capabilities);
    run_filter(config);
    run_limits(config, false);
    run_limits(config, true);
    run_names(config);
    run_hooks(config);
    if (config->user_maps.uids.count > 0) {
        FUZZ_HOLDS(id_map_is_same(&config->user_maps.uids, &config->user_maps.uids), "ID map");
        id_map_outside(&config->user_maps.gids, config->process.gid);
        user_namespace_check(config, &config->user_maps, &err);
        free_error(&err);
    }
    config_free(config);
    free_error(&err);
}

static size_t mutate(uint8_t *data, size_t length, size_t room, uint64_t random) {
    return json_mutate(data, length, room, random, WORDS);
}

const struct fuzz_target fuzz_config = {"config", begin, run, mutate};
