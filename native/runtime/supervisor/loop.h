/*
 * The supervisor's one event loop: epoll, level-triggered, one event at a time, so that a handler
 * may forget or free any other watch or timer. Single-threaded; every descriptor that is watched is
 * non-blocking.
 */
#ifndef MYDOCK_LOOP_H
#define MYDOCK_LOOP_H

#include "../../common/error.h"
#include <stdbool.h>
#include <stdint.h>

/* A descriptor and who is told of its readiness. The owner keeps it in place while it is watched.
 */
struct watch {
    int fd;
    void (*ready)(struct watch *watch, uint32_t events);
    /* Owned by the loop. */
    uint32_t events;
    bool watched;
};

/* A moment. The owner keeps it in place while it is armed. */
struct timer {
    void (*fire)(struct timer *timer);
    /* Owned by the loop: milliseconds of CLOCK_MONOTONIC. */
    int64_t deadline_ms;
    struct timer *next;
    bool armed;
};

struct loop {
    int epoll_fd;
    struct timer *timers;
};

int loop_open(struct loop *loop, struct error **err);

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t loop_now_ms(void);

/* Watches for EPOLL* events from here on, in place of those watched for before. EPOLLHUP and
 * EPOLLERR are always reported, also for events 0; use loop_forget where they would spin. Returns
 * 0, or -1 with errno set where the descriptor cannot be watched. */
int loop_watch(struct loop *loop, struct watch *watch, uint32_t events);
/* Stops watching; the descriptor stays open. Nothing happens where it is not watched. */
void loop_forget(struct loop *loop, struct watch *watch);
/* Forgets and closes; fd becomes -1. */
void loop_close(struct loop *loop, struct watch *watch);

/* Fires once, delay_ms from now; an armed timer is set anew. */
void loop_arm(struct loop *loop, struct timer *timer, int64_t delay_ms);
void loop_disarm(struct loop *loop, struct timer *timer);

/* Waits for one event or timer, at most timeout_ms (-1: for ever), and runs its handler. True where
 * one ran. */
bool loop_once(struct loop *loop, int64_t timeout_ms);

#endif
