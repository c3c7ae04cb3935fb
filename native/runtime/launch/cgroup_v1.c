/* Limits on cgroup v1 (the kernel's admin-guide/cgroup-v1). See cgroup.h. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cgroup_v1_inherit_cpuset(int parent_fd, int directory_fd, const char *name,
                             struct error **err) {
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t index = 0; index < 2; index++) {
        char own[512], inherited[512];
        if (cgroup_read(directory_fd, files[index], own, sizeof(own)) == 0 && own[0] != '\0')
            continue;
        struct cgroup_hierarchy group = {.directory = (char *)name, .directory_fd = directory_fd};
        if (cgroup_read(parent_fd, files[index], inherited, sizeof(inherited)) < 0)
            return error_set(err, errno, "read the parent's cpuset of", name);
        if (cgroup_write(&group, files[index], inherited, err) < 0)
            return -1;
    }
    return 0;
}

/* One limit: where the controller is on v1 it is written there, where v2 has it cgroup_v2.c does.
 */
static int v1_number(struct cgroup *cgroup, const char *controller, const char *file,
                     const struct resources_number *number, struct error **err) {
    const struct cgroup_hierarchy *hierarchy = cgroup_find_v1(cgroup, controller);
    if (!number->given || hierarchy == NULL)
        return 0;
    return cgroup_set_number(cgroup, hierarchy, file, number->value, err);
}

/* Adds a value to those that are written together. */
static void v1_add(struct cgroup_value *values, size_t *count, const char *file,
                   const struct resources_number *number) {
    if (!number->given)
        return;
    values[*count].file = file;
    snprintf(values[*count].text, sizeof(values[*count].text), "%lld", (long long)number->value);
    *count += 1;
}

static int v1_limit_memory(struct cgroup *cgroup, const struct resources *resources,
                           struct error **err) {
    struct cgroup_hierarchy *memory = cgroup_find_v1(cgroup, "memory");
    struct cgroup_value together[2];
    struct resources_number swap = resources->memory_swap;
    size_t count = 0;
    if (memory == NULL)
        return 0;
    bool accounted = cgroup_has(memory, "memory.memsw.limit_in_bytes");
    if (swap.given && !accounted)
        return cgroup_missing("memory (swap accounting)", "memory.swap", err);
    /* Unlimited memory under a limit of memory and swap is no such thing. */
    if (!swap.given && accounted && resources->memory_limit.given &&
        resources->memory_limit.value < 0)
        swap = (struct resources_number){true, -1};
    if (cgroup_check_usage(memory, "memory.usage_in_bytes", "memory.limit_in_bytes", resources,
                           err) < 0)
        return -1;
    /* Memory and swap together may not be below memory alone. */
    v1_add(together, &count, "memory.limit_in_bytes", &resources->memory_limit);
    v1_add(together, &count, "memory.memsw.limit_in_bytes", &swap);
    if (cgroup_set_together(cgroup, memory, together, count, err) < 0 ||
        v1_number(cgroup, "memory", "memory.soft_limit_in_bytes", &resources->memory_reservation,
                  err) < 0 ||
        v1_number(cgroup, "memory", "memory.kmem.tcp.limit_in_bytes", &resources->memory_kernel_tcp,
                  err) < 0 ||
        v1_number(cgroup, "memory", "memory.swappiness", &resources->memory_swappiness, err) < 0)
        return -1;
    return v1_number(cgroup, "memory", "memory.oom_control", &resources->disable_oom_killer, err);
}

