/*
 * See filter_prefix.h. From number 424 on a syscall has the same number on all architectures
 * (asm-generic/unistd.h); below, the gaps of older tables are of no use to anybody. x32 syscalls
 * have a bit of their own and are left to libseccomp.
 */
#include "filter_prefix.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#define FIRST_COMMON 424
#define X32_BIT 0x40000000

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#define COMPAT_ARCH AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#define COMPAT_ARCH AUDIT_ARCH_ARM
#else
#error "name the machine's AUDIT_ARCH_"
#endif

static struct sock_filter prefix_load(uint32_t offset) {
    return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}

static struct sock_filter prefix_return(uint32_t action) {
    return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
}

/* A comparison; jumps count the instructions that are passed over. */
static struct sock_filter prefix_test(uint16_t test, uint32_t value, size_t if_true,
                                      size_t if_false) {
    return (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | test | BPF_K), value, (uint8_t)if_true,
                                        (uint8_t)if_false);
}

size_t filter_prefix_write(const struct filter_prefix *prefix, struct sock_filter *out) {
    if (prefix->extra_count == 0 && !prefix->refuse_unknown)
        return 0;
    /* From behind the tests of the architecture to the end. */
    const size_t tail = 3 + 2 * prefix->extra_count + (prefix->refuse_unknown ? 2 : 0);
    size_t at = 0;
    out[at++] = prefix_load(offsetof(struct seccomp_data, arch));
    if (prefix->compat)
        out[at++] = prefix_test(BPF_JEQ, COMPAT_ARCH, 1, 0);
    out[at++] = prefix_test(BPF_JEQ, NATIVE_ARCH, 0, tail);
    const size_t end = at + tail;
    out[at++] = prefix_load(offsetof(struct seccomp_data, nr));
    out[at] = prefix_test(BPF_JGE, X32_BIT, end - at - 1, 0);
    at++;
    out[at] = prefix_test(BPF_JGE, FIRST_COMMON, 0, end - at - 1);
    at++;
    for (size_t index = 0; index < prefix->extra_count; index++) {
        out[at++] = prefix_test(BPF_JEQ, prefix->extra[index].number, 0, 1);
        out[at++] = prefix_return(prefix->extra[index].action);
    }
    if (prefix->refuse_unknown) {
        out[at++] = prefix_test(BPF_JGT, (uint32_t)prefix->last_known, 0, 1);
        out[at++] = prefix_return(SECCOMP_RET_ERRNO | ENOSYS);
    }
    return at;
}
