/* See resources_convert.h. */
#define _GNU_SOURCE
#include "resources_convert.h"
#include <math.h>

#define SHARES_MIN 2
#define SHARES_MAX 262144
/* Rounding of the binary fractions, which must not lift 100.0000000001 to 101. */
#define ROUNDING 1e-9

int64_t resources_cpu_weight(int64_t shares) {
    if (shares <= SHARES_MIN)
        return 1;
    if (shares >= SHARES_MAX)
        return 10000;
    double log = log2((double)shares);
    double exponent = (log * log + 125 * log) / 612.0 - 7.0 / 34.0;
    return (int64_t)ceil(pow(10, exponent) - ROUNDING);
}

int64_t resources_io_weight(int64_t weight) {
    return weight <= 10 ? 1 : 1 + (weight - 10) * 9999 / 990;
}

struct resources_number resources_swap_alone(const struct resources *resources) {
    struct resources_number swap = resources->memory_swap;
    if (!swap.given || swap.value < 0)
        return swap;
    /* Without a limit of memory alone there is no telling what is left for swap. */
    if (!resources->memory_limit.given || resources->memory_limit.value < 0)
        return (struct resources_number){false, 0};
    swap.value -= resources->memory_limit.value;
    return swap;
}
