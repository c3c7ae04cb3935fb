/* See oom_watch.h. */
#include "oom_watch.h"
#include "events.h"
#include "supervisor.h"
#include <stddef.h>
#include <sys/epoll.h>

static void oom_ready(struct watch *watch, uint32_t events) {
    struct supervisor *supervisor =
        (struct supervisor *)((char *)watch - offsetof(struct supervisor, oom.watch));
    (void)events;
    oom_watch_check(supervisor);
}

void oom_watch_begin(struct supervisor *supervisor) {
    const struct runtime *runtime = supervisor->runtime;
    struct oom_watch *oom = &supervisor->oom;
    *oom = (struct oom_watch){.watch = {.fd = -1, .ready = oom_ready}};
    oom->cgroup = runtime->operations->cgroup(runtime);
    if (oom->cgroup == NULL)
        return;
    oom->watch.fd = cgroup_oom_watch(oom->cgroup);
    if (oom->watch.fd >= 0 && loop_watch(&supervisor->loop, &oom->watch, EPOLLIN) != 0)
        oom_watch_end(supervisor);
}

void oom_watch_check(struct supervisor *supervisor) {
    struct oom_watch *oom = &supervisor->oom;
    if (oom->cgroup != NULL && oom->watch.fd >= 0 &&
        cgroup_oom_taken(oom->cgroup, oom->watch.fd, &oom->told))
        events_oom(supervisor);
}

void oom_watch_end(struct supervisor *supervisor) {
    struct oom_watch *oom = &supervisor->oom;
    if (oom->cgroup != NULL && oom->watch.fd >= 0)
        loop_close(&supervisor->loop, &oom->watch);
    oom->cgroup = NULL;
}
