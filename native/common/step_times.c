/* Times of marks, in memory that forked processes share: see step_times.h. */
#define _GNU_SOURCE
#include "step_times.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct shared_times {
    atomic_uint count;
    struct step_time times[STEP_TIMES_MAX];
};

_Static_assert(sizeof(struct shared_times) <= 4096, "the times fill no more than a page");

static struct shared_times *shared;

void step_times_begin(void) {
    if (getenv("MYDOCK_STEP_TIMES") == NULL)
        return;
    unsetenv("MYDOCK_STEP_TIMES");
    void *memory =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED)
        shared = memory;
}

void step_times_mark(const char *label) {
    if (shared == NULL)
        return;
    unsigned index = atomic_fetch_add(&shared->count, 1);
    if (index >= STEP_TIMES_MAX) {
        atomic_store(&shared->count, STEP_TIMES_MAX);
        return;
    }
    /* The clock is read without a system call, and fails for no known one. */
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    shared->times[index] = (struct step_time){
        label, getpid(), (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000};
}

unsigned step_times_take(struct step_time *out) {
    if (shared == NULL)
        return 0;
    unsigned count = atomic_load(&shared->count);
    if (count > STEP_TIMES_MAX)
        count = STEP_TIMES_MAX;
    memcpy(out, shared->times, count * sizeof(*out));
    atomic_store(&shared->count, 0);
    return count;
}
