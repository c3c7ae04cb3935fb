/* A machine for seccomp's BPF (seccomp(2), linux/filter.h), as strict as the kernel's checker: a
 * program that the kernel would not load ends the fuzzer. */
#ifndef MYDOCK_FUZZ_SECCOMP_MACHINE_H
#define MYDOCK_FUZZ_SECCOMP_MACHINE_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

/* The decision about a call. */
uint32_t seccomp_machine_run(const struct sock_filter *code, size_t count,
                             const struct seccomp_data *call);

#endif
