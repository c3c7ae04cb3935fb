/* Limits on cgroup v2 (the kernel's admin-guide/cgroup-v2). Writes those whose controller no v1
 * hierarchy has, and is the one to say that a controller is missing altogether. See cgroup.h. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "../../common/warn.h"
#include "cgroup.h"
#include "resources_convert.h"
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
    if (hierarchy == NULL || !cgroup_has(hierarchy, file))
        return cgroup_missing(controller, limit, err);
    *out = hierarchy;
    return 0;
}

static int v2_text(struct cgroup *cgroup, const char *v1_controller, const char *controller,
                   const char *file, const char *limit, const char *text, struct error **err) {
    struct cgroup_hierarchy *hierarchy;
    if (v2_target(cgroup, v1_controller, controller, file, limit, &hierarchy, err) < 0)
        return -1;
    return hierarchy == NULL ? 0 : cgroup_set(cgroup, hierarchy, file, text, err);
}

/* A number in which -1 means no limit. */
static int v2_limit_or_max(struct cgroup *cgroup, const char *controller, const char *file,
                           const char *limit, int64_t value, struct error **err) {
    char text[32] = "max";
    if (value >= 0)
        snprintf(text, sizeof(text), "%lld", (long long)value);
    return v2_text(cgroup, controller, controller, file, limit, text, err);
}

/* The spec counts memory and swap together, v2 counts swap alone. */
static int v2_limit_swap(struct cgroup *cgroup, const struct resources *resources,
                         struct error **err) {
    struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    struct resources with_limit = *resources;
    char text[32];
    struct resources_number *limit = &with_limit.memory_limit;
    if (!resources->memory_swap.given) {
        /* Unlimited memory under a limit of swap would not be what was asked for. */
        if (limit->given && limit->value < 0 && v2 != NULL && cgroup_has(v2, "memory.swap.max"))
            return cgroup_set(cgroup, v2, "memory.swap.max", "max", err);
        return 0;
    }
    /* An update may give swap alone: the limit is what it is. */
    if (!limit->given && v2 != NULL &&
        cgroup_read(v2->directory_fd, "memory.max", text, sizeof(text)) == 0 && text[0] != 'm')
        *limit = (struct resources_number){true, strtoll(text, NULL, 10)};
    struct resources_number swap = resources_swap_alone(&with_limit);
    if (!swap.given)
        return error_setf(err, EINVAL, "cgroup", "memory.swap.max",
                          "cannot set memory.swap without memory.limit");
    if (swap.value < -1 || (swap.value < 0 && resources->memory_swap.value >= 0))
        return error_setf(err, EINVAL, "cgroup", "memory.swap.max",
                          "memory.swap must not be below memory.limit");
    /* A host without swap needs no such limit: what is asked for holds there. */
    if (swap.value <= 0 && v2 != NULL && cgroup_has(v2, "memory.max") &&
        !cgroup_has(v2, "memory.swap.max"))
        return 0;
    return v2_limit_or_max(cgroup, "memory", "memory.swap.max", "memory.swap", swap.value, err);
}

static int v2_limit_memory(struct cgroup *cgroup, const struct resources *resources,
                           struct error **err) {
    if (cgroup_find_v1(cgroup, "memory") != NULL)
        return 0;
    if (cgroup_find_v2(cgroup) != NULL &&
        cgroup_check_usage(cgroup_find_v2(cgroup), "memory.current", "memory.max", resources, err) <
            0)
        return -1;
    if (v2_limit_swap(cgroup, resources, err) < 0 ||
        (resources->memory_limit.given &&
         v2_limit_or_max(cgroup, "memory", "memory.max", "memory.limit",
                         resources->memory_limit.value, err) < 0))
        return -1;
    if (resources->memory_reservation.given &&
        v2_limit_or_max(cgroup, "memory", "memory.low", "memory.reservation",
                        resources->memory_reservation.value, err) < 0)
        return -1;
    if (resources->memory_swappiness.given)
        warn("warning: memory.swappiness has no meaning on cgroup v2");
    if (resources->disable_oom_killer.given && resources->disable_oom_killer.value != 0)
        warn("warning: memory.disableOOMKiller has no meaning on cgroup v2");
    if (resources->memory_kernel_tcp.given)
        warn("warning: memory.kernelTCP has no meaning on cgroup v2");
    return 0;
}

