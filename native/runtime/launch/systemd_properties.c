/* See systemd_properties.h. */
#define _GNU_SOURCE
#include "systemd_properties.h"
#include "resources_convert.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INFINITE UINT64_MAX
/* Processors and memory nodes that a list may name. */
#define SET_BITS 8192
#define US_PER_SECOND 1000000
/* systemd keeps a quota as whole percents of a processor. */
#define QUOTA_STEP_US 10000

/* The name and the signature of a property's value, of which the caller puts the value next. */
static void property_begin(struct systemd_message *message, const char *name, const char *type) {
    systemd_put_align(message, 8);
    systemd_put_text(message, name);
    systemd_put_signature(message, type);
}

void systemd_property_text(struct systemd_message *message, const char *name, const char *value) {
    property_begin(message, name, "s");
    systemd_put_text(message, value);
}

void systemd_property_flag(struct systemd_message *message, const char *name, bool value) {
    property_begin(message, name, "b");
    systemd_put_flag(message, value);
}

void systemd_property_number(struct systemd_message *message, const char *name, uint64_t value) {
    property_begin(message, name, "t");
    systemd_put_u64(message, value);
}

static void property_limit(struct systemd_message *message, const char *name,
                           const struct resources_number *number) {
    if (number->given)
        systemd_property_number(message, name,
                                number->value < 0 ? INFINITE : (uint64_t)number->value);
}

/* "0-2,7" as bits, the lowest first. What is no list is left to the kernel's file, which refuses
 * it. */
static void property_set(struct systemd_message *message, const char *name, const char *list) {
    unsigned char bits[SET_BITS / 8] = {0};
    size_t used = 0;
    for (const char *part = list; *part != '\0'; part += *part == ',') {
        char *end;
        unsigned long first = strtoul(part, &end, 10), last = first;
        if (end == part)
            return;
        if (*end == '-') {
            part = end + 1;
            last = strtoul(part, &end, 10);
        }
        if (end == part || last >= SET_BITS || first > last || (*end != ',' && *end != '\0'))
            return;
        for (unsigned long bit = first; bit <= last; bit++)
            bits[bit / 8] |= (unsigned char)(1U << bit % 8);
        used = last / 8 + 1 > used ? last / 8 + 1 : used;
        part = end;
    }
    property_begin(message, name, "ay");
    struct systemd_array array = systemd_begin_array(message, 1);
    systemd_put_bytes(message, bits, used);
    systemd_end_array(message, array);
}

static void properties_memory(struct systemd_message *message, const struct cgroup *cgroup,
                              const struct resources *resources) {
    if (cgroup_find_v1(cgroup, "memory") != NULL) {
        property_limit(message, "MemoryLimit", &resources->memory_limit);
        return;
    }
    property_limit(message, "MemoryMax", &resources->memory_limit);
    property_limit(message, "MemoryLow", &resources->memory_reservation);
    struct resources_number swap = resources_swap_alone(resources);
    property_limit(message, "MemorySwapMax", &swap);
}

static void properties_cpu(struct systemd_message *message, const struct cgroup *cgroup,
                           const struct resources *resources) {
    bool v1 = cgroup_find_v1(cgroup, "cpu") != NULL;
    if (resources->cpu_shares.given && v1)
        systemd_property_number(message, "CPUShares", (uint64_t)resources->cpu_shares.value);
    /* An idle group has no weight of its own: systemd's word for it is 0. */
    if (!v1 && resources->cpu_idle.given && resources->cpu_idle.value == 1)
        systemd_property_number(message, "CPUWeight", 0);
    else if (!v1 && resources->cpu_shares.given)
        systemd_property_number(message, "CPUWeight",
                                (uint64_t)resources_cpu_weight(resources->cpu_shares.value));
    if (resources->cpu_period_us.given)
        systemd_property_number(message, "CPUQuotaPeriodUSec",
                                (uint64_t)resources->cpu_period_us.value);
    if (resources->cpu_quota_us.given) {
        uint64_t period =
            resources->cpu_period_us.given ? (uint64_t)resources->cpu_period_us.value : 100000;
        uint64_t each_second = INFINITE;
        if (resources->cpu_quota_us.value > 0 &&
            (uint64_t)resources->cpu_quota_us.value < INFINITE / US_PER_SECOND / 2) {
            each_second = (uint64_t)resources->cpu_quota_us.value * US_PER_SECOND / period;
            each_second = (each_second + QUOTA_STEP_US - 1) / QUOTA_STEP_US * QUOTA_STEP_US;
        }
        systemd_property_number(message, "CPUQuotaPerSecUSec", each_second);
    }
    /* systemd has no words for v1's cpuset. */
    if (cgroup_find_v1(cgroup, "cpuset") != NULL)
        return;
    if (resources->cpus != NULL)
        property_set(message, "AllowedCPUs", resources->cpus);
    if (resources->mems != NULL)
        property_set(message, "AllowedMemoryNodes", resources->mems);
}

