/* See identity.h. */
#define _GNU_SOURCE
#include "identity.h"
#include "../../common/warn.h"
#include "capabilities.h"
#include "syscalls.h"
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static int identity_limit(const struct config_rlimit *limit, struct error **err) {
    struct rlimit wanted = {limit->soft, limit->hard}, present;
    if (setrlimit(limit->resource, &wanted) == 0)
        return 0;
    if (errno != EPERM || getrlimit(limit->resource, &present) < 0)
        return error_set(err, errno, "set", limit->name);
    /* Raising a hard limit takes CAP_SYS_RESOURCE; RLIMIT_NOFILE above fs.nr_open is refused even
     * with it. */
    struct rlimit nearest = {limit->soft, limit->hard};
    if (nearest.rlim_max > present.rlim_max)
        nearest.rlim_max = present.rlim_max;
    if (nearest.rlim_cur > nearest.rlim_max)
        nearest.rlim_cur = nearest.rlim_max;
    if (setrlimit(limit->resource, &nearest) < 0)
        return error_set(err, errno, "set", limit->name);
    warn("warning: cannot raise %s to %llu:%llu, it is %llu:%llu", limit->name,
         (unsigned long long)limit->soft, (unsigned long long)limit->hard,
         (unsigned long long)nearest.rlim_cur, (unsigned long long)nearest.rlim_max);
    return 0;
}

void identity_raise_limits(const struct config_process *process) {
    for (size_t index = 0; index < process->rlimit_count; index++) {
        const struct config_rlimit *limit = &process->rlimits[index];
        struct rlimit present;
        if (getrlimit(limit->resource, &present) < 0 || present.rlim_max >= limit->hard)
            continue;
        present.rlim_max = limit->hard;
        /* identity_limits says what could not be raised. */
        if (setrlimit(limit->resource, &present) < 0)
            continue;
    }
}

int identity_personality(const struct config *config, struct error **err) {
    if (config->personality >= 0 && personality((unsigned long)config->personality) < 0)
        return error_set(err, errno, "set", "linux.personality");
    return 0;
}

int identity_limits(const struct config_process *process, struct error **err) {
    for (size_t index = 0; index < process->rlimit_count; index++) {
        if (identity_limit(&process->rlimits[index], err) < 0)
            return -1;
    }
    return 0;
}

void identity_own_stdio(const struct config_process *process) {
    for (int fd = 0; fd <= 2; fd++) {
        struct stat status;
        if (fstat(fd, &status) < 0 || status.st_uid == process->uid)
            continue;
        bool terminal = S_ISCHR(status.st_mode) && isatty(fd) == 1;
        /* A file system that does not know owners refuses; the descriptor works all the same. */
        if ((S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || terminal) &&
            fchown(fd, process->uid, (gid_t)-1) < 0)
            continue;
    }
}

/* EINVAL: an ID that the user namespace does not map. */
static int identity_refused(const char *key, unsigned id, struct error **err) {
    int number = errno;
    char object[64];
    snprintf(object, sizeof(object), "process.user.%s", key);
    return error_setf(err, number, "user", object, "%s %u: %s", object, id,
                      number == EINVAL ? "the container's user namespace does not map it"
                                       : strerror(number));
}

/* A user namespace that somebody without privileges made denies setgroups(2) (its
 * /proc/PID/setgroups says "deny"): there are no groups then. */
static int identity_set_groups(const struct config_process *process, struct error **err) {
    if (setgroups(process->group_count, process->groups) == 0)
        return 0;
    if (errno == EPERM && process->group_count == 0 && getgroups(0, NULL) == 0)
        return 0;
    if (errno == EPERM)
        return error_setf(err, EPERM, "user", "process.user.additionalGids",
                          "process.user.additionalGids: setgroups: %s (the container's user "
                          "namespace denies it)",
                          strerror(EPERM));
    for (size_t index = 0; errno == EINVAL && index < process->group_count; index++) {
        gid_t group = process->groups[index];
        if (setgroups(1, &group) < 0)
            return identity_refused("additionalGids", group, err);
    }
    return error_set(err, errno, "set", "process.user.additionalGids");
}

int identity_become(const struct config_process *process, struct error **err) {
    if (capabilities_bound(&process->capabilities, err) < 0)
        return -1;
    umask(process->umask < 0 ? 0022 : (mode_t)process->umask);
    if (identity_set_groups(process, err) < 0)
        return -1;
    /* Without this the change to another user would clear the permitted set as well
     * (capabilities(7)). */
    if (process->uid != 0 && prctl(PR_SET_KEEPCAPS, 1) < 0)
        return error_set(err, errno, "keep", "capabilities");
    if (setresgid(process->gid, process->gid, process->gid) < 0)
        return identity_refused("gid", process->gid, err);
    if (setresuid(process->uid, process->uid, process->uid) < 0)
        return identity_refused("uid", process->uid, err);
    return capabilities_raise(err);
}

int identity_enter_directory(const struct config_process *process, struct error **err) {
    if (chdir(process->cwd) < 0) {
        int number = errno;
        error_setf(err, number, "chdir", process->cwd,
                   "chdir to cwd (\"%s\") set in config.json failed: %s", process->cwd,
                   strerror(number));
        if (err != NULL && *err != NULL)
            (*err)->exit_code = 126;
        return -1;
    }
    /* A cwd such as /proc/self/fd/7 may have led to a directory of the host that a descriptor held
     * open: it has no path below our root, and the kernel says so. */
    char path[PATH_MAX];
    if (sys_getcwd(path, sizeof(path)) < 0 || path[0] != '/') {
        error_setf(err, EPERM, "chdir", process->cwd, "cwd (\"%s\") is outside of the container",
                   process->cwd);
        if (err != NULL && *err != NULL)
            (*err)->exit_code = 126;
        return -1;
    }
    return 0;
}
