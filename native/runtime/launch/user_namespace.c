/* See user_namespace.h. */
#define _GNU_SOURCE
#include "user_namespace.h"
#include "../../common/cleanup.h"
#include "capabilities.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int user_namespace_write(pid_t pid, const char *file, const char *text, const char *object,
                                struct error **err) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, text, strlen(text)) >= 0)
        return 0;
    return error_setf(err, errno, "idmap", object, "%s: the kernel refuses its ID mapping (%s): %s",
                      object, file, strerror(errno));
}

static int user_namespace_fill(pid_t pid, const char *uid_map, const char *gid_map,
                               const char *object, struct error **err) {
    char path[64];
    if (user_namespace_write(pid, "uid_map", uid_map, object, err) < 0 ||
        user_namespace_write(pid, "gid_map", gid_map, object, err) < 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? error_set(err, errno, "open the namespace", path) : fd;
}

/* A child that only waits to be killed holds the new namespace while its maps are written. It sends
 * no SIGCHLD (no exit signal), and dies with its parent. */
int user_namespace_make(const char *uid_map, const char *gid_map, const char *object,
                        struct error **err) {
    int pidfd = -1, status;
    struct clone3_arguments arguments = {
        .flags = CLONE_NEWUSER | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
    };
    pid_t parent = getpid();
    pid_t pid = sys_clone3(&arguments);
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
            _exit(1);
        for (;;)
            pause();
    }
    if (pid < 0)
        return error_setf(err, errno, "idmap", object,
                          "%s: an ID mapping needs a user namespace, and none can be made "
                          "(see user.max_user_namespaces): %s",
                          object, strerror(errno));
    int fd = user_namespace_fill(pid, uid_map, gid_map, object, err);
    sys_pidfd_send_signal(pidfd, SIGKILL);
    while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
        continue;
    close(pidfd);
    return fd;
}

bool user_namespace_is_own(const char *path) {
    struct stat own, other;
    return stat("/proc/self/ns/user", &own) == 0 && stat(path, &other) == 0 &&
           own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

int user_namespace_leave_groups(struct error **err) {
    return setgroups(0, NULL) < 0 ? error_set(err, errno, "leave", "supplementary groups") : 0;
}

/* 0 where the caller's map of a kind has it, else the lowest ID inside. */
static int user_namespace_first(int proc_fd, const char *file, int64_t *first, struct error **err) {
    char path[32], text[8192];
    size_t length = 0;
    snprintf(path, sizeof(path), "self/%s", file);
    cleanup_close int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    for (ssize_t got = 1; fd >= 0 && got > 0 && length < sizeof(text) - 1;) {
        got = read(fd, text + length, sizeof(text) - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    text[length] = '\0';
    *first = -1;
    for (const char *line = text; line != NULL && *line != '\0';) {
        long long inside;
        if (sscanf(line, "%lld", &inside) == 1 && (*first < 0 || inside < *first))
            *first = inside;
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    if (*first < 0)
        return error_setf(err, EINVAL, "user namespace", file,
                          "the container's user namespace has no %s: no ID can be used in it",
                          file);
    return 0;
}

int user_namespace_settle(int proc_fd, struct error **err) {
    int64_t uid, gid;
    if (user_namespace_first(proc_fd, "uid_map", &uid, err) < 0 ||
        user_namespace_first(proc_fd, "gid_map", &gid, err) < 0)
        return -1;
    if (prctl(PR_SET_KEEPCAPS, 1) < 0)
        return error_set(err, errno, "keep", "capabilities");
    if (setresgid((gid_t)gid, (gid_t)gid, (gid_t)gid) < 0)
        return error_set(err, errno, "setresgid", "in the user namespace");
    if (setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) < 0)
        return error_set(err, errno, "setresuid", "in the user namespace");
    if (capabilities_raise(err) < 0)
        return -1;
    /* With fs.suid_dumpable the change of user would have made the process dumpable: then a
     * process that is in the namespace already could trace it, and take the host's descriptors. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return error_set(err, errno, "make", "undumpable");
    return 0;
}

int user_namespace_check(const struct config *config, const struct id_maps *maps,
                         struct error **err) {
    const struct id_maps *given = &config->user_maps;
    const struct config_namespace *user = config_namespace(config, CLONE_NEWUSER);
    if (user == NULL || user->path == NULL)
        return 0;
    if (given->uids.count > 0 && !id_map_is_same(&given->uids, &maps->uids))
        return error_setf(err, EINVAL, "config", "linux.uidMappings",
                          "config.json: linux.uidMappings differ from those of %s", user->path);
    if (given->gids.count > 0 && !id_map_is_same(&given->gids, &maps->gids))
        return error_setf(err, EINVAL, "config", "linux.gidMappings",
                          "config.json: linux.gidMappings differ from those of %s", user->path);
    return 0;
}

void user_namespace_own_stdio(const struct launch_stdio *stdio,
                              const struct config_process *process, const struct id_maps *maps) {
    const int fds[] = {stdio->stdin_fd, stdio->stdout_fd, stdio->stderr_fd};
    int64_t owner = id_map_outside(&maps->uids, process->uid);
    for (size_t index = 0; owner >= 0 && index < sizeof(fds) / sizeof(fds[0]); index++) {
        struct stat status;
        if (fstat(fds[index], &status) < 0 || (int64_t)status.st_uid == owner)
            continue;
        bool terminal = S_ISCHR(status.st_mode) && isatty(fds[index]) == 1;
        /* A file system that does not know owners refuses; the descriptor works all the same. */
        if ((S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || terminal) &&
            fchown(fds[index], (uid_t)owner, (gid_t)-1) < 0)
            continue;
    }
}
