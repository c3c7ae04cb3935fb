/* filter_compile (filter.h) with an end: libseccomp (2.5.4 at least) never comes back from some
 * profiles, for instance where two rules of one syscall have conditions of the same two arguments.
 */
#ifndef MYDOCK_FILTER_BOUNDED_H
#define MYDOCK_FILTER_BOUNDED_H

#include "../../common/error.h"
#include "fields.h"
#include <stddef.h>

#define FILTER_COMPILE_LIMIT_MS 20000

/* Compiles in a child of the calling process, which must be single threaded. ETIMEDOUT: it was not
 * done in time, and was killed. */
int filter_compile_bounded(const struct fields *profile, int limit_ms, void **code, size_t *bytes,
                           struct error **err);

#endif
