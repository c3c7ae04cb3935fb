/* Stopping all processes of the container's control groups, and letting them run on: the freezer
 * controller on v1 (the kernel's cgroup-v1/freezer-subsystem), cgroup.freeze on v2. See cgroup.h.
 */
#define _GNU_SOURCE
#include "cgroup.h"
#include <errno.h>
#include <string.h>
#include <time.h>

#define FREEZE_TIMEOUT_MS 10000
#define PAUSE_MS 1

static const struct cgroup_hierarchy *freeze_v1(const struct cgroup *cgroup) {
    const struct cgroup_hierarchy *v1 = cgroup_find_v1(cgroup, "freezer");
    return v1 != NULL && v1->directory_fd >= 0 ? v1 : NULL;
}

static const struct cgroup_hierarchy *freeze_v2(const struct cgroup *cgroup) {
    const struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    return v2 != NULL && v2->directory_fd >= 0 ? v2 : NULL;
}

static int freeze_write(const struct cgroup *cgroup, bool frozen, struct error **err) {
    const struct cgroup_hierarchy *v1 = freeze_v1(cgroup), *v2 = freeze_v2(cgroup);
    if (v1 != NULL)
        return cgroup_write(v1, "freezer.state", frozen ? "FROZEN" : "THAWED", err);
    if (v2 != NULL)
        return cgroup_write(v2, "cgroup.freeze", frozen ? "1" : "0", err);
    return cgroup_missing("freezer", "the state of the processes", err);
}

/* What the processes do, not what they were told. -1: cannot be read. */
static int freeze_reached(const struct cgroup *cgroup, bool frozen) {
    const struct cgroup_hierarchy *v1 = freeze_v1(cgroup), *v2 = freeze_v2(cgroup);
    char text[512];
    if (v1 != NULL) {
        if (cgroup_read(v1->directory_fd, "freezer.state", text, sizeof(text)) < 0)
            return -1;
        return strcmp(text, frozen ? "FROZEN" : "THAWED") == 0;
    }
    if (v2 == NULL || cgroup_read(v2->directory_fd, "cgroup.events", text, sizeof(text)) < 0)
        return -1;
    return strstr(text, frozen ? "frozen 1" : "frozen 0") != NULL;
}

/* True once it is so. */
static bool freeze_wait(const struct cgroup *cgroup, bool frozen, int timeout_ms) {
    for (int waited = 0;; waited += PAUSE_MS) {
        int reached = freeze_reached(cgroup, frozen);
        if (reached != 0)
            return reached > 0;
        if (waited >= timeout_ms)
            return false;
        nanosleep(&(struct timespec){0, PAUSE_MS * 1000000}, NULL);
        /* On v1 a fork that raced with the freezer leaves the group FREEZING until it is told
         * again. */
        if (frozen && freeze_v1(cgroup) != NULL && freeze_write(cgroup, true, NULL) < 0)
            return false;
    }
}

void cgroup_try_freeze(const struct cgroup *cgroup, bool frozen, int timeout_ms) {
    if (freeze_write(cgroup, frozen, NULL) == 0 && timeout_ms > 0)
        freeze_wait(cgroup, frozen, timeout_ms);
}

int cgroup_set_frozen(const struct cgroup *cgroup, bool frozen, struct error **err) {
    if (freeze_write(cgroup, frozen, err) < 0)
        return -1;
    if (freeze_wait(cgroup, frozen, FREEZE_TIMEOUT_MS))
        return 0;
    if (frozen)
        freeze_write(cgroup, false, NULL);
    return error_setf(err, ETIMEDOUT, frozen ? "freeze" : "thaw", "",
                      "the container's processes did not %s within %d ms",
                      frozen ? "freeze" : "thaw", FREEZE_TIMEOUT_MS);
}

bool cgroup_is_frozen(const struct cgroup *cgroup) {
    const struct cgroup_hierarchy *v1 = freeze_v1(cgroup), *v2 = freeze_v2(cgroup);
    char state[256] = "";
    if (v1 != NULL)
        return cgroup_read(v1->directory_fd, "freezer.state", state, sizeof(state)) == 0 &&
               strcmp(state, "THAWED") != 0;
    return v2 != NULL &&
           cgroup_read(v2->directory_fd, "cgroup.freeze", state, sizeof(state)) == 0 &&
           strcmp(state, "1") == 0;
}
