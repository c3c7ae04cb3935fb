/* Reads linux.resources of config.json. See resources.h. */
#define _GNU_SOURCE
#include "resources.h"
#include <stdio.h>
#include <string.h>

static int resources_number(const struct fields *from, const char *key, int64_t minimum,
                            struct resources_number *out, struct error **err) {
    const int64_t absent = INT64_MIN;
    int64_t value = absent;
    if (fields_number(from, key, minimum, INT64_MAX, &value, err) < 0)
        return -1;
    if (value != absent)
        *out = (struct resources_number){true, value};
    return 0;
}

static int resources_flag(const struct fields *from, const char *key, struct resources_number *out,
                          struct error **err) {
    bool value = false;
    if (fields_flag(from, key, &value, err) < 0)
        return -1;
    const json_t *member = from->object == NULL ? NULL : json_object_get(from->object, key);
    if (json_is_boolean(member))
        *out = (struct resources_number){true, value};
    return 0;
}

static int resources_read_memory(const struct fields *from, struct resources *out,
                                 struct error **err) {
    struct fields memory;
    struct resources_number kernel = {false, 0};
    if (fields_object(from, "memory", &memory, err) < 0 ||
        resources_number(&memory, "limit", -1, &out->memory_limit, err) < 0 ||
        resources_number(&memory, "reservation", -1, &out->memory_reservation, err) < 0 ||
        resources_number(&memory, "swap", -1, &out->memory_swap, err) < 0 ||
        resources_number(&memory, "swappiness", 0, &out->memory_swappiness, err) < 0 ||
        resources_number(&memory, "kernel", -1, &kernel, err) < 0 ||
        resources_number(&memory, "kernelTCP", -1, &out->memory_kernel_tcp, err) < 0 ||
        resources_flag(&memory, "disableOOMKiller", &out->disable_oom_killer, err) < 0 ||
        fields_flag(&memory, "checkBeforeUpdate", &out->check_before_update, err) < 0)
        return -1;
    /* 0 is how callers say that nothing was asked for. */
    struct resources_number *limits[] = {&out->memory_limit, &out->memory_reservation,
                                         &out->memory_swap, &out->memory_kernel_tcp};
    for (size_t index = 0; index < 4; index++)
        limits[index]->given = limits[index]->given && limits[index]->value != 0;
    if (out->memory_swap.given && out->memory_swap.value > 0 && out->memory_limit.given &&
        out->memory_swap.value < out->memory_limit.value)
        return fields_refuse(&memory, "swap", "must not be below limit", err);
    return 0;
}

static int resources_read_cpu(const struct fields *from, struct resources *out,
                              struct error **err) {
    struct fields cpu;
    if (fields_object(from, "cpu", &cpu, err) < 0 ||
        resources_number(&cpu, "shares", 0, &out->cpu_shares, err) < 0 ||
        resources_number(&cpu, "quota", -1, &out->cpu_quota_us, err) < 0 ||
        resources_number(&cpu, "period", 0, &out->cpu_period_us, err) < 0 ||
        resources_number(&cpu, "burst", 0, &out->cpu_burst_us, err) < 0 ||
        resources_number(&cpu, "idle", 0, &out->cpu_idle, err) < 0 ||
        resources_number(&cpu, "realtimeRuntime", -1, &out->cpu_rt_runtime_us, err) < 0 ||
        resources_number(&cpu, "realtimePeriod", 0, &out->cpu_rt_period_us, err) < 0 ||
        fields_text(&cpu, "cpus", &out->cpus, err) < 0 ||
        fields_text(&cpu, "mems", &out->mems, err) < 0)
        return -1;
    out->cpu_shares.given = out->cpu_shares.given && out->cpu_shares.value != 0;
    out->cpu_quota_us.given = out->cpu_quota_us.given && out->cpu_quota_us.value != 0;
    out->cpu_period_us.given = out->cpu_period_us.given && out->cpu_period_us.value != 0;
    out->cpu_burst_us.given = out->cpu_burst_us.given && out->cpu_burst_us.value != 0;
    out->cpu_rt_runtime_us.given =
        out->cpu_rt_runtime_us.given && out->cpu_rt_runtime_us.value != 0;
    out->cpu_rt_period_us.given = out->cpu_rt_period_us.given && out->cpu_rt_period_us.value != 0;
    if (out->cpus != NULL && out->cpus[0] == '\0')
        out->cpus = NULL;
    if (out->mems != NULL && out->mems[0] == '\0')
        out->mems = NULL;
    return 0;
}

