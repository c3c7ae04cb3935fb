/* See namespaces.h; namespaces(7). */
#define _GNU_SOURCE
#include "namespaces.h"
#include "../../common/cleanup.h"
#include "syscalls.h"
#include "user_namespace.h"
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#ifndef NS_GET_NSTYPE
#define NS_GET_NSTYPE _IO(0xb7, 0x3)
#endif

/* A path of another kind would be refused by setns only after much is done, and with EINVAL. */
static int namespaces_check(int fd, const struct config_namespace *namespace, struct error **err) {
    int flag = ioctl(fd, NS_GET_NSTYPE);
    if (flag == namespace->flag)
        return 0;
    return error_setf(err, EINVAL, "open the namespace", namespace->path,
                      "config.json: linux.namespaces: %s is not a %s namespace", namespace->path,
                      namespace->name);
}

/* The container's root becomes the root of its mount namespace, and what was mounted goes: that is
 * not to happen to the host. */
static int namespaces_check_mounts(int fd, const char *path, struct error **err) {
    static const char *const taken[] = {"/proc/self/ns/mnt", "/proc/1/ns/mnt"};
    struct stat status, other;
    if (fstat(fd, &status) < 0)
        return error_set(err, errno, "stat", path);
    for (size_t index = 0; index < sizeof(taken) / sizeof(taken[0]); index++) {
        if (stat(taken[index], &other) == 0 && other.st_dev == status.st_dev &&
            other.st_ino == status.st_ino)
            return error_setf(err, EBUSY, "open the namespace", path,
                              "config.json: linux.namespaces: %s is the mount namespace of the %s",
                              path, index == 0 ? "runtime" : "host");
    }
    return 0;
}

static int namespaces_make_user(const struct config *config, struct error **err) {
    struct arena *arena = (struct arena *)&config->arena;
    const char *uid_map = id_map_text(arena, &config->user_maps.uids);
    const char *gid_map = id_map_text(arena, &config->user_maps.gids);
    if (uid_map == NULL || gid_map == NULL)
        return fields_no_memory(err);
    return user_namespace_make(uid_map, gid_map, "the container's user namespace", err);
}