static int v1_limit_cpu(struct cgroup *cgroup, const struct resources *resources,
                        struct error **err) {
    const struct cgroup_hierarchy *cpu = cgroup_find_v1(cgroup, "cpu");
    const struct cgroup_hierarchy *cpuset = cgroup_find_v1(cgroup, "cpuset");
    struct cgroup_value quota[3], realtime[2];
    size_t quotas = 0, realtimes = 0;
    v1_add(quota, &quotas, "cpu.cfs_period_us", &resources->cpu_period_us);
    v1_add(quota, &quotas, "cpu.cfs_quota_us", &resources->cpu_quota_us);
    v1_add(quota, &quotas, "cpu.cfs_burst_us", &resources->cpu_burst_us);
    v1_add(realtime, &realtimes, "cpu.rt_period_us", &resources->cpu_rt_period_us);
    v1_add(realtime, &realtimes, "cpu.rt_runtime_us", &resources->cpu_rt_runtime_us);
    /* An idle group takes no shares. */
    bool idle = resources->cpu_idle.given && resources->cpu_idle.value == 1;
    if (cpu != NULL &&
        ((!idle && v1_number(cgroup, "cpu", "cpu.idle", &resources->cpu_idle, err) < 0) ||
         v1_number(cgroup, "cpu", "cpu.shares", &resources->cpu_shares, err) < 0 ||
         (idle && v1_number(cgroup, "cpu", "cpu.idle", &resources->cpu_idle, err) < 0) ||
         cgroup_set_together(cgroup, cpu, quota, quotas, err) < 0 ||
         cgroup_set_together(cgroup, cpu, realtime, realtimes, err) < 0))
        return -1;
    if (cpuset != NULL && resources->cpus != NULL &&
        cgroup_set(cgroup, cpuset, "cpuset.cpus", resources->cpus, err) < 0)
        return -1;
    if (cpuset != NULL && resources->mems != NULL)
        return cgroup_set(cgroup, cpuset, "cpuset.mems", resources->mems, err);
    return 0;
}

static int v1_limit_pids(struct cgroup *cgroup, const struct resources *resources,
                         struct error **err) {
    const struct cgroup_hierarchy *pids = cgroup_find_v1(cgroup, "pids");
    if (pids == NULL || !resources->pids_limit.given)
        return 0;
    if (resources->pids_limit.value <= 0)
        return cgroup_set(cgroup, pids, "pids.max", "max", err);
    return cgroup_set_number(cgroup, pids, "pids.max", resources->pids_limit.value, err);
}

static int v1_block_list(struct cgroup *cgroup, const struct cgroup_hierarchy *blkio,
                         const char *file, const struct resources_block_list *list,
                         struct error **err) {
    for (size_t index = 0; index < list->count; index++) {
        char text[96];
        snprintf(text, sizeof(text), "%lld:%lld %lld", (long long)list->items[index].major,
                 (long long)list->items[index].minor, (long long)list->items[index].value);
        if (cgroup_set(cgroup, blkio, file, text, err) < 0)
            return -1;
    }
    return 0;
}

static int v1_limit_block(struct cgroup *cgroup, const struct resources *resources,
                          struct error **err) {
    const struct cgroup_hierarchy *blkio = cgroup_find_v1(cgroup, "blkio");
    if (blkio == NULL)
        return 0;
    /* Weights are the I/O scheduler's: since CFQ went they are BFQ's, and its files carry its name.
     */
    bool bfq = !cgroup_has(blkio, "blkio.weight");
    if (bfq && !cgroup_has(blkio, "blkio.bfq.weight") &&
        (resources->block_weight.given || resources->block_weight_devices.count > 0))
        return cgroup_missing("blkio weight (BFQ)", "blockIO.weight", err);
    if (v1_number(cgroup, "blkio", bfq ? "blkio.bfq.weight" : "blkio.weight",
                  &resources->block_weight, err) < 0 ||
        v1_number(cgroup, "blkio", "blkio.leaf_weight", &resources->block_leaf_weight, err) < 0 ||
        v1_block_list(cgroup, blkio, bfq ? "blkio.bfq.weight_device" : "blkio.weight_device",
                      &resources->block_weight_devices, err) < 0 ||
        v1_block_list(cgroup, blkio, "blkio.throttle.read_bps_device", &resources->read_bytes,
                      err) < 0 ||
        v1_block_list(cgroup, blkio, "blkio.throttle.write_bps_device", &resources->write_bytes,
                      err) < 0 ||
        v1_block_list(cgroup, blkio, "blkio.throttle.read_iops_device", &resources->read_operations,
                      err) < 0)
        return -1;
    return v1_block_list(cgroup, blkio, "blkio.throttle.write_iops_device",
                         &resources->write_operations, err);
}

