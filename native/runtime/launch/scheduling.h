/*
 * process.scheduler, ioPriority and execCPUAffinity (OCI runtime-spec 1.2, config.md, "Linux
 * Process"): how the kernel shares processors and disks with a process.
 *
 * They are set by the process's parent, which has the power to (CAP_SYS_NICE on the host, which a
 * process in a user namespace has not) and is not in the container's groups; the process waits for
 * SYNC_GO meanwhile.
 */
#ifndef MYDOCK_SCHEDULING_H
#define MYDOCK_SCHEDULING_H

#include "../../common/error.h"
#include "fields.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* struct sched_attr of Linux 3.14, under a name that collides with no header. */
struct sched_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    /* SCHED_DEADLINE: nanoseconds. */
    uint64_t runtime, deadline, period;
};

/* A set of processors as sched_setaffinity(2) takes it; bytes 0: not given. */
struct scheduling_cpus {
    const char *text;
    unsigned char *mask;
    size_t bytes;
};

struct scheduling {
    /* attributes.size 0: not given. */
    struct sched_attributes attributes;
    const char *policy;
    /* As ioprio_set(2) takes it; -1: not given. */
    int io_priority;
    /* For processes that are executed in a running container: the processors before and after they
     * join its groups. */
    struct scheduling_cpus initial, final;
};

/* Reads the three members of a process object. */
int scheduling_read(const struct fields *process, struct scheduling *out, struct error **err);

/* True where scheduling_apply or scheduling_run_on has something to do for an exec. */
bool scheduling_is_given(const struct scheduling *scheduling);

/* Scheduler and I/O priority of a process. */
int scheduling_apply(const struct scheduling *scheduling, pid_t pid, struct error **err);

/* The processors of an executed process, once it is in its groups: final, or, where initial had
 * narrowed them, all that the groups allow. */
int scheduling_widen(const struct scheduling *scheduling, pid_t pid, struct error **err);

/* The caller runs on these from now on. Nothing where they are not given. */
int scheduling_run_on(const struct scheduling_cpus *cpus, const char *name, struct error **err);

#endif