static int resources_read_block_list(const struct fields *from, const char *key,
                                     const char *value_key, struct resources_block_list *out,
                                     struct error **err) {
    const json_t *array = NULL;
    if (fields_array(from, key, &array, err) < 0)
        return -1;
    size_t count = array == NULL ? 0 : json_array_size(array);
    out->items = arena_array(from->arena, count + 1, sizeof(*out->items));
    if (out->items == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < count; index++) {
        struct fields entry;
        struct resources_block_device *device = &out->items[index];
        device->major = device->minor = device->value = -1;
        if (fields_element(from, key, array, index, &entry, err) < 0 ||
            fields_number(&entry, "major", 0, UINT32_MAX, &device->major, err) < 0 ||
            fields_number(&entry, "minor", 0, UINT32_MAX, &device->minor, err) < 0 ||
            fields_number(&entry, value_key, 0, INT64_MAX, &device->value, err) < 0)
            return -1;
        if (device->major < 0 || device->minor < 0 || device->value < 0)
            return fields_refuse(&entry, value_key, "needs a value, a major and a minor", err);
    }
    out->count = count;
    return 0;
}

static int resources_read_block(const struct fields *from, struct resources *out,
                                struct error **err) {
    struct fields block;
    if (fields_object(from, "blockIO", &block, err) < 0 ||
        resources_number(&block, "weight", 0, &out->block_weight, err) < 0 ||
        resources_number(&block, "leafWeight", 0, &out->block_leaf_weight, err) < 0)
        return -1;
    out->block_weight.given = out->block_weight.given && out->block_weight.value != 0;
    out->block_leaf_weight.given =
        out->block_leaf_weight.given && out->block_leaf_weight.value != 0;
    if (resources_read_block_list(&block, "weightDevice", "weight", &out->block_weight_devices,
                                  err) < 0 ||
        resources_read_block_list(&block, "throttleReadBpsDevice", "rate", &out->read_bytes, err) <
            0 ||
        resources_read_block_list(&block, "throttleWriteBpsDevice", "rate", &out->write_bytes,
                                  err) < 0 ||
        resources_read_block_list(&block, "throttleReadIOPSDevice", "rate", &out->read_operations,
                                  err) < 0 ||
        resources_read_block_list(&block, "throttleWriteIOPSDevice", "rate", &out->write_operations,
                                  err) < 0)
        return -1;
    return 0;
}

/* The kernel's files are named with KB, MB, GB and a number of at most three digits. */
static int resources_read_huge_pages(const struct fields *from, struct resources *out,
                                     struct error **err) {
    const json_t *array = NULL;
    if (fields_array(from, "hugepageLimits", &array, err) < 0)
        return -1;
    size_t count = array == NULL ? 0 : json_array_size(array);
    out->huge_pages = arena_array(from->arena, count + 1, sizeof(*out->huge_pages));
    if (out->huge_pages == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < count; index++) {
        struct fields entry;
        int64_t limit = 0;
        const char *size = NULL;
        if (fields_element(from, "hugepageLimits", array, index, &entry, err) < 0 ||
            fields_text(&entry, "pageSize", &size, err) < 0 ||
            fields_number(&entry, "limit", INT64_MIN, INT64_MAX, &limit, err) < 0)
            return -1;
        if (size == NULL || strspn(size, "0123456789KMGB") != strlen(size) || size[0] == '\0')
            return fields_refuse(&entry, "pageSize", "must be a size such as 2MB", err);
        out->huge_pages[index] = (struct resources_huge_page){size, (uint64_t)limit};
    }
    out->huge_page_count = count;
    return 0;
}

