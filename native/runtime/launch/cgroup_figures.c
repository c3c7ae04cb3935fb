/* What a container's control groups have used and may use, in the words of runc's
 * `events --stats`. See cgroup.h. */
#define _GNU_SOURCE
#include "cgroup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longer than memory.stat, and than io.stat of some hundred devices. */
#define FILE_SIZE_MAX 65536
/* USER_HZ is 100 on every architecture that is supported here. */
#define TICK_NS 10000000

struct figures {
    const struct cgroup *cgroup;
    char text[FILE_SIZE_MAX];
};

/* The file's text, NULL where it cannot be read; valid until the next call. */
static char *figures_text(struct figures *figures, const struct cgroup_hierarchy *hierarchy,
                          const char *file) {
    if (hierarchy == NULL || hierarchy->directory_fd < 0 ||
        cgroup_read(hierarchy->directory_fd, file, figures->text, sizeof(figures->text)) < 0)
        return NULL;
    return figures->text;
}

/* False where there is no such number: the file is missing or says "max". */
static bool figures_number(struct figures *figures, const struct cgroup_hierarchy *hierarchy,
                           const char *file, uint64_t *out) {
    const char *text = figures_text(figures, hierarchy, file);
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    *out = strtoull(text, NULL, 10);
    return true;
}