int namespaces_open(const struct config *config, struct namespaces *namespaces,
                    struct error **err) {
    namespaces->config = config;
    for (size_t index = 0; index < CONFIG_NAMESPACES_MAX; index++)
        namespaces->fds[index] = -1;
    for (size_t index = 0; index < config->namespace_count; index++) {
        const struct config_namespace *namespace = &config->namespaces[index];
        int *fd = &namespaces->fds[index];
        if (namespace->path == NULL) {
            if (namespace->flag == CLONE_NEWUSER && (*fd = namespaces_make_user(config, err)) < 0)
                return -1;
            continue;
        }
        /* O_NONBLOCK: a FIFO would wait for its other end. */
        *fd = open(namespace->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (*fd < 0)
            return error_set(err, errno, "open the namespace", namespace->path);
        if (namespaces_check(*fd, namespace, err) < 0)
            return -1;
        if (namespace->flag == CLONE_NEWNS &&
            namespaces_check_mounts(*fd, namespace->path, err) < 0)
            return -1;
    }
    return 0;
}

void namespaces_close(struct namespaces *namespaces) {
    for (size_t index = 0; index < CONFIG_NAMESPACES_MAX; index++) {
        if (namespaces->fds[index] >= 0)
            close(steal_fd(&namespaces->fds[index]));
    }
}

static uint64_t namespaces_clone_flags(const struct config *config) {
    uint64_t flags = 0;
    for (size_t index = 0; index < config->namespace_count; index++) {
        if (config->namespaces[index].path == NULL)
            flags |= (uint64_t)config->namespaces[index].flag;
    }
    return flags & ~(uint64_t)(CLONE_NEWCGROUP | CLONE_NEWTIME | CLONE_NEWUSER);
}

static int namespaces_fd(const struct namespaces *namespaces, int flag) {
    for (size_t index = 0; index < namespaces->config->namespace_count; index++) {
        if (namespaces->config->namespaces[index].flag == flag)
            return namespaces->fds[index];
    }
    return -1;
}

/* A new time namespace takes its offsets only until somebody is in it: made by the parent, for its
 * children. */
static int namespaces_prepare_time(const struct config *config, int fd, struct error **err) {
    if (unshare(CLONE_NEWTIME) < 0)
        return error_set(err, errno, "unshare", "time namespace");
    for (size_t index = 0; index < config->time_offset_count; index++) {
        const char *line = config->time_offsets[index].value;
        if (fd < 0 || write(fd, line, strlen(line)) < 0)
            return error_set(err, errno, "set the time offset", line);
    }
    return 0;
}

static int namespaces_open_offsets(void) {
    return open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
}

static bool namespaces_makes_time(const struct config *config) {
    const struct config_namespace *time = config_namespace(config, CLONE_NEWTIME);
    return time != NULL && time->path == NULL;
}

/* What only children of the caller get into: a pid namespace of a path, a new time namespace. */
static int namespaces_prepare_children(const struct namespaces *namespaces, struct error **err) {
    const struct config *config = namespaces->config;
    int pid_fd = namespaces_fd(namespaces, CLONE_NEWPID);
    if (pid_fd >= 0 && setns(pid_fd, CLONE_NEWPID) < 0)
        return error_set(err, errno, "join the pid namespace",
                         config_namespace(config, CLONE_NEWPID)->path);
    if (!namespaces_makes_time(config))
        return 0;
    cleanup_close int offsets = namespaces_open_offsets();
    return namespaces_prepare_time(config, offsets, err);
}

/* extra: CLONE_PARENT or 0. With it the exit signal is the caller's own (clone(2)). */
pid_t namespaces_fork_helper(int cgroup_fd, int *pidfd, struct error **err) {
    struct clone3_arguments arguments = {
        .flags = CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    if (cgroup_fd >= 0) {
        arguments.flags |= SYSCALLS_CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup_fd;
    }
    pid_t pid = sys_clone3(&arguments);
    return pid < 0 ? error_set(err, errno, "clone3", "the container's init") : pid;
}

static pid_t namespaces_clone(const struct namespaces *namespaces, int cgroup_fd, int *pidfd,
                              uint64_t extra, struct error **err) {
    struct clone3_arguments arguments = {
        .flags = CLONE_PIDFD | extra | namespaces_clone_flags(namespaces->config),
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = (extra & CLONE_PARENT) != 0 ? 0 : SIGCHLD,
    };
    if (cgroup_fd >= 0) {
        arguments.flags |= SYSCALLS_CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)cgroup_fd;
    }
    pid_t pid = sys_clone3(&arguments);
    return pid < 0 ? error_set(err, errno, "clone3", "the container's init") : pid;
}

int namespaces_user(const struct namespaces *namespaces) {
    return namespaces_fd(namespaces, CLONE_NEWUSER);
}

/* Namespaces of paths that are for children, and the file of the time offsets, take the host's
 * root; new namespaces are made by the user namespace's. */
pid_t namespaces_fork_inside(const struct namespaces *namespaces, int proc_fd, struct error **err) {
    const struct config *config = namespaces->config;
    int pid_fd = namespaces_fd(namespaces, CLONE_NEWPID), pidfd = -1;
    cleanup_close int offsets = -1;
    if (pid_fd >= 0 && setns(pid_fd, CLONE_NEWPID) < 0)
        return error_set(err, errno, "join the pid namespace",
                         config_namespace(config, CLONE_NEWPID)->path);
    if (namespaces_makes_time(config) && (offsets = namespaces_open_offsets()) < 0)
        return error_set(err, errno, "open", "/proc/self/timens_offsets");
    if (user_namespace_leave_groups(err) < 0)
        return -1;
    if (setns(namespaces_user(namespaces), CLONE_NEWUSER) < 0)
        return error_set(err, errno, "join", "the user namespace");
    if (user_namespace_settle(proc_fd, err) < 0 ||
        (offsets >= 0 && namespaces_prepare_time(config, offsets, err) < 0))
        return -1;
    pid_t pid = namespaces_clone(namespaces, -1, &pidfd, CLONE_PARENT, err);
    if (pid > 0)
        close(pidfd);
    return pid;
}

pid_t namespaces_fork(const struct namespaces *namespaces, int cgroup_fd, int *pidfd,
                      struct error **err) {
    bool special =
        namespaces_fd(namespaces, CLONE_NEWPID) >= 0 || namespaces_makes_time(namespaces->config);
    if (!special)
        return namespaces_clone(namespaces, cgroup_fd, pidfd, 0, err);
    cleanup_close int own_pid = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    cleanup_close int own_time = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
    if (own_pid < 0)
        return error_set(err, errno, "open", "/proc/self/ns/pid");
    pid_t pid = namespaces_prepare_children(namespaces, err);
    if (pid == 0)
        pid = namespaces_clone(namespaces, cgroup_fd, pidfd, 0, err);
    /* The caller's later children (exec's, or another container's) are not to be born there. */
    if (pid != 0 && (setns(own_pid, CLONE_NEWPID) < 0 ||
                     (own_time >= 0 && setns(own_time, CLONE_NEWTIME) < 0))) {
        if (pid > 0) {
            int number = errno, status;
            sys_pidfd_send_signal(*pidfd, SIGKILL);
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                continue;
            errno = number;
        }
        return pid > 0 ? error_set(err, errno, "return from", "the container's namespaces") : -1;
    }
    return pid;
}

static int namespaces_raise_loopback(struct error **err) {
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request;
    memset(&request, 0, sizeof(request));
    strcpy(request.ifr_name, "lo");
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        return error_set(err, errno, "bring up", "lo");
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
    return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? error_set(err, errno, "bring up", "lo") : 0;
}

int namespaces_join_paths(const struct namespaces *namespaces, struct error **err) {
    const struct config *config = namespaces->config;
    for (size_t index = 0; index < config->namespace_count; index++) {
        const struct config_namespace *namespace = &config->namespaces[index];
        if (namespaces->fds[index] < 0 || namespace->flag == CLONE_NEWPID ||
            namespace->flag == CLONE_NEWUSER)
            continue;
        if (setns(namespaces->fds[index], namespace->flag) < 0)
            return error_setf(err, errno, "setns", namespace->path, "join the %s namespace %s: %s",
                              namespace->name, namespace->path, strerror(errno));
    }
    return 0;
}

int namespaces_make_own(const struct namespaces *namespaces, struct error **err) {
    const struct config *config = namespaces->config;
    const struct config_namespace *cgroup = config_namespace(config, CLONE_NEWCGROUP);
    if (cgroup != NULL && cgroup->path == NULL && unshare(CLONE_NEWCGROUP) < 0)
        return error_set(err, errno, "unshare", "cgroup namespace");
    const struct config_namespace *network = config_namespace(config, CLONE_NEWNET);
    if (network != NULL && network->path == NULL)
        return namespaces_raise_loopback(err);
    return 0;
}

int namespaces_join(const struct namespaces *namespaces, struct error **err) {
    return namespaces_join_paths(namespaces, err) < 0 ? -1 : namespaces_make_own(namespaces, err);
}

int namespaces_set_names(const struct config *config, struct error **err) {
    if (config->hostname != NULL && sethostname(config->hostname, strlen(config->hostname)) < 0)
        return error_set(err, errno, "sethostname", config->hostname);
    if (config->domainname != NULL &&
        setdomainname(config->domainname, strlen(config->domainname)) < 0)
        return error_set(err, errno, "setdomainname", config->domainname);
    return 0;
}
