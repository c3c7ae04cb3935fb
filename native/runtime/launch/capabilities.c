/* See capabilities.h. */
#define _GNU_SOURCE
#include "capabilities.h"
#include "../../common/warn.h"
#include "syscalls.h"
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/prctl.h>

/* Index: the capability's number in <linux/capability.h>. */
static const char *const CAPABILITY_NAMES[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};
#define CAPABILITY_COUNT ((int)(sizeof(CAPABILITY_NAMES) / sizeof(CAPABILITY_NAMES[0])))

struct capability_sets {
    uint64_t effective, permitted, inheritable;
};

int capabilities_number(const char *name) {
    for (int number = 0; number < CAPABILITY_COUNT; number++) {
        if (strcasecmp(CAPABILITY_NAMES[number], name) == 0)
            return number;
    }
    return -1;
}

const char *capabilities_name(int number) {
    return number >= 0 && number < CAPABILITY_COUNT ? CAPABILITY_NAMES[number] : NULL;
}

static int capabilities_get(struct capability_sets *sets) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (sys_capget(&header, data) < 0)
        return -1;
    sets->effective = data[0].effective | (uint64_t)data[1].effective << 32;
    sets->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    sets->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
    return 0;
}

static int capabilities_set(const struct capability_sets *sets) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (int half = 0; half < 2; half++) {
        data[half].effective = (uint32_t)(sets->effective >> (32 * half));
        data[half].permitted = (uint32_t)(sets->permitted >> (32 * half));
        data[half].inheritable = (uint32_t)(sets->inheritable >> (32 * half));
    }
    return sys_capset(&header, data);
}

bool capabilities_has(int number) {
    struct capability_sets sets;
    return capabilities_get(&sets) == 0 && (sets.effective >> number & 1) != 0;
}

void capabilities_limit(struct config_capabilities *sets) {
    struct capability_sets own;
    if (!sets->given || capabilities_get(&own) < 0)
        return;
    /* exec gives a process of user 0 its whole bounding set, so that one counts as well. */
    uint64_t wanted = sets->bounding | sets->effective | sets->permitted | sets->inheritable;
    uint64_t missing = wanted & ~own.permitted;
    for (int number = 0; number < CAPABILITY_COUNT; number++) {
        /* -1: this kernel does not know the capability; nobody misses it. */
        if ((missing >> number & 1) != 0 && prctl(PR_CAPBSET_READ, number) >= 0)
            warn("warning: cannot give %s, which this host lacks", CAPABILITY_NAMES[number]);
    }
    sets->bounding &= own.permitted;
    sets->effective &= own.permitted;
    sets->permitted &= own.permitted;
    sets->inheritable &= own.permitted;
    sets->ambient &= own.permitted;
}

int capabilities_bound(const struct config_capabilities *sets, struct error **err) {
    if (!sets->given)
        return 0;
    for (int number = 0; number < 64; number++) {
        if ((sets->bounding >> number & 1) != 0)
            continue;
        if (prctl(PR_CAPBSET_DROP, number) < 0) {
            /* EINVAL: the first number that the kernel does not know. */
            if (errno == EINVAL)
                break;
            return error_set(err, errno, "drop from the bounding set",
                             number < CAPABILITY_COUNT ? CAPABILITY_NAMES[number] : "capability");
        }
    }
    return 0;
}

int capabilities_raise(struct error **err) {
    struct capability_sets sets;
    if (capabilities_get(&sets) < 0)
        return error_set(err, errno, "capget", "");
    if (sets.effective == sets.permitted)
        return 0;
    sets.effective = sets.permitted;
    return capabilities_set(&sets) < 0 ? error_set(err, errno, "capset", "") : 0;
}

int capabilities_apply(const struct config_capabilities *sets, struct error **err) {
    if (!sets->given)
        return 0;
    struct capability_sets final = {sets->effective & sets->permitted, sets->permitted,
                                    sets->inheritable};
    if (capabilities_set(&final) < 0)
        return error_set(err, errno, "capset", "");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
        return error_set(err, errno, "clear", "ambient capabilities");
    /* Ambient ones must be permitted and inheritable (capabilities(7)); others could never be
     * raised. */
    uint64_t ambient = sets->ambient & sets->permitted & sets->inheritable;
    for (int number = 0; number < CAPABILITY_COUNT; number++) {
        if ((ambient >> number & 1) != 0 &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0)
            return error_set(err, errno, "raise ambient", CAPABILITY_NAMES[number]);
    }
    return 0;
}
