/* See filter_table.h. */
#include "filter_table.h"
#include <stddef.h>
#include <string.h>

#define FIRST_NUMBER 440

/* From FIRST_NUMBER on, in order. */
static const char *const NAMES[] = {
    "process_madvise",
    "epoll_pwait2",
    "mount_setattr",
    "quotactl_fd",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "memfd_secret",
    "process_mrelease",
    "futex_waitv",
    "set_mempolicy_home_node",
    "cachestat",
    "fchmodat2",
    "map_shadow_stack",
    "futex_wake",
    "futex_wait",
    "futex_requeue",
    "statmount",
    "listmount",
    "lsm_get_self_attr",
    "lsm_set_self_attr",
    "lsm_list_modules",
    "mseal",
    "setxattrat",
    "getxattrat",
    "listxattrat",
    "removexattrat",
    "open_tree_attr",
    "file_getattr",
    "file_setattr",
};
#define NAME_COUNT ((int)(sizeof(NAMES) / sizeof(NAMES[0])))

int filter_table_number(const char *name) {
    for (int index = 0; index < NAME_COUNT; index++) {
        if (strcmp(NAMES[index], name) == 0)
            return FIRST_NUMBER + index;
    }
    return -1;
}