static void v1_device_rule(const struct resources_device_rule *rule, char text[80]) {
    char major[24] = "*", minor[24] = "*";
    if (rule->major >= 0)
        snprintf(major, sizeof(major), "%lld", (long long)rule->major);
    if (rule->minor >= 0)
        snprintf(minor, sizeof(minor), "%lld", (long long)rule->minor);
    if (rule->type == 'a')
        strcpy(text, "a");
    else
        snprintf(text, 80, "%c %s:%s %s%s%s", rule->type, major, minor, rule->read ? "r" : "",
                 rule->write ? "w" : "", rule->mknod ? "m" : "");
}

int cgroup_v1_limit_devices(struct cgroup *cgroup, const struct resources *resources,
                            struct error **err) {
    const struct cgroup_hierarchy *devices = cgroup_find_v1(cgroup, "devices");
    if (devices == NULL)
        return 0;
    cleanup_close int allow = openat(devices->directory_fd, "devices.allow", O_WRONLY | O_CLOEXEC);
    cleanup_close int deny = openat(devices->directory_fd, "devices.deny", O_WRONLY | O_CLOEXEC);
    if (allow < 0 || deny < 0)
        return error_set(err, errno, "open the device rules of", devices->directory);
    for (size_t index = 0; index < resources->device_count; index++) {
        char text[80];
        v1_device_rule(&resources->devices[index], text);
        if (write(resources->devices[index].allow ? allow : deny, text, strlen(text)) < 0)
            return error_setf(err, errno, "cgroup", text, "write the device rule \"%s\" to %s: %s",
                              text, devices->directory, strerror(errno));
    }
    return 0;
}

/* Both what is used and what is reserved by mappings; older kernels count only the first. */
static int v1_limit_huge_pages(struct cgroup *cgroup, const struct resources *resources,
                               struct error **err) {
    static const char *const names[] = {"hugetlb.%s.limit_in_bytes",
                                        "hugetlb.%s.rsvd.limit_in_bytes"};
    const struct cgroup_hierarchy *hugetlb = cgroup_find_v1(cgroup, "hugetlb");
    for (size_t index = 0; hugetlb != NULL && index < resources->huge_page_count; index++) {
        const struct resources_huge_page *page = &resources->huge_pages[index];
        for (size_t kind = 0; kind < 2; kind++) {
            char file[64], text[32];
            snprintf(file, sizeof(file), kind == 0 ? names[0] : names[1], page->size);
            snprintf(text, sizeof(text), "%llu", (unsigned long long)page->limit);
            if ((kind == 0 || cgroup_has(hugetlb, file)) &&
                cgroup_set(cgroup, hugetlb, file, text, err) < 0)
                return -1;
        }
    }
    return 0;
}

static int v1_limit_rest(struct cgroup *cgroup, const struct resources *resources,
                         struct error **err) {
    if (v1_limit_huge_pages(cgroup, resources, err) < 0 ||
        v1_number(cgroup, "net_cls", "net_cls.classid", &resources->class_id, err) < 0)
        return -1;
    const struct cgroup_hierarchy *hierarchy = cgroup_find_v1(cgroup, "net_prio");
    for (size_t index = 0; hierarchy != NULL && index < resources->priority_count; index++) {
        char text[128];
        snprintf(text, sizeof(text), "%s %s", resources->priorities[index].key,
                 resources->priorities[index].value);
        if (cgroup_set(cgroup, hierarchy, "net_prio.ifpriomap", text, err) < 0)
            return -1;
    }
    hierarchy = cgroup_find_v1(cgroup, "rdma");
    for (size_t index = 0; hierarchy != NULL && index < resources->rdma_count; index++) {
        if (cgroup_set(cgroup, hierarchy, "rdma.max", resources->rdma[index].value, err) < 0)
            return -1;
    }
    return 0;
}

int cgroup_v1_limit(struct cgroup *cgroup, const struct resources *resources, struct error **err) {
    if (v1_limit_memory(cgroup, resources, err) < 0 || v1_limit_cpu(cgroup, resources, err) < 0 ||
        v1_limit_pids(cgroup, resources, err) < 0 || v1_limit_block(cgroup, resources, err) < 0)
        return -1;
    return v1_limit_rest(cgroup, resources, err);
}
