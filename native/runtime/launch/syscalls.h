/*
 * System calls that the C library has no wrapper for; nowhere else is syscall() used. All return -1
 * with errno set. The mount calls (fsopen, open_tree, move_mount, mount_setattr) come from
 * <sys/mount.h>. Needs Linux 5.12.
 */
#ifndef MYDOCK_SYSCALLS_H
#define MYDOCK_SYSCALLS_H

#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#define SYSCALLS_CLONE_INTO_CGROUP 0x200000000ULL
#define SYSCALLS_CLOSE_RANGE_CLOEXEC (1U << 2)

/* struct clone_args of Linux 5.7, under a name that collides with no header. */
struct clone3_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    uint64_t set_tid, set_tid_size, cgroup;
};

/* The signal's default disposition. The library's sigaction refuses the two signals that it uses
 * itself, which a parent may have left ignored. The kernel's struct sigaction, all zero, is
 * SIG_DFL. */
static inline int sys_signal_default(int number) {
    static const unsigned long standard[4];
    return (int)syscall(SYS_rt_sigaction, number, standard, NULL, 8);
}

/* Like fork(2) for the caller, which must be single threaded: the child runs on a copy of the
 * stack. */
static inline pid_t sys_clone3(struct clone3_arguments *arguments) {
    return (pid_t)syscall(SYS_clone3, arguments, sizeof(*arguments));
}

/* fork(2) whose child becomes one of the caller's parent. By clone(2), which seccomp filters allow
 * where they answer clone3 with ENOSYS. The exit signal is the caller's own (clone(2),
 * CLONE_PARENT). */
static inline pid_t sys_fork_sibling(void) {
    return (pid_t)syscall(SYS_clone, CLONE_PARENT, NULL, NULL, NULL, NULL);
}

static inline int sys_openat2(int dir_fd, const char *path, uint64_t flags, uint64_t mode,
                              uint64_t resolve) {
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
}

static inline int sys_pivot_root(const char *new_root, const char *put_old) {
    return (int)syscall(SYS_pivot_root, new_root, put_old);
}

static inline int sys_seccomp(unsigned operation, unsigned flags,
                              const struct sock_fprog *program) {
    return (int)syscall(SYS_seccomp, operation, flags, program);
}

static inline int sys_bpf(int command, union bpf_attr *attributes, unsigned size) {
    return (int)syscall(SYS_bpf, command, attributes, size);
}

/* scheduling.h. */
struct sched_attributes;

static inline int sys_sched_setattr(pid_t pid, const struct sched_attributes *attributes) {
    return (int)syscall(SYS_sched_setattr, pid, attributes, 0);
}

/* Of one process; value: class and priority. */
static inline int sys_ioprio_set(pid_t pid, int value) {
    const int which_process = 1; /* IOPRIO_WHO_PROCESS */
    return (int)syscall(SYS_ioprio_set, which_process, pid, value);
}

/* The library's takes cpu_set_t, which ends at processor 1023. */
static inline int sys_sched_setaffinity(pid_t pid, size_t bytes, const unsigned char *mask) {
    return (int)syscall(SYS_sched_setaffinity, pid, bytes, mask);
}

static inline int sys_capget(struct __user_cap_header_struct *header,
                             struct __user_cap_data_struct *data) {
    return (int)syscall(SYS_capget, header, data);
}

static inline int sys_capset(struct __user_cap_header_struct *header,
                             const struct __user_cap_data_struct *data) {
    return (int)syscall(SYS_capset, header, data);
}

static inline int sys_close_range(unsigned first, unsigned last, unsigned flags) {
    return (int)syscall(SYS_close_range, first, last, flags);
}

static inline int sys_pidfd_send_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

static inline int sys_pidfd_open(pid_t pid) {
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* A duplicate, O_CLOEXEC, of another process's descriptor. Needs what ptrace needs. */
static inline int sys_pidfd_getfd(int pidfd, int number) {
    return (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
}

/* A new anonymous session keyring for the caller. */
static inline long sys_join_session_keyring(void) {
    return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

/* Unlike getcwd(3) it tells of a directory outside the root: the text starts with "(unreachable)".
 */
static inline long sys_getcwd(char *buffer, size_t size) {
    return syscall(SYS_getcwd, buffer, size);
}

/* Executes the file that a descriptor stands for. */
static inline int sys_execveat(int fd, char **arguments, char **environment) {
    const int empty_path = 0x1000; /* AT_EMPTY_PATH */
    return (int)syscall(SYS_execveat, fd, "", arguments, environment, empty_path);
}

#endif
