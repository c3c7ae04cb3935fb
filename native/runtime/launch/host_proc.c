/* See host_proc.h. */
#define _GNU_SOURCE
#include "host_proc.h"
#include "../../common/cleanup.h"
#include "../../common/warn.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A write of procfs is at most a page (proc_pid_attr_write). */
#define HOST_PROC_LABEL_SIZE 4096

int host_proc_open(struct error **err) {
    struct statfs system;
    cleanup_close int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstatfs(fd, &system) < 0)
        return error_set(err, errno, "open", "/proc");
    if (system.f_type != PROC_SUPER_MAGIC)
        return error_setf(err, EINVAL, "open", "/proc", "/proc is not procfs");
    return steal_fd(&fd);
}

static int host_proc_write(int proc_fd, const char *path, const char *text) {
    cleanup_close int fd = openat(proc_fd, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    return write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

int host_proc_sysctls(const struct config *config, int proc_fd, struct error **err) {
    for (size_t index = 0; index < config->sysctl_count; index++) {
        char path[256];
        const struct config_pair *sysctl = &config->sysctls[index];
        if (snprintf(path, sizeof(path), "sys/%s", sysctl->key) >= (int)sizeof(path))
            return error_set(err, ENAMETOOLONG, "set sysctl", sysctl->key);
        if (host_proc_write(proc_fd, path, sysctl->value) < 0)
            return error_setf(err, errno, "sysctl", sysctl->key, "set sysctl %s to %s: %s",
                              sysctl->key, sysctl->value, strerror(errno));
    }
    return 0;
}

int host_proc_oom_score(const struct config_process *process, int proc_fd, struct error **err) {
    char text[16];
    if (!process->oom_given)
        return 0;
    snprintf(text, sizeof(text), "%d", process->oom_score_adj);
    if (host_proc_write(proc_fd, "self/oom_score_adj", text) == 0)
        return 0;
    if (errno != EACCES && errno != EPERM)
        return error_set(err, errno, "set oomScoreAdj to", text);
    warn("warning: cannot set oom_score_adj to %s: lowering it needs CAP_SYS_RESOURCE", text);
    return 0;
}

static int host_proc_no_apparmor(const char *profile, struct error **err) {
    return error_setf(err, ENOTSUP, "apparmor", profile,
                      "process.apparmorProfile is %s, but this kernel has no AppArmor", profile);
}

/* As runc says it: callers match on the text. */
static int host_proc_apparmor_failed(const char *profile, const char *file, struct error **err) {
    int number = errno;
    return error_setf(err, number, "apparmor", profile,
                      "error during container init: unable to apply apparmor profile: apparmor "
                      "failed to apply profile: write /proc/%s: %s: profile %s%s",
                      file, strerror(number), profile, number == ENOENT ? " is not loaded" : "");
}

/* /sys is not asked: in an exec it is the container's. */
static int host_proc_apparmor(const char *profile, int proc_fd, struct error **err) {
    /* The file of its own is Linux 5.8's; the other belongs to whichever security module came
     * first. */
    const char *file = "self/attr/apparmor/exec";
    char text[HOST_PROC_LABEL_SIZE];
    /* Cut short it might be the name of another. */
    int length = snprintf(text, sizeof(text), "exec %s", profile);
    if (length >= (int)sizeof(text))
        return error_set(err, ENAMETOOLONG, "apply the AppArmor profile", profile);
    cleanup_close int fd = openat(proc_fd, file, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        file = "self/attr/exec";
        fd = openat(proc_fd, file, O_WRONLY | O_CLOEXEC);
    }
    if (fd < 0)
        return errno == ENOENT ? host_proc_no_apparmor(profile, err)
                               : host_proc_apparmor_failed(profile, file, err);
    if (write(fd, text, (size_t)length) == length)
        return 0;
    /* Nobody took it: proc_pid_attr_write, security_setprocattr. */
    return errno == EINVAL ? host_proc_no_apparmor(profile, err)
                           : host_proc_apparmor_failed(profile, file, err);
}

int host_proc_labels(const struct config_process *process, int proc_fd, struct error **err) {
    if (process->apparmor != NULL && host_proc_apparmor(process->apparmor, proc_fd, err) < 0)
        return -1;
    if (process->selinux != NULL) {
        if (access("/sys/fs/selinux/enforce", F_OK) < 0)
            return error_setf(err, ENOTSUP, "selinux", process->selinux,
                              "process.selinuxLabel is %s, but this kernel has no SELinux",
                              process->selinux);
        if (host_proc_write(proc_fd, "self/attr/exec", process->selinux) < 0)
            return error_set(err, errno, "apply the SELinux label", process->selinux);
    }
    return 0;
}
