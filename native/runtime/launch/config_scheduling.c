/* process.scheduler, ioPriority and execCPUAffinity of config.json. See scheduling.h. */
#define _GNU_SOURCE
#include "scheduling.h"
#include <ctype.h>
#include <linux/ioprio.h>
#include <stdlib.h>
#include <string.h>

/* More than any kernel is built for (CONFIG_NR_CPUS). */
#define CPUS_MAX 8192

struct scheduling_name {
    const char *name;
    unsigned value;
};

#define POLICY_NONE UINT32_MAX

/* linux/sched.h. */
static const struct scheduling_name POLICIES[] = {
    {"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},       {"SCHED_BATCH", 3},
    {"SCHED_ISO", 4},   {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6},
};

static const struct scheduling_name FLAGS[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01},  {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},     {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},    {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40},
};

static const struct scheduling_name IO_CLASSES[] = {
    {"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
    {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
    {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
};

static unsigned scheduling_find(const struct scheduling_name *names, size_t count,
                                const char *name) {
    for (size_t index = 0; name != NULL && index < count; index++) {
        if (strcmp(names[index].name, name) == 0)
            return names[index].value;
    }
    return POLICY_NONE;
}
#define FIND(names, name) scheduling_find(names, sizeof(names) / sizeof((names)[0]), name)

static int scheduler_read_flags(const struct fields *from, uint64_t *flags, struct error **err) {
    struct text_list names;
    if (fields_texts(from, "flags", &names, err) < 0)
        return -1;
    for (size_t index = 0; index < names.count; index++) {
        unsigned flag = FIND(FLAGS, names.items[index]);
        if (flag == POLICY_NONE)
            return fields_refuse(from, "flags", "holds an unknown flag", err);
        *flags |= flag;
    }
    return 0;
}

/* Values that the policy does not use would be left out of account by the kernel without a word. */
static int scheduler_check(const struct fields *from, const struct sched_attributes *attributes,
                           struct error **err) {
    bool real_time = attributes->policy == 1 || attributes->policy == 2;
    bool deadline = attributes->policy == 6,
         fair = attributes->policy == 0 || attributes->policy == 3;
    if (attributes->policy == 4)
        return fields_refuse(from, "policy", "SCHED_ISO is not implemented by Linux", err);
    if (attributes->nice != 0 && !fair)
        return fields_refuse(from, "nice", "does not go with the policy", err);
    if (attributes->priority != 0 && !real_time)
        return fields_refuse(from, "priority", "goes with SCHED_FIFO and SCHED_RR only", err);
    if ((attributes->runtime != 0 || attributes->deadline != 0 || attributes->period != 0) &&
        !deadline)
        return fields_refuse(from, "runtime",
                             "goes with SCHED_DEADLINE only, as deadline and "
                             "period do",
                             err);
    return 0;
}

static int scheduler_read(const struct fields *process, struct scheduling *out,
                          struct error **err) {
    struct fields from;
    int64_t nice = 0, priority = 0, runtime = 0, deadline = 0, period = 0;
    struct sched_attributes *attributes = &out->attributes;
    if (fields_object(process, "scheduler", &from, err) < 0)
        return -1;
    if (from.object == NULL)
        return 0;
    if (fields_text(&from, "policy", &out->policy, err) < 0 ||
        fields_number(&from, "nice", -20, 19, &nice, err) < 0 ||
        fields_number(&from, "priority", 0, 99, &priority, err) < 0 ||
        fields_number(&from, "runtime", 0, INT64_MAX, &runtime, err) < 0 ||
        fields_number(&from, "deadline", 0, INT64_MAX, &deadline, err) < 0 ||
        fields_number(&from, "period", 0, INT64_MAX, &period, err) < 0 ||
        scheduler_read_flags(&from, &attributes->flags, err) < 0)
        return -1;
    attributes->policy = FIND(POLICIES, out->policy);
    if (attributes->policy == POLICY_NONE)
        return fields_refuse(&from, "policy", "must be one of sched(7)'s SCHED_ names", err);
    attributes->nice = (int32_t)nice;
    attributes->priority = (uint32_t)priority;
    attributes->runtime = (uint64_t)runtime;
    attributes->deadline = (uint64_t)deadline;
    attributes->period = (uint64_t)period;
    if (scheduler_check(&from, attributes, err) < 0)
        return -1;
    attributes->size = sizeof(*attributes);
    return 0;
}

static int io_priority_read(const struct fields *process, struct scheduling *out,
                            struct error **err) {
    struct fields from;
    const char *class_name = NULL;
    int64_t priority = 0;
    out->io_priority = -1;
    if (fields_object(process, "ioPriority", &from, err) < 0)
        return -1;
    if (from.object == NULL)
        return 0;
    if (fields_text(&from, "class", &class_name, err) < 0 ||
        fields_number(&from, "priority", 0, 7, &priority, err) < 0)
        return -1;
    unsigned class = FIND(IO_CLASSES, class_name);
    if (class == POLICY_NONE)
        return fields_refuse(&from, "class",
                             "must be IOPRIO_CLASS_RT, IOPRIO_CLASS_BE or IOPRIO_CLASS_IDLE", err);
    out->io_priority = (int)(class << IOPRIO_CLASS_SHIFT | (unsigned)priority);
    return 0;
}

/* A decimal number below CPUS_MAX; moves *text behind it. */
static int cpus_number(const char **text) {
    char *end;
    if (!isdigit((unsigned char)**text))
        return -1;
    unsigned long number = strtoul(*text, &end, 10);
    *text = end;
    return number < CPUS_MAX ? (int)number : -1;
}

/* "0-3,7", as in cpuset(7). */
static int cpus_read(const struct fields *from, const char *key, struct scheduling_cpus *out,
                     struct error **err) {
    if (fields_text(from, key, &out->text, err) < 0)
        return -1;
    if (out->text == NULL || out->text[0] == '\0')
        return 0;
    out->mask = arena_array(from->arena, CPUS_MAX / 8, 1);
    if (out->mask == NULL)
        return fields_no_memory(err);
    for (const char *at = out->text;;) {
        at += strspn(at, " ");
        int first = cpus_number(&at), last = first;
        if (*at == '-') {
            at++;
            last = cpus_number(&at);
        }
        at += strspn(at, " ");
        if (first < 0 || last < first || (*at != ',' && *at != '\0'))
            return fields_refuse(from, key, "must be a list of processors such as 0-3,7", err);
        for (int cpu = first; cpu <= last; cpu++)
            out->mask[cpu / 8] = (unsigned char)(out->mask[cpu / 8] | 1U << (cpu % 8));
        if (*at == '\0')
            break;
        at++;
    }
    out->bytes = CPUS_MAX / 8;
    return 0;
}

int scheduling_read(const struct fields *process, struct scheduling *out, struct error **err) {
    struct fields affinity;
    if (scheduler_read(process, out, err) < 0 || io_priority_read(process, out, err) < 0 ||
        fields_object(process, "execCPUAffinity", &affinity, err) < 0 ||
        cpus_read(&affinity, "initial", &out->initial, err) < 0)
        return -1;
    return cpus_read(&affinity, "final", &out->final, err);
}
