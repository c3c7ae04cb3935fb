/*
 * Places of the runtime at which the fault tests (test/faults) strike: a build of their own defines
 * MYDOCK_FAULTS, and has the function from them. In the product a mark keeps its time where a trace
 * is wanted, and is nothing else.
 *
 * A label is `<part>/<what has just happened>`; it names the same place for as long as that exists.
 */
#ifndef MYDOCK_FAULT_MARK_H
#define MYDOCK_FAULT_MARK_H

#ifdef MYDOCK_FAULTS
/* May not return. Keeps errno. */
void fault_mark(const char *label);
#else
#include "step_times.h"
#define fault_mark(label) step_times_mark(label)
#endif

#endif
