/* Limits on cgroup v2 (the kernel's admin-guide/cgroup-v2). Writes those whose controller no v1
 * hierarchy has, and is the one to say that a controller is missing altogether. See cgroup.h. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "../../common/warn.h"
#include "cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void cgroup_v2_enable(int directory_fd) {
    char available[512], enabled[512];
    if (cgroup_read(directory_fd, "cgroup.controllers", available, sizeof(available)) < 0 ||
        cgroup_read(directory_fd, "cgroup.subtree_control", enabled, sizeof(enabled)) < 0 ||
        strcmp(available, enabled) == 0)
        return;
    cleanup_close int fd = openat(directory_fd, "cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
    char *position = NULL;
    for (char *name = strtok_r(available, " ", &position); fd >= 0 && name != NULL;
         name = strtok_r(NULL, " ", &position)) {
        char text[64];
        int length = snprintf(text, sizeof(text), "+%s", name);
        /* One at a time, and a refusal (EBUSY: the group has processes of its own) is no error yet:
         * it becomes one, "no such controller", where a limit needs it. */
        if (write(fd, text, (size_t)length) < 0)
            continue;
    }
}

/* Where a limit of the controller is to be written: the v2 group if it has the file, NULL where v1
 * took care of it. Neither: an error. */
static int v2_target(struct cgroup *cgroup, const char *v1_controller, const char *controller,
                     const char *file, const char *limit, struct cgroup_hierarchy **out,
                     struct error **err) {
    *out = NULL;
    if (cgroup_find_v1(cgroup, v1_controller) != NULL)
        return 0;
    struct cgroup_hierarchy *hierarchy = cgroup_find_v2(cgroup);
    if (hierarchy == NULL || faccessat(hierarchy->directory_fd, file, F_OK, 0) < 0)
        return cgroup_missing(controller, limit, err);
    *out = hierarchy;
    return 0;
}

static int v2_text(struct cgroup *cgroup, const char *v1_controller, const char *controller,
                   const char *file, const char *limit, const char *text, struct error **err) {
    struct cgroup_hierarchy *hierarchy;
    if (v2_target(cgroup, v1_controller, controller, file, limit, &hierarchy, err) < 0)
        return -1;
    return hierarchy == NULL ? 0 : cgroup_write(hierarchy, file, text, err);
}

/* A number in which -1 means no limit. */
static int v2_limit_or_max(struct cgroup *cgroup, const char *controller, const char *file,
                           const char *limit, int64_t value, struct error **err) {
    char text[32] = "max";
    if (value >= 0)
        snprintf(text, sizeof(text), "%lld", (long long)value);
    return v2_text(cgroup, controller, controller, file, limit, text, err);
}

static int v2_limit_memory(struct cgroup *cgroup, const struct resources *resources,
                           struct error **err) {
    if (resources->memory_limit.given &&
        v2_limit_or_max(cgroup, "memory", "memory.max", "memory.limit",
                        resources->memory_limit.value, err) < 0)
        return -1;
    if (resources->memory_reservation.given &&
        v2_limit_or_max(cgroup, "memory", "memory.low", "memory.reservation",
                        resources->memory_reservation.value, err) < 0)
        return -1;
    if (resources->memory_swap.given) {
        /* The spec counts memory and swap together, v2 counts swap alone. */
        int64_t swap = resources->memory_swap.value;
        if (swap >= 0 && resources->memory_limit.given)
            swap -= resources->memory_limit.value;
        if (v2_limit_or_max(cgroup, "memory", "memory.swap.max", "memory.swap", swap, err) < 0)
            return -1;
    }
    bool v1_only = resources->memory_swappiness.given || resources->disable_oom_killer;
    if (v1_only && cgroup_find_v1(cgroup, "memory") == NULL)
        warn("warning: memory.swappiness and disableOOMKiller have no meaning on cgroup v2");
    return 0;
}

static int v2_limit_cpu(struct cgroup *cgroup, const struct resources *resources,
                        struct error **err) {
    char text[64];
    if (resources->cpu_shares.given) {
        /* [2, 262144] onto [1, 10000], in a straight line, as other runtimes do. */
        int64_t shares = resources->cpu_shares.value;
        shares = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
        snprintf(text, sizeof(text), "%lld", (long long)(1 + (shares - 2) * 9999 / 262142));
        if (v2_text(cgroup, "cpu", "cpu", "cpu.weight", "cpu.shares", text, err) < 0)
            return -1;
    }
    if (resources->cpu_quota_us.given || resources->cpu_period_us.given) {
        char quota[32] = "max";
        if (resources->cpu_quota_us.given && resources->cpu_quota_us.value > 0)
            snprintf(quota, sizeof(quota), "%lld", (long long)resources->cpu_quota_us.value);
        int64_t period = resources->cpu_period_us.given ? resources->cpu_period_us.value : 100000;
        snprintf(text, sizeof(text), "%s %lld", quota, (long long)period);
        if (v2_text(cgroup, "cpu", "cpu", "cpu.max", "cpu.quota", text, err) < 0)
            return -1;
    }
    if (resources->cpu_burst_us.given &&
        v2_limit_or_max(cgroup, "cpu", "cpu.max.burst", "cpu.burst", resources->cpu_burst_us.value,
                        err) < 0)
        return -1;
    if (resources->cpu_idle.given &&
        v2_limit_or_max(cgroup, "cpu", "cpu.idle", "cpu.idle", resources->cpu_idle.value, err) < 0)
        return -1;
    if ((resources->cpu_rt_runtime_us.given || resources->cpu_rt_period_us.given) &&
        cgroup_find_v1(cgroup, "cpu") == NULL)
        return cgroup_missing("cpu (v1)", "cpu.realtimeRuntime", err);
    if (resources->cpus != NULL &&
        v2_text(cgroup, "cpuset", "cpuset", "cpuset.cpus", "cpu.cpus", resources->cpus, err) < 0)
        return -1;
    return resources->mems == NULL ? 0
                                   : v2_text(cgroup, "cpuset", "cpuset", "cpuset.mems", "cpu.mems",
                                             resources->mems, err);
}