static int resources_read_network(const struct fields *from, struct resources *out,
                                  struct error **err) {
    struct fields network;
    const json_t *array = NULL;
    if (fields_object(from, "network", &network, err) < 0 ||
        resources_number(&network, "classID", 0, &out->class_id, err) < 0 ||
        fields_array(&network, "priorities", &array, err) < 0)
        return -1;
    out->class_id.given = out->class_id.given && out->class_id.value != 0;
    size_t count = array == NULL ? 0 : json_array_size(array);
    out->priorities = arena_array(from->arena, count + 1, sizeof(*out->priorities));
    if (out->priorities == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < count; index++) {
        struct fields entry;
        int64_t priority = 0;
        const char *name = NULL;
        if (fields_element(&network, "priorities", array, index, &entry, err) < 0 ||
            fields_text(&entry, "name", &name, err) < 0 ||
            fields_number(&entry, "priority", 0, UINT32_MAX, &priority, err) < 0)
            return -1;
        if (name == NULL)
            return fields_refuse(&entry, "name", "is missing", err);
        char *value = arena_format(from->arena, "%lld", (long long)priority);
        if (value == NULL)
            return fields_no_memory(err);
        out->priorities[index] = (struct resources_text_pair){name, value};
    }
    out->priority_count = count;
    return 0;
}

static int resources_read_rdma(const struct fields *from, struct resources *out,
                               struct error **err) {
    struct fields rdma;
    if (fields_object(from, "rdma", &rdma, err) < 0)
        return -1;
    size_t count = rdma.object == NULL ? 0 : json_object_size(rdma.object);
    out->rdma = arena_array(from->arena, count + 1, sizeof(*out->rdma));
    if (out->rdma == NULL)
        return fields_no_memory(err);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)rdma.object, key, value) {
        struct fields entry;
        int64_t handles = -1, objects = -1;
        if (fields_object(&rdma, key, &entry, err) < 0 ||
            fields_number(&entry, "hcaHandles", 0, UINT32_MAX, &handles, err) < 0 ||
            fields_number(&entry, "hcaObjects", 0, UINT32_MAX, &objects, err) < 0)
            return -1;
        char handles_text[24] = "max", objects_text[24] = "max";
        if (handles >= 0)
            snprintf(handles_text, sizeof(handles_text), "%lld", (long long)handles);
        if (objects >= 0)
            snprintf(objects_text, sizeof(objects_text), "%lld", (long long)objects);
        char *line = arena_format(from->arena, "%s hca_handle=%s hca_object=%s", key, handles_text,
                                  objects_text);
        if (line == NULL)
            return fields_no_memory(err);
        out->rdma[out->rdma_count++] = (struct resources_text_pair){key, line};
    }
    return 0;
}

static int resources_read_device_rule(const struct fields *entry,
                                      struct resources_device_rule *rule, struct error **err) {
    const char *type = "a", *access = "rwm";
    int64_t major = -1, minor = -1;
    if (fields_flag(entry, "allow", &rule->allow, err) < 0 ||
        fields_text(entry, "type", &type, err) < 0 ||
        fields_number(entry, "major", -1, UINT32_MAX, &major, err) < 0 ||
        fields_number(entry, "minor", -1, UINT32_MAX, &minor, err) < 0 ||
        fields_text(entry, "access", &access, err) < 0)
        return -1;
    if (type[0] == '\0')
        type = "a";
    if (strlen(type) != 1 || strchr("acb", type[0]) == NULL)
        return fields_refuse(entry, "type", "must be one of a, c, b", err);
    if (access[0] == '\0')
        access = "rwm";
    if (strspn(access, "rwm") != strlen(access))
        return fields_refuse(entry, "access", "must be made of r, w and m", err);
    rule->type = type[0];
    rule->major = major;
    rule->minor = minor;
    rule->read = strchr(access, 'r') != NULL;
    rule->write = strchr(access, 'w') != NULL;
    rule->mknod = strchr(access, 'm') != NULL;
    return 0;
}

