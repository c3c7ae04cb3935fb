/* The supervisor's event loop: see loop.h. */
#include "loop.h"
#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

int loop_open(struct loop *loop, struct error **err) {
    loop->timers = NULL;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll_fd < 0 ? error_set(err, errno, "epoll_create1", "") : 0;
}

int64_t loop_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int loop_watch(struct loop *loop, struct watch *watch, uint32_t events) {
    if (watch->watched && watch->events == events)
        return 0;
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int operation = watch->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) != 0)
        return -1;
    watch->watched = true;
    watch->events = events;
    return 0;
}

void loop_forget(struct loop *loop, struct watch *watch) {
    if (!watch->watched)
        return;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->watched = false;
}

void loop_close(struct loop *loop, struct watch *watch) {
    /* An open duplicate of the descriptor (in a child, in the daemon) would keep it in the epoll
     * set: so first out. */
    loop_forget(loop, watch);
    if (watch->fd >= 0)
        close(watch->fd);
    watch->fd = -1;
}

void loop_arm(struct loop *loop, struct timer *timer, int64_t delay_ms) {
    timer->deadline_ms = loop_now_ms() + delay_ms;
    if (timer->armed)
        return;
    timer->armed = true;
    timer->next = loop->timers;
    loop->timers = timer;
}

void loop_disarm(struct loop *loop, struct timer *timer) {
    if (!timer->armed)
        return;
    timer->armed = false;
    for (struct timer **at = &loop->timers; *at != NULL; at = &(*at)->next)
        if (*at == timer) {
            *at = timer->next;
            return;
        }
}

static struct timer *earliest(const struct loop *loop) {
    struct timer *first = loop->timers;
    for (struct timer *at = first; at != NULL; at = at->next)
        if (at->deadline_ms < first->deadline_ms)
            first = at;
    return first;
}

bool loop_once(struct loop *loop, int64_t timeout_ms) {
    struct timer *next = earliest(loop);
    int64_t wait_ms = timeout_ms;
    if (next != NULL) {
        int64_t left_ms = next->deadline_ms - loop_now_ms();
        if (left_ms <= 0) {
            loop_disarm(loop, next);
            next->fire(next);
            return true;
        }
        if (wait_ms < 0 || left_ms < wait_ms)
            wait_ms = left_ms;
    }
    struct epoll_event event;
    int count = epoll_wait(loop->epoll_fd, &event, 1, wait_ms > INT_MAX ? INT_MAX : (int)wait_ms);
    if (count != 1)
        return false;
    struct watch *watch = event.data.ptr;
    watch->ready(watch, event.events);
    return true;
}
