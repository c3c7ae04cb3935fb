/* linux.resources of config.json, parsed. Read by resources.c, written by cgroup_v1.c and
 * cgroup_v2.c. */
#ifndef MYDOCK_RESOURCES_H
#define MYDOCK_RESOURCES_H

#include "fields.h"
#include <stdbool.h>
#include <stdint.h>

/* A number that may be absent. */
struct resources_number {
    bool given;
    int64_t value;
};

/* A limit of one block device. */
struct resources_block_device {
    int64_t major, minor;
    /* Bytes or operations a second; of weights: the weight. */
    int64_t value;
};

struct resources_block_list {
    struct resources_block_device *items;
    size_t count;
};

struct resources_device_rule {
    bool allow;
    /* 'a' all, 'b' block, 'c' character. */
    char type;
    /* -1: any. */
    int64_t major, minor;
    bool read, write, mknod;
};

struct resources_huge_page {
    /* As in the kernel's file names: "2MB". */
    const char *size;
    uint64_t limit;
};

struct resources_text_pair {
    const char *key, *value;
};

struct resources {
    /* Bytes; -1: no limit. swap counts memory and swap together. */
    struct resources_number memory_limit, memory_reservation, memory_swap, memory_swappiness;
    /* memory.kernel is read and has no effect, as in all runtimes since the kernel dropped it. */
    struct resources_number memory_kernel_tcp;
    /* 0 or 1. */
    struct resources_number disable_oom_killer;
    /* A limit below what is in use is refused. */
    bool check_before_update;

    struct resources_number cpu_shares, cpu_quota_us, cpu_period_us, cpu_burst_us, cpu_idle;
    struct resources_number cpu_rt_runtime_us, cpu_rt_period_us;
    /* Lists such as "0-1,3"; NULL: all. */
    const char *cpus, *mems;

    /* At most 0: no limit. */
    struct resources_number pids_limit;

    struct resources_number block_weight, block_leaf_weight;
    struct resources_block_list block_weight_devices;
    struct resources_block_list read_bytes, write_bytes, read_operations, write_operations;

    struct resources_huge_page *huge_pages;
    size_t huge_page_count;

    struct resources_number class_id;
    struct resources_text_pair *priorities;
    size_t priority_count;

    struct resources_text_pair *rdma;
    size_t rdma_count;

    /* Rules of config.json in their order, then the ones that every container has. */
    struct resources_device_rule *devices;
    size_t device_count;
    /* False: config.json has no rules; the default ones apply where devices can be controlled at
     * all. */
    bool devices_given;

    /* Files of the v2 hierarchy. */
    struct resources_text_pair *unified;
    size_t unified_count;
};

/* from: linux.resources, which may be absent. */
int resources_read(const struct fields *from, struct resources *out, struct error **err);

#endif
