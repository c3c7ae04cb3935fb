/*
 * Signals to the init of another runtime. They go through the runtime, whose init may only stand
 * for the container's (a sandbox, a machine), one after the other, so that they arrive in order.
 * See foreign.h.
 */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "../../common/warn.h"
#include "call.h"
#include "foreign.h"
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum { LIMIT_MS = 10 * 1000 };

static void signal_directly(const struct foreign *foreign, int signal) {
    if (foreign_is_child(foreign->init) && kill(foreign->init, signal) != 0)
        warn("kill %d with signal %d: %s", foreign->init, signal, strerror(errno));
}

static int take_first(struct foreign *foreign) {
    int signal = foreign->signals[0];
    foreign->signal_count--;
    memmove(foreign->signals, foreign->signals + 1, foreign->signal_count * sizeof(int));
    return signal;
}

/* The runtime hangs: killed, it counts as one that refused. */
static void limit_over(struct timer *timer) {
    struct foreign *foreign =
        (struct foreign *)((char *)timer - offsetof(struct foreign, signal_limit));
    call_kill(foreign->signaller);
}

static void send_next(struct foreign *foreign) {
    while (foreign->signal_count > 0) {
        char number[16];
        const char *words[] = {foreign->config->id, number, NULL};
        snprintf(number, sizeof(number), "%d", foreign->signals[0]);
        cleanup_free char **arguments = foreign_arguments(foreign, NULL, "kill", words);
        pid_t pid = arguments == NULL ? -1 : call_start(arguments, NULL, NULL);
        if (pid > 0) {
            foreign->signaller = pid;
            foreign->signal_limit.fire = limit_over;
            loop_arm(foreign->loop, &foreign->signal_limit, LIMIT_MS);
            return;
        }
        signal_directly(foreign, take_first(foreign));
    }
}

void foreign_signal(struct runtime *runtime, pid_t init, int signal) {
    struct foreign *foreign = (struct foreign *)runtime;
    foreign->init = init;
    /* SIGKILL overtakes all, and works whatever became of the runtime. */
    if (signal == SIGKILL || foreign->signal_count == FOREIGN_SIGNALS_MAX) {
        signal_directly(foreign, signal);
        return;
    }
    foreign->signals[foreign->signal_count++] = signal;
    if (foreign->signaller == 0)
        send_next(foreign);
}

bool foreign_signal_reaped(struct foreign *foreign, pid_t pid, int wait_status) {
    if (pid != foreign->signaller)
        return false;
    loop_disarm(foreign->loop, &foreign->signal_limit);
    foreign->signaller = 0;
    int signal = take_first(foreign);
    if (wait_status != 0)
        signal_directly(foreign, signal);
    send_next(foreign);
    return true;
}

void foreign_signal_abandon(struct foreign *foreign) {
    loop_disarm(foreign->loop, &foreign->signal_limit);
    if (foreign->signaller == 0)
        return;
    call_kill(foreign->signaller);
    while (waitpid(foreign->signaller, NULL, 0) < 0 && errno == EINTR)
        continue;
}