static int v2_limit_weight(struct cgroup *cgroup, const struct resources *resources,
                           struct error **err) {
    char text[32];
    /* An idle group takes no weight. */
    bool idle = resources->cpu_idle.given && resources->cpu_idle.value == 1;
    for (int turn = 0; turn < 2; turn++) {
        bool now = (turn == 0) != idle;
        if (resources->cpu_idle.given && now &&
            v2_limit_or_max(cgroup, "cpu", "cpu.idle", "cpu.idle", resources->cpu_idle.value, err) <
                0)
            return -1;
        if (!resources->cpu_shares.given || now)
            continue;
        snprintf(text, sizeof(text), "%lld",
                 (long long)resources_cpu_weight(resources->cpu_shares.value));
        if (v2_text(cgroup, "cpu", "cpu", "cpu.weight", "cpu.shares", text, err) < 0)
            return -1;
    }
    return 0;
}

/* cpu.max holds quota and period: what is not given stays. */
static int v2_limit_quota(struct cgroup *cgroup, const struct resources *resources,
                          struct error **err) {
    struct cgroup_hierarchy *v2;
    struct cgroup_value values[2];
    size_t count = 0;
    const struct resources_number *quota = &resources->cpu_quota_us;
    const struct resources_number *period = &resources->cpu_period_us;
    bool maximum = quota->given || period->given;
    if (!maximum && !resources->cpu_burst_us.given)
        return 0;
    if (v2_target(cgroup, "cpu", "cpu", maximum ? "cpu.max" : "cpu.max.burst",
                  maximum ? "cpu.quota" : "cpu.burst", &v2, err) < 0)
        return -1;
    if (v2 == NULL)
        return 0;
    if (maximum) {
        char text[64], old_quota[32] = "max", new_quota[32] = "max";
        long long old_period = 100000;
        if (cgroup_read(v2->directory_fd, "cpu.max", text, sizeof(text)) == 0)
            sscanf(text, "%31s %lld", old_quota, &old_period);
        if (quota->given && quota->value > 0)
            snprintf(new_quota, sizeof(new_quota), "%lld", (long long)quota->value);
        values[count].file = "cpu.max";
        snprintf(values[count++].text, sizeof(values[0].text), "%s %lld",
                 quota->given ? new_quota : old_quota,
                 period->given ? (long long)period->value : old_period);
    }
    if (resources->cpu_burst_us.given) {
        values[count].file = "cpu.max.burst";
        snprintf(values[count++].text, sizeof(values[0].text), "%lld",
                 (long long)resources->cpu_burst_us.value);
    }
    return cgroup_set_together(cgroup, v2, values, count, err);
}

static int v2_limit_cpu(struct cgroup *cgroup, const struct resources *resources,
                        struct error **err) {
    if (v2_limit_weight(cgroup, resources, err) < 0 || v2_limit_quota(cgroup, resources, err) < 0)
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

static int v2_limit_pids(struct cgroup *cgroup, const struct resources *resources,
                         struct error **err) {
    if (!resources->pids_limit.given)
        return 0;
    return v2_limit_or_max(cgroup, "pids", "pids.max", "pids.limit",
                           resources->pids_limit.value > 0 ? resources->pids_limit.value : -1, err);
}

/* Both what is used and what is reserved by mappings; older kernels count only the first. */
static int v2_limit_huge_pages(struct cgroup *cgroup, const struct resources *resources,
                               struct error **err) {
    const struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    if (cgroup_find_v1(cgroup, "hugetlb") != NULL)
        return 0;
    for (size_t index = 0; index < resources->huge_page_count; index++) {
        const struct resources_huge_page *page = &resources->huge_pages[index];
        char file[64], text[32];
        snprintf(text, sizeof(text), "%llu", (unsigned long long)page->limit);
        snprintf(file, sizeof(file), "hugetlb.%s.max", page->size);
        if (v2_text(cgroup, "hugetlb", "hugetlb", file, "hugepageLimits", text, err) < 0)
            return -1;
        snprintf(file, sizeof(file), "hugetlb.%s.rsvd.max", page->size);
        if (cgroup_has(v2, file) && cgroup_set(cgroup, v2, file, text, err) < 0)
            return -1;
    }
    return 0;
}

static int v2_limit_rest(struct cgroup *cgroup, const struct resources *resources,
                         struct error **err) {
    if (v2_limit_huge_pages(cgroup, resources, err) < 0)
        return -1;
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
        if (v2 == NULL || !cgroup_has(v2, file))
            return cgroup_missing("v2", file, err);
        if (cgroup_set(cgroup, v2, file, resources->unified[index].value, err) < 0)
            return -1;
    }
    return 0;
}

int cgroup_v2_limit(struct cgroup *cgroup, const struct resources *resources, struct error **err) {
    if (v2_limit_memory(cgroup, resources, err) < 0 || v2_limit_cpu(cgroup, resources, err) < 0 ||
        v2_limit_pids(cgroup, resources, err) < 0 ||
        cgroup_v2_limit_block(cgroup, resources, err) < 0 ||
        v2_limit_rest(cgroup, resources, err) < 0)
        return -1;
    return v2_write_unified(cgroup, resources, err);
}
