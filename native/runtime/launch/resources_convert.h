/* Numbers of linux.resources, which are made for cgroup v1, in the scales of cgroup v2. */
#ifndef MYDOCK_RESOURCES_CONVERT_H
#define MYDOCK_RESOURCES_CONVERT_H

#include "resources.h"

/* cpu.shares [2, 262144] as cpu.weight [1, 10000]: 2 is 1, 1024 is 100, 262144 is 10000, and in
 * between the curve that runc (since 1.3.2) and crun (since 1.23) draw through the three points, so
 * that the defaults of both scales meet. A straight line would make a default container's weight
 * 39. */
int64_t resources_cpu_weight(int64_t shares);
/* blkio's [10, 1000] as io.weight's [1, 10000], in a straight line, as runc and crun do. */
int64_t resources_io_weight(int64_t weight);
/* memory.swap.max: the swap that is left above the memory limit. Not given where swap is unknown.
 */
struct resources_number resources_swap_alone(const struct resources *resources);

#endif
