/* See scheduling.h; sched(7), ioprio_set(2), sched_setaffinity(2). */
#define _GNU_SOURCE
#include "scheduling.h"
#include "syscalls.h"
#include <errno.h>
#include <string.h>

bool scheduling_is_given(const struct scheduling *scheduling) {
    return scheduling->attributes.size != 0 || scheduling->io_priority >= 0 ||
           scheduling->initial.bytes != 0 || scheduling->final.bytes != 0;
}

int scheduling_apply(const struct scheduling *scheduling, pid_t pid, struct error **err) {
    if (scheduling->attributes.size != 0 && sys_sched_setattr(pid, &scheduling->attributes) < 0)
        return error_setf(err, errno, "scheduler", scheduling->policy,
                          "set process.scheduler to %s: %s", scheduling->policy, strerror(errno));
    if (scheduling->io_priority >= 0 && sys_ioprio_set(pid, scheduling->io_priority) < 0)
        return error_set(err, errno, "set", "process.ioPriority");
    return 0;
}

static int scheduling_set_cpus(const struct scheduling_cpus *cpus, pid_t pid, const char *name,
                               struct error **err) {
    if (cpus->bytes == 0 || sys_sched_setaffinity(pid, cpus->bytes, cpus->mask) >= 0)
        return 0;
    return error_setf(err, errno, "affinity", name, "set %s to %s: %s", name, cpus->text,
                      errno == EINVAL ? "none of these processors may be used" : strerror(errno));
}

int scheduling_run_on(const struct scheduling_cpus *cpus, const char *name, struct error **err) {
    return scheduling_set_cpus(cpus, 0, name, err);
}

int scheduling_widen(const struct scheduling *scheduling, pid_t pid, struct error **err) {
    static const char final[] = "process.execCPUAffinity.final";
    unsigned char all[1024];
    if (scheduling->final.bytes != 0)
        return scheduling_set_cpus(&scheduling->final, pid, final, err);
    if (scheduling->initial.bytes == 0)
        return 0;
    memset(all, 0xff, sizeof(all));
    return sys_sched_setaffinity(pid, sizeof(all), all) < 0 ? error_set(err, errno, "widen", final)
                                                            : 0;
}
