/* Which process a number means: a pid alone may long be somebody else's. */
#ifndef MYDOCK_OCI_PROCESS_TIME_H
#define MYDOCK_OCI_PROCESS_TIME_H

#include <stddef.h>
#include <sys/types.h>

/* The kernel's ID of this boot, 36 characters; "" where it cannot be read. */
void process_time_boot(char *out, size_t size);

/* When the process started, in clock ticks since the boot (proc_pid_stat(5), field 22); 0 where it
 * is gone or only waits to be reaped. */
unsigned long long process_time_start(pid_t pid);

#endif