/* Numbers above what JSON integers hold are v1's way to say that there is no limit. */
static void figures_set(json_t *object, const char *key, uint64_t value) {
    json_object_set_new(object, key,
                        json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

static void figures_copy(struct figures *figures, const struct cgroup_hierarchy *hierarchy,
                         const char *file, json_t *object, const char *key) {
    uint64_t value;
    if (figures_number(figures, hierarchy, file, &value))
        figures_set(object, key, value);
}

/* "name value" lines. */
static json_t *figures_keyed(struct figures *figures, const struct cgroup_hierarchy *hierarchy,
                             const char *file) {
    json_t *object = json_object();
    char *position = NULL, *text = figures_text(figures, hierarchy, file);
    for (char *line = text == NULL ? NULL : strtok_r(text, "\n", &position); line != NULL;
         line = strtok_r(NULL, "\n", &position)) {
        char *space = strchr(line, ' ');
        if (space == NULL || space[1] < '0' || space[1] > '9')
            continue;
        *space = '\0';
        figures_set(object, line, strtoull(space + 1, NULL, 10));
    }
    return object;
}

static uint64_t figures_get(const json_t *object, const char *key) {
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static json_t *figures_per_cpu(struct figures *figures, const struct cgroup_hierarchy *hierarchy) {
    json_t *list = json_array();
    char *position = NULL, *text = figures_text(figures, hierarchy, "cpuacct.usage_percpu");
    for (char *word = text == NULL ? NULL : strtok_r(text, " ", &position); word != NULL;
         word = strtok_r(NULL, " ", &position))
        json_array_append_new(list, json_integer(strtoll(word, NULL, 10)));
    return list;
}

static json_t *figures_throttling(const json_t *stat, const char *time, uint64_t unit_ns) {
    json_t *throttling = json_object();
    figures_set(throttling, "periods", figures_get(stat, "nr_periods"));
    figures_set(throttling, "throttledPeriods", figures_get(stat, "nr_throttled"));
    figures_set(throttling, "throttledTime", figures_get(stat, time) * unit_ns);
    return throttling;
}

static void figures_cpu(struct figures *figures, json_t *data) {
    const struct cgroup_hierarchy *account = cgroup_find_v1(figures->cgroup, "cpuacct");
    json_t *usage = json_object(), *throttling;
    if (account != NULL) {
        json_t *split = figures_keyed(figures, account, "cpuacct.stat");
        json_t *stat = figures_keyed(figures, cgroup_find_v1(figures->cgroup, "cpu"), "cpu.stat");
        figures_copy(figures, account, "cpuacct.usage", usage, "total");
        json_object_set_new(usage, "percpu", figures_per_cpu(figures, account));
        figures_set(usage, "kernel", figures_get(split, "system") * TICK_NS);
        figures_set(usage, "user", figures_get(split, "user") * TICK_NS);
        throttling = figures_throttling(stat, "throttled_time", 1);
        json_decref(split);
        json_decref(stat);
    } else {
        json_t *stat = figures_keyed(figures, cgroup_find_v2(figures->cgroup), "cpu.stat");
        figures_set(usage, "total", figures_get(stat, "usage_usec") * 1000);
        figures_set(usage, "kernel", figures_get(stat, "system_usec") * 1000);
        figures_set(usage, "user", figures_get(stat, "user_usec") * 1000);
        throttling = figures_throttling(stat, "throttled_usec", 1000);
        json_decref(stat);
    }
    json_object_set_new(data, "cpu",
                        json_pack("{s:o,s:o}", "usage", usage, "throttling", throttling));
}

/* One counter of v1: memory, memory and swap, kernel memory. */
static void figures_memory_v1(struct figures *figures, const char *kind, json_t *memory,
                              const char *key) {
    static const char *const names[][2] = {{"limit_in_bytes", "limit"},
                                           {"usage_in_bytes", "usage"},
                                           {"max_usage_in_bytes", "max"},
                                           {"failcnt", "failcnt"}};
    const struct cgroup_hierarchy *v1 = cgroup_find_v1(figures->cgroup, "memory");
    json_t *entry = json_object();
    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        char file[64];
        snprintf(file, sizeof(file), "memory.%s%s", kind, names[index][0]);
        figures_copy(figures, v1, file, entry, names[index][1]);
    }
    if (json_object_size(entry) > 0)
        json_object_set(memory, key, entry);
    json_decref(entry);
}

/* Counted apart on v2; runc's figures have memory and swap together, as v1 does. */
static void figures_memory_v2(struct figures *figures, json_t *memory) {
    const struct cgroup_hierarchy *v2 = cgroup_find_v2(figures->cgroup);
    json_t *usage = json_object(), *swap = json_object();
    uint64_t used, limit, swapped;
    figures_copy(figures, v2, "memory.current", usage, "usage");
    figures_copy(figures, v2, "memory.peak", usage, "max");
    bool limited = figures_number(figures, v2, "memory.max", &limit);
    figures_set(usage, "limit", limited ? limit : UINT64_MAX);
    json_t *events = figures_keyed(figures, v2, "memory.events");
    figures_set(usage, "failcnt", figures_get(events, "max"));
    json_decref(events);
    if (figures_number(figures, v2, "memory.swap.current", &swapped) &&
        figures_number(figures, v2, "memory.current", &used)) {
        figures_set(swap, "usage", used + swapped);
        bool bound = limited && figures_number(figures, v2, "memory.swap.max", &swapped);
        figures_set(swap, "limit", bound ? limit + swapped : UINT64_MAX);
    }
    json_object_set_new(memory, "usage", usage);
    if (json_object_size(swap) > 0)
        json_object_set(memory, "swap", swap);
    json_decref(swap);
}

static void figures_memory(struct figures *figures, json_t *data) {
    const struct cgroup_hierarchy *v1 = cgroup_find_v1(figures->cgroup, "memory");
    const struct cgroup_hierarchy *v2 = cgroup_find_v2(figures->cgroup);
    if (v1 == NULL && figures_text(figures, v2, "memory.current") == NULL)
        return;
    json_t *memory = json_object();
    json_t *raw = figures_keyed(figures, v1 != NULL ? v1 : v2, "memory.stat");
    figures_set(memory, "cache", figures_get(raw, v1 != NULL ? "cache" : "file"));
    json_object_set_new(memory, "raw", raw);
    if (v1 != NULL) {
        figures_memory_v1(figures, "", memory, "usage");
        figures_memory_v1(figures, "memsw.", memory, "swap");
        figures_memory_v1(figures, "kmem.", memory, "kernel");
        figures_memory_v1(figures, "kmem.tcp.", memory, "kernelTCP");
    } else {
        figures_memory_v2(figures, memory);
    }
    json_object_set_new(data, "memory", memory);
}

static void figures_pids(struct figures *figures, json_t *data) {
    const struct cgroup_hierarchy *from = cgroup_find_v1(figures->cgroup, "pids");
    json_t *pids = json_object();
    from = from != NULL ? from : cgroup_find_v2(figures->cgroup);
    figures_copy(figures, from, "pids.current", pids, "current");
    figures_copy(figures, from, "pids.max", pids, "limit");
    json_object_set_new(data, "pids", pids);
}

static void figures_block_entry(json_t *list, unsigned major, unsigned minor, const char *operation,
                                uint64_t value) {
    json_t *entry =
        json_pack("{s:i,s:i,s:s}", "major", (int)major, "minor", (int)minor, "op", operation);
    figures_set(entry, "value", value);
    json_array_append_new(list, entry);
}

/* "8:0 Read 4096" lines; the totals over all devices are left out. */
static json_t *figures_block_v1(struct figures *figures, const char *name) {
    static const char *const prefixes[] = {"blkio.bfq", "blkio.throttle"};
    json_t *list = json_array();
    for (size_t index = 0; index < 2 && json_array_size(list) == 0; index++) {
        char file[96], operation[32], *position = NULL;
        unsigned major, minor;
        uint64_t value;
        snprintf(file, sizeof(file), "%s.%s", prefixes[index], name);
        char *text = figures_text(figures, cgroup_find_v1(figures->cgroup, "blkio"), file);
        for (char *line = text == NULL ? NULL : strtok_r(text, "\n", &position); line != NULL;
             line = strtok_r(NULL, "\n", &position)) {
            if (sscanf(line, "%u:%u %31s %" SCNu64, &major, &minor, operation, &value) == 4)
                figures_block_entry(list, major, minor, operation, value);
        }
    }
    return list;
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …" lines. */
static void figures_block_v2(struct figures *figures, json_t *bytes, json_t *operations) {
    static const struct {
        const char *key, *operation;
        bool bytes;
    } names[] = {{"rbytes=", "Read", true},
                 {"wbytes=", "Write", true},
                 {"rios=", "Read", false},
                 {"wios=", "Write", false}};
    char *position = NULL,
         *text = figures_text(figures, cgroup_find_v2(figures->cgroup), "io.stat");
    for (char *line = text == NULL ? NULL : strtok_r(text, "\n", &position); line != NULL;
         line = strtok_r(NULL, "\n", &position)) {
        unsigned major, minor;
        if (sscanf(line, "%u:%u", &major, &minor) != 2)
            continue;
        for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
            const char *found = strstr(line, names[index].key);
            if (found != NULL)
                figures_block_entry(names[index].bytes ? bytes : operations, major, minor,
                                    names[index].operation,
                                    strtoull(found + strlen(names[index].key), NULL, 10));
        }
    }
}

static void figures_block(struct figures *figures, json_t *data) {
    json_t *bytes, *operations;
    if (cgroup_find_v1(figures->cgroup, "blkio") != NULL) {
        bytes = figures_block_v1(figures, "io_service_bytes_recursive");
        operations = figures_block_v1(figures, "io_serviced_recursive");
    } else {
        bytes = json_array();
        operations = json_array();
        figures_block_v2(figures, bytes, operations);
    }
    json_object_set_new(data, "blkio",
                        json_pack("{s:o,s:o}", "ioServiceBytesRecursive", bytes,
                                  "ioServicedRecursive", operations));
}

/* One entry a page size of the machine: "hugetlb.2MB.usage_in_bytes", or "hugetlb.2MB.current". */
static void figures_huge_pages(struct figures *figures, json_t *data) {
    const struct cgroup_hierarchy *v1 = cgroup_find_v1(figures->cgroup, "hugetlb");
    const struct cgroup_hierarchy *from = v1 != NULL ? v1 : cgroup_find_v2(figures->cgroup);
    json_t *sizes = json_object();
    int fd =
        from == NULL ? -1 : openat(from->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL && fd >= 0)
        close(fd);
    const char *usage = v1 != NULL ? ".usage_in_bytes" : ".current";
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char size[32], file[96];
        const char *end = strstr(entry->d_name, usage);
        if (strncmp(entry->d_name, "hugetlb.", 8) != 0 || end == NULL || strcmp(end, usage) != 0 ||
            end - entry->d_name - 8 >= (ptrdiff_t)sizeof(size))
            continue;
        snprintf(size, sizeof(size), "%.*s", (int)(end - entry->d_name - 8), entry->d_name + 8);
        if (strchr(size, '.') != NULL) /* The reservations: "2MB.rsvd". */
            continue;
        json_t *page = json_object();
        figures_copy(figures, from, entry->d_name, page, "usage");
        if (v1 != NULL) {
            snprintf(file, sizeof(file), "hugetlb.%s.max_usage_in_bytes", size);
            figures_copy(figures, from, file, page, "max");
            snprintf(file, sizeof(file), "hugetlb.%s.failcnt", size);
            figures_copy(figures, from, file, page, "failcnt");
        } else {
            snprintf(file, sizeof(file), "hugetlb.%s.events", size);
            json_t *events = figures_keyed(figures, from, file);
            figures_set(page, "failcnt", figures_get(events, "max"));
            json_decref(events);
        }
        json_object_set_new(sizes, size, page);
    }
    if (directory != NULL)
        closedir(directory);
    json_object_set_new(data, "hugetlb", sizes);
}

json_t *cgroup_figures(const struct cgroup *cgroup, struct error **err) {
    struct figures *figures = calloc(1, sizeof(*figures));
    json_t *data = json_object();
    if (figures == NULL || data == NULL) {
        free(figures);
        json_decref(data);
        fields_no_memory(err);
        return NULL;
    }
    figures->cgroup = cgroup;
    figures_cpu(figures, data);
    figures_memory(figures, data);
    figures_pids(figures, data);
    figures_block(figures, data);
    figures_huge_pages(figures, data);
    free(figures);
    return data;
}