static int v2_block_list(struct cgroup *cgroup, const char *file, const char *key,
                         const struct resources_block_list *list, const char *limit,
                         struct error **err) {
    for (size_t index = 0; index < list->count; index++) {
        char text[128];
        snprintf(text, sizeof(text), "%lld:%lld %s%lld", (long long)list->items[index].major,
                 (long long)list->items[index].minor, key, (long long)list->items[index].value);
        if (v2_text(cgroup, "blkio", "io", file, limit, text, err) < 0)
            return -1;
    }
    return 0;
}

static int v2_limit_block(struct cgroup *cgroup, const struct resources *resources,
                          struct error **err) {
    const struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    bool bfq = v2 != NULL && faccessat(v2->directory_fd, "io.bfq.weight", F_OK, 0) == 0;
    if (resources->block_weight.given) {
        /* Both take [10, 1000]; io.weight, of the iocost controller, wants [1, 10000]. */
        int64_t weight = resources->block_weight.value;
        int64_t wide = 1 + (weight - 10) * 9999 / 990;
        if (v2_limit_or_max(cgroup, cgroup_find_v1(cgroup, "blkio") != NULL ? "blkio" : "io",
                            bfq ? "io.bfq.weight" : "io.weight", "blockIO.weight",
                            bfq ? weight : wide, err) < 0)
            return -1;
    }
    if (v2_block_list(cgroup, "io.bfq.weight", "", &resources->block_weight_devices,
                      "blockIO.weightDevice", err) < 0 ||
        v2_block_list(cgroup, "io.max", "rbps=", &resources->read_bytes, "blockIO throttling",
                      err) < 0 ||
        v2_block_list(cgroup, "io.max", "wbps=", &resources->write_bytes, "blockIO throttling",
                      err) < 0 ||
        v2_block_list(cgroup, "io.max", "riops=", &resources->read_operations, "blockIO throttling",
                      err) < 0)
        return -1;
    return v2_block_list(cgroup, "io.max", "wiops=", &resources->write_operations,
                         "blockIO throttling", err);
}

static int v2_limit_rest(struct cgroup *cgroup, const struct resources *resources,
                         struct error **err) {
    if (resources->pids_limit.given &&
        v2_limit_or_max(cgroup, "pids", "pids.max", "pids.limit",
                        resources->pids_limit.value > 0 ? resources->pids_limit.value : -1,
                        err) < 0)
        return -1;
    for (size_t index = 0; index < resources->huge_page_count; index++) {
        char file[64], text[32];
        snprintf(file, sizeof(file), "hugetlb.%s.max", resources->huge_pages[index].size);
        snprintf(text, sizeof(text), "%llu",
                 (unsigned long long)resources->huge_pages[index].limit);
        if (v2_text(cgroup, "hugetlb", "hugetlb", file, "hugepageLimits", text, err) < 0)
            return -1;
    }
    for (size_t index = 0; index < resources->rdma_count; index++) {
        if (v2_text(cgroup, "rdma", "rdma", "rdma.max", "rdma", resources->rdma[index].value, err) <
            0)
            return -1;
    }
    if (resources->class_id.given && cgroup_find_v1(cgroup, "net_cls") == NULL)
        return cgroup_missing("net_cls", "network.classID", err);
    if (resources->priority_count > 0 && cgroup_find_v1(cgroup, "net_prio") == NULL)
        return cgroup_missing("net_prio", "network.priorities", err);
    return 0;
}

int cgroup_v2_limit_devices(struct cgroup *cgroup, const struct resources *resources,
                            struct error **err) {
    struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    if (cgroup_find_v1(cgroup, "devices") != NULL)
        return 0;
    if (v2 == NULL)
        return resources->devices_given ? cgroup_missing("devices", "devices", err) : 0;
    return cgroup_devices_attach(v2->directory_fd, resources->devices, resources->device_count,
                                 err);
}

static int v2_write_unified(struct cgroup *cgroup, const struct resources *resources,
                            struct error **err) {
    struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    for (size_t index = 0; index < resources->unified_count; index++) {
        const char *file = resources->unified[index].key;
        if (v2 == NULL || faccessat(v2->directory_fd, file, F_OK, 0) < 0)
            return cgroup_missing("v2", file, err);
        if (cgroup_write(v2, file, resources->unified[index].value, err) < 0)
            return -1;
    }
    return 0;
}

int cgroup_v2_limit(struct cgroup *cgroup, const struct resources *resources, struct error **err) {
    if (v2_limit_memory(cgroup, resources, err) < 0 || v2_limit_cpu(cgroup, resources, err) < 0 ||
        v2_limit_block(cgroup, resources, err) < 0 || v2_limit_rest(cgroup, resources, err) < 0)
        return -1;
    return v2_write_unified(cgroup, resources, err);
}
