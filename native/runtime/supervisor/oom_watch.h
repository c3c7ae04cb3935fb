/*
 * Tells the daemon, by the event OOM, when the container's memory has run out: at once, and
 * whichever of its processes pays for it. A host that cannot tell sends no such events; the exit
 * record says it all the same.
 */
#ifndef MYDOCK_OOM_WATCH_H
#define MYDOCK_OOM_WATCH_H

#include "../launch/cgroup.h"
#include "loop.h"

struct oom_watch {
    struct watch watch;
    const struct cgroup *cgroup;
    /* Of cgroup_oom_taken. */
    long told;
};

struct supervisor;

/* After the container's groups were made. */
void oom_watch_begin(struct supervisor *supervisor);
/* Sends what is not told yet: before the end that follows from it is told. */
void oom_watch_check(struct supervisor *supervisor);
/* Before the groups are removed. May be called at any time. */
void oom_watch_end(struct supervisor *supervisor);

#endif
