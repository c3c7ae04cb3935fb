/* Instructions in front of libseccomp's: what it cannot say about syscalls that are newer than
 * itself, or newer than the profile. */
#ifndef MYDOCK_FILTER_PREFIX_H
#define MYDOCK_FILTER_PREFIX_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Syscalls of a profile that libseccomp has no number for. */
#define FILTER_EXTRA_MAX 64
#define FILTER_PREFIX_MAX (2 * FILTER_EXTRA_MAX + 12)

struct filter_prefix {
    struct {
        uint32_t number, action;
    } extra[FILTER_EXTRA_MAX];
    size_t extra_count;
    /* The highest syscall number that the profile has; what is above was unknown to its author. */
    int last_known;
    /* Answer ENOSYS to the unknown, so that C libraries fall back to what they used before: where
     * the default action would not let them through. */
    bool refuse_unknown;
    /* The 32-bit machine that this kernel runs as well is one of the profile's architectures. */
    bool compat;
};

/* Writes at most FILTER_PREFIX_MAX instructions, and returns how many: 0 where nothing is to be
 * said. They fall through to what stands behind them. */
size_t filter_prefix_write(const struct filter_prefix *prefix, struct sock_filter *out);

#endif