/* What every container may use, whatever config.json says (runtime-spec, default devices): any node
 * may be made, the default devices and terminals may be opened. */
static const struct resources_device_rule DEFAULT_RULES[] = {
    {true, 'c', -1, -1, false, false, true}, {true, 'b', -1, -1, false, false, true},
    {true, 'c', 1, 3, true, true, true},     {true, 'c', 1, 5, true, true, true},
    {true, 'c', 1, 7, true, true, true},     {true, 'c', 1, 8, true, true, true},
    {true, 'c', 1, 9, true, true, true},     {true, 'c', 5, 0, true, true, true},
    {true, 'c', 5, 1, true, true, true},     {true, 'c', 5, 2, true, true, true},
    {true, 'c', 136, -1, true, true, true},
};
#define DEFAULT_RULE_COUNT (sizeof(DEFAULT_RULES) / sizeof(DEFAULT_RULES[0]))

static int resources_read_devices(const struct fields *from, struct resources *out,
                                  struct error **err) {
    const json_t *array = NULL;
    if (fields_array(from, "devices", &array, err) < 0)
        return -1;
    size_t count = array == NULL ? 0 : json_array_size(array);
    out->devices = arena_array(from->arena, count + 1 + DEFAULT_RULE_COUNT, sizeof(*out->devices));
    if (out->devices == NULL)
        return fields_no_memory(err);
    /* Nothing is allowed that no rule allows. */
    out->devices[0] = (struct resources_device_rule){false, 'a', -1, -1, true, true, true};
    for (size_t index = 0; index < count; index++) {
        struct fields entry;
        if (fields_element(from, "devices", array, index, &entry, err) < 0 ||
            resources_read_device_rule(&entry, &out->devices[index + 1], err) < 0)
            return -1;
    }
    memcpy(out->devices + count + 1, DEFAULT_RULES, sizeof(DEFAULT_RULES));
    out->device_count = count + 1 + DEFAULT_RULE_COUNT;
    out->devices_given = count > 0;
    return 0;
}

static int resources_read_unified(const struct fields *from, struct resources *out,
                                  struct error **err) {
    struct fields unified;
    if (fields_object(from, "unified", &unified, err) < 0)
        return -1;
    size_t count = unified.object == NULL ? 0 : json_object_size(unified.object);
    out->unified = arena_array(from->arena, count + 1, sizeof(*out->unified));
    if (out->unified == NULL)
        return fields_no_memory(err);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)unified.object, key, value) {
        const char *text = NULL;
        if (fields_text(&unified, key, &text, err) < 0)
            return -1;
        if (text == NULL || key[0] == '\0' || key[0] == '.' || strchr(key, '/') != NULL)
            return fields_refuse(&unified, key, "must be a file of cgroup v2 and a string", err);
        out->unified[out->unified_count++] = (struct resources_text_pair){key, text};
    }
    return 0;
}

int resources_read(const struct fields *from, struct resources *out, struct error **err) {
    struct fields pids;
    if (resources_read_memory(from, out, err) < 0 || resources_read_cpu(from, out, err) < 0 ||
        fields_object(from, "pids", &pids, err) < 0 ||
        resources_number(&pids, "limit", -1, &out->pids_limit, err) < 0 ||
        resources_read_block(from, out, err) < 0 || resources_read_huge_pages(from, out, err) < 0 ||
        resources_read_network(from, out, err) < 0 || resources_read_rdma(from, out, err) < 0 ||
        resources_read_devices(from, out, err) < 0)
        return -1;
    return resources_read_unified(from, out, err);
}
