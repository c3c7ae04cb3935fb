/*
 * What a mark does in the build of the fault tests: see native/common/fault_mark.h. Orders stand in
 * a file that every process maps, shared: the harness writes them in place, and reads what was
 * passed. A process that has pivoted away from the file keeps the mapping of its parent.
 */
#define _GNU_SOURCE
#include "../../../native/common/fault_mark.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define ORDERS "/run/mydock-fault-marks"

enum { LABEL_BYTES = 64, PASSED_MAX = 1000, HOLD_POLL_US = 1000, HOLD_POLLS = 60 * 1000 };

/* The twin is runtime-marks.ts. */
struct orders {
    /* 0 nothing, 'r' write down, 'k' die at the mark, 'h' wait there. */
    _Atomic uint32_t kind;
    /* Which passing of the label is meant, from 1. */
    uint32_t occurrence;
    /* Set when the mark was reached; a process that waits goes on when it is 0 again. */
    _Atomic uint32_t struck;
    _Atomic uint32_t passed_count;
    char label[LABEL_BYTES];
    char passed[PASSED_MAX][LABEL_BYTES];
};

static struct orders *orders;

static void find_orders(void) {
    int fd = open(ORDERS, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    orders = map == MAP_FAILED ? NULL : map;
}

static void wait_for_release(void) {
    for (int i = 0; i < HOLD_POLLS && atomic_load(&orders->struck) != 0; i++)
        usleep(HOLD_POLL_US);
}

/* As process 1 of its namespace it does not hear its own SIGKILL: a fault of the processor ends it
 * all the same. */
static void __attribute__((noreturn)) die(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    kill(getpid(), SIGKILL);
    signal(SIGILL, SIG_DFL);
    __builtin_trap();
}

void fault_mark(const char *label) {
    int saved = errno;
    if (orders == NULL)
        find_orders();
    uint32_t kind = orders == NULL ? 0 : atomic_load(&orders->kind);
    if (kind == 0) {
        errno = saved;
        return;
    }
    uint32_t at = atomic_fetch_add(&orders->passed_count, 1);
    if (at < PASSED_MAX)
        strncpy(orders->passed[at], label, LABEL_BYTES - 1);
    uint32_t occurrence = 0;
    for (uint32_t i = 0; i <= at && i < PASSED_MAX; i++)
        occurrence += strncmp(orders->passed[i], label, LABEL_BYTES) == 0;
    uint32_t free_to_strike = 0;
    if (kind != 'r' && occurrence == orders->occurrence &&
        strncmp(orders->label, label, LABEL_BYTES) == 0 &&
        atomic_compare_exchange_strong(&orders->struck, &free_to_strike, 1)) {
        if (kind == 'k')
            die();
        wait_for_release();
    }
    errno = saved;
}
