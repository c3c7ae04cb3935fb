/* Limits of block I/O on cgroup v2 (the kernel's admin-guide/cgroup-v2, "IO"). See cgroup.h. */
#define _GNU_SOURCE
#include "cgroup.h"
#include "resources_convert.h"
#include <stdio.h>

/* BFQ's weights have the range of config.json; io.weight, of the iocost controller, is wider. */
struct block_weights {
    const char *file;
    bool wide;
};

static struct block_weights block_weights_of(const struct cgroup_hierarchy *v2) {
    bool bfq = cgroup_has(v2, "io.bfq.weight");
    return (struct block_weights){bfq ? "io.bfq.weight" : "io.weight", !bfq};
}

static int block_weight(struct cgroup *cgroup, const struct cgroup_hierarchy *v2,
                        const char *device, int64_t weight, struct error **err) {
    struct block_weights weights = block_weights_of(v2);
    char text[64];
    if (!cgroup_has(v2, weights.file))
        return cgroup_missing("io weight (BFQ or iocost)", "blockIO.weight", err);
    snprintf(text, sizeof(text), "%s%lld", device,
             (long long)(weights.wide ? resources_io_weight(weight) : weight));
    return cgroup_set(cgroup, v2, weights.file, text, err);
}

static int block_throttle(struct cgroup *cgroup, const struct cgroup_hierarchy *v2, const char *key,
                          const struct resources_block_list *list, struct error **err) {
    for (size_t index = 0; index < list->count; index++) {
        const struct resources_block_device *device = &list->items[index];
        char text[128], rate[32] = "max";
        if (!cgroup_has(v2, "io.max"))
            return cgroup_missing("io", "blockIO throttling", err);
        /* 0: no limit. */
        if (device->value > 0)
            snprintf(rate, sizeof(rate), "%lld", (long long)device->value);
        snprintf(text, sizeof(text), "%lld:%lld %s=%s", (long long)device->major,
                 (long long)device->minor, key, rate);
        if (cgroup_set(cgroup, v2, "io.max", text, err) < 0)
            return -1;
    }
    return 0;
}

static bool block_wanted(const struct resources *resources) {
    return resources->block_weight.given || resources->block_weight_devices.count > 0 ||
           resources->read_bytes.count > 0 || resources->write_bytes.count > 0 ||
           resources->read_operations.count > 0 || resources->write_operations.count > 0;
}

int cgroup_v2_limit_block(struct cgroup *cgroup, const struct resources *resources,
                          struct error **err) {
    const struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    if (cgroup_find_v1(cgroup, "blkio") != NULL || !block_wanted(resources))
        return 0;
    if (v2 == NULL)
        return cgroup_missing("io", "blockIO", err);
    if (resources->block_weight.given &&
        block_weight(cgroup, v2, "", resources->block_weight.value, err) < 0)
        return -1;
    for (size_t index = 0; index < resources->block_weight_devices.count; index++) {
        const struct resources_block_device *device = &resources->block_weight_devices.items[index];
        char name[48];
        snprintf(name, sizeof(name), "%lld:%lld ", (long long)device->major,
                 (long long)device->minor);
        if (block_weight(cgroup, v2, name, device->value, err) < 0)
            return -1;
    }
    if (block_throttle(cgroup, v2, "rbps", &resources->read_bytes, err) < 0 ||
        block_throttle(cgroup, v2, "wbps", &resources->write_bytes, err) < 0 ||
        block_throttle(cgroup, v2, "riops", &resources->read_operations, err) < 0)
        return -1;
    return block_throttle(cgroup, v2, "wiops", &resources->write_operations, err);
}
