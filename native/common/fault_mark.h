/*
 * Places of the runtime at which the fault tests (test/faults) strike. In the product a mark is
 * nothing; a build of their own defines MYDOCK_FAULTS, and has the function from them.
 *
 * A label is `<part>/<what has just happened>`; it names the same place for as long as that exists.
 */
#ifndef MYDOCK_FAULT_MARK_H
#define MYDOCK_FAULT_MARK_H

#ifdef MYDOCK_FAULTS
/* May not return. Keeps errno. */
void fault_mark(const char *label);
#else
#define fault_mark(label) ((void)0)
#endif

#endif