/* Files of v2 that systemd writes together with others of the same controller. */
static void properties_unified(struct systemd_message *message, const struct resources *resources) {
    static const char *const names[][2] = {
        {"memory.max", "MemoryMax"},          {"memory.high", "MemoryHigh"},
        {"memory.low", "MemoryLow"},          {"memory.min", "MemoryMin"},
        {"memory.swap.max", "MemorySwapMax"}, {"pids.max", "TasksMax"},
        {"cpu.weight", "CPUWeight"},
    };
    for (size_t index = 0; index < resources->unified_count; index++) {
        const struct resources_text_pair *file = &resources->unified[index];
        for (size_t known = 0; known < sizeof(names) / sizeof(names[0]); known++) {
            char *end;
            unsigned long long number = strtoull(file->value, &end, 10);
            bool all = strcmp(file->value, "max") == 0;
            if (strcmp(file->key, names[known][0]) == 0 &&
                (all || (end != file->value && *end == '\0')))
                systemd_property_number(message, names[known][1], all ? INFINITE : number);
        }
    }
}

void systemd_properties_limits(struct systemd_message *message, const struct cgroup *cgroup,
                               const struct resources *resources) {
    properties_memory(message, cgroup, resources);
    properties_cpu(message, cgroup, resources);
    if (resources->pids_limit.given)
        systemd_property_number(
            message, "TasksMax",
            resources->pids_limit.value > 0 ? (uint64_t)resources->pids_limit.value : INFINITE);
    if (resources->block_weight.given && cgroup_find_v1(cgroup, "blkio") != NULL)
        systemd_property_number(message, "BlockIOWeight", (uint64_t)resources->block_weight.value);
    else if (resources->block_weight.given)
        systemd_property_number(message, "IOWeight",
                                (uint64_t)resources_io_weight(resources->block_weight.value));
    if (cgroup_find_v2(cgroup) != NULL)
        properties_unified(message, resources);
}

/* The name in /proc/devices that stands for all devices of a major number: "char-pts". False where
 * no driver has it. */
static bool device_group(char type, int64_t major, char *out, size_t size) {
    FILE *file = fopen("/proc/devices", "re");
    char line[128], name[96];
    bool section = false, found = false;
    long long number;
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        if (strstr(line, " devices:") != NULL)
            section = line[0] == (type == 'b' ? 'B' : 'C');
        else if (section && sscanf(line, "%lld %95s", &number, name) == 2 && number == major)
            found = true;
    }
    if (file != NULL)
        fclose(file);
    if (found)
        snprintf(out, size, "%s-%s", type == 'b' ? "block" : "char", name);
    return found;
}

/* False where systemd has no name for what the rule allows. */
static bool device_name(const struct resources_device_rule *rule, char *out, size_t size) {
    const char *folder = rule->type == 'b' ? "block" : "char";
    if (rule->major >= 0 && rule->minor >= 0)
        snprintf(out, size, "/dev/%s/%lld:%lld", folder, (long long)rule->major,
                 (long long)rule->minor);
    else if (rule->major >= 0)
        return device_group(rule->type, rule->major, out, size);
    else if (rule->minor < 0)
        snprintf(out, size, "%s-*", folder);
    else
        return false;
    return true;
}

void systemd_properties_devices(struct systemd_message *message,
                                const struct resources *resources) {
    /* What stands before a rule for everything has no meaning any more. */
    size_t first = 0;
    bool open = false;
    for (size_t index = 0; index < resources->device_count; index++) {
        if (resources->devices[index].type == 'a') {
            first = index + 1;
            open = resources->devices[index].allow;
        }
    }
    systemd_property_text(message, "DevicePolicy", open ? "auto" : "strict");
    property_begin(message, "DeviceAllow", "a(ss)");
    struct systemd_array array = systemd_begin_array(message, 8);
    for (size_t index = first; !open && index < resources->device_count; index++) {
        const struct resources_device_rule *rule = &resources->devices[index];
        char name[128], access[4];
        if (!rule->allow || !device_name(rule, name, sizeof(name)))
            continue;
        snprintf(access, sizeof(access), "%s%s%s", rule->read ? "r" : "", rule->write ? "w" : "",
                 rule->mknod ? "m" : "");
        systemd_put_align(message, 8);
        systemd_put_text(message, name);
        systemd_put_text(message, access);
    }
    systemd_end_array(message, array);
}
