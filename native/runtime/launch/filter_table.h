/* Syscalls that are newer than the libseccomp of long-lived distributions. Their numbers are the
 * same on all architectures that this program runs on (asm-generic/unistd.h). */
#ifndef MYDOCK_FILTER_TABLE_H
#define MYDOCK_FILTER_TABLE_H

/* -1 for a name that is not in the table. */
int filter_table_number(const char *name);
#endif
