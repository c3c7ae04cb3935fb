/*
 * User namespaces: making one and binding it to a file, network namespaces that belong to one,
 * mounts that show owners as one maps them, and making files as one of its users.
 *
 * No thread of a process with several threads can enter a user namespace, so that is done by
 * children. They share our memory, because a fork would copy the page tables of Node's whole heap:
 * they run on stacks of their own, make system calls only, and no signal handler of ours.
 */
#define _GNU_SOURCE
#include "usernamespace.h"
#include "module.h"
#include "pool.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif

/* -1 of uid_t: changes nothing. */
#define NO_ID UINT32_MAX
#define CHILD_STACK_BYTES ((size_t)64 * 1024)
/* Bytes of the kernel's sigset_t, which the raw system call wants. */
#define KERNEL_SIGSET_BYTES 8

/* The child's frames never return: AddressSanitizer would keep its marks for them on memory that is
 * the parent's. */
#define CHILD_CODE __attribute__((no_sanitize("address")))

struct child {
    pid_t pid;
    char *stack;
};

/* No exit signal: nobody else is told of it. Returns 0, or -1 with errno set. */
static int child_start(struct child *child, int (*run)(void *), int flags, void *argument) {
    uint64_t all = ~(uint64_t)0, old = 0;
    child->stack = mmap(NULL, CHILD_STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (child->stack == MAP_FAILED)
        return -1;
    /* The child inherits the mask and keeps it. */
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, KERNEL_SIGSET_BYTES);
    child->pid = clone(run, child->stack + CHILD_STACK_BYTES, CLONE_VM | flags, argument);
    int error = errno;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, KERNEL_SIGSET_BYTES);
    if (child->pid < 0)
        munmap(child->stack, CHILD_STACK_BYTES);
    errno = error;
    return child->pid < 0 ? -1 : 0;
}

static void child_end(const struct child *child) {
    kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, __WALL) < 0 && errno == EINTR) {
    }
    munmap(child->stack, CHILD_STACK_BYTES);
}

/* Holds its namespaces until it is killed. */
CHILD_CODE static int wait_for_the_end(void *argument) {
    (void)argument;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;)
        pause();
    return 0;
}

struct entry {
    int user_namespace;
    int network;
    int error;
    const char *step;
};

CHILD_CODE static int make_network(void *argument) {
    struct entry *entry = argument;
    entry->step = "setns";
    if (setns(entry->user_namespace, CLONE_NEWUSER) == 0) {
        entry->step = "unshare";
        if (unshare(CLONE_NEWNET) == 0) {
            entry->step = "open";
            /* The table of descriptors is the parent's, too. */
            entry->network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        }
    }
    entry->error = entry->network < 0 ? errno : 0;
    syscall(SYS_exit_group, 0);
    return 0;
}

int network_of_user_namespace(const char *path, const char **step) {
    struct child child;
    *step = "open";
    cleanup_close int user_namespace = open(path, O_RDONLY | O_CLOEXEC);
    if (user_namespace < 0)
        return -1;
    struct entry entry = {.user_namespace = user_namespace, .network = -1, .step = "clone"};
    if (child_start(&child, make_network, CLONE_VFORK | CLONE_FILES, &entry) < 0) {
        *step = entry.step;
        return -1;
    }
    child_end(&child);
    *step = entry.step;
    errno = entry.error;
    return entry.network;
}

/* One createUserNamespace, from its call to its promise. */
struct creation {
    struct pool_job job;
    char *path;
    char *uid_map;
    char *gid_map;
};

static void creation_release(struct pool_job *job) {
    struct creation *creation = (struct creation *)job;
    free(creation->path);
    free(creation->uid_map);
    free(creation->gid_map);
    free(creation);
}

static int write_map(pid_t pid, const char *file, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

static int fill_and_bind(struct creation *creation, pid_t pid) {
    char namespace[64];
    snprintf(namespace, sizeof namespace, "/proc/%d/ns/user", (int)pid);
    creation->job.step = "write uid_map";
    if (write_map(pid, "uid_map", creation->uid_map) < 0)
        return -1;
    creation->job.step = "write gid_map";
    if (write_map(pid, "gid_map", creation->gid_map) < 0)
        return -1;
    creation->job.step = "open";
    int file = open(creation->path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    if (file < 0)
        return -1;
    close(file);
    creation->job.step = "mount";
    if (mount(namespace, creation->path, NULL, MS_BIND, NULL) == 0)
        return 0;
    int error = errno;
    unlink(creation->path);
    errno = error;
    return -1;
}

static void creation_run(struct pool_job *job) {
    struct child child;
    if (child_start(&child, wait_for_the_end, CLONE_NEWUSER, NULL) < 0) {
        job->error = errno;
        return;
    }
    if (fill_and_bind((struct creation *)job, child.pid) < 0)
        job->error = errno;
    child_end(&child);
}

static napi_value create_user_namespace(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    struct creation *creation = pool_new(
        env, sizeof *creation,
        (struct pool_job){.run = creation_run, .release = creation_release, .step = "clone"});
    if (creation == NULL)
        return NULL;
    creation->job.path = creation->path = call_string(&call, 0, "path");
    creation->uid_map = call_string(&call, 1, "uidMap");
    creation->gid_map = call_string(&call, 2, "gidMap");
    return pool_queue_call(&call, &creation->job);
}

static napi_value mount_idmapped(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *source = call_string(&call, 0, "source");
    cleanup_free char *target = call_string(&call, 1, "target");
    cleanup_free char *path = call_string(&call, 2, "userNamespace");
    if (call.failed)
        return NULL;
    cleanup_close int user_namespace = open(path, O_RDONLY | O_CLOEXEC);
    if (user_namespace < 0)
        return throw_errno(env, errno, "open", path);
    cleanup_close int tree = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        return throw_errno(env, errno, "open_tree", source);
    /* Private as well: it is not to spread into other mount namespaces. */
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP,
                                    .propagation = MS_PRIVATE,
                                    .userns_fd = (uint64_t)user_namespace};
    if (mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
        return throw_errno(env, errno, "mount_setattr", source);
    if (move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return throw_errno(env, errno, "move_mount", target);
    return make_undefined(env);
}

/* The kernel takes CAP_FS_SET from the effective set of whoever stops being root for files. */
static int raise_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        data[i].effective = data[i].permitted;
    return (int)syscall(SYS_capset, &header, data);
}

/* setfsuid and setfsgid tell what was; -1 is no ID and changes nothing. */
static bool has_owner(uint32_t uid, uint32_t gid) {
    return (uint32_t)syscall(SYS_setfsuid, -1) == uid && (uint32_t)syscall(SYS_setfsgid, -1) == gid;
}

int become_file_owner(uint32_t uid, uint32_t gid) {
    syscall(SYS_setfsgid, gid);
    syscall(SYS_setfsuid, uid);
    if (has_owner(uid, gid))
        return raise_capabilities();
    errno = EPERM;
    return -1;
}

void cease_file_owner(void) {
    if (become_file_owner(0, 0) == 0)
        return;
    fprintf(stderr, "mydock: cannot become root for files again: %s\n", strerror(errno));
    abort();
}

static napi_value set_file_owner(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    uint64_t wide_uid = call_uint64(&call, 0, "uid"), wide_gid = call_uint64(&call, 1, "gid");
    if (call.failed)
        return NULL;
    if (wide_uid >= NO_ID || wide_gid >= NO_ID)
        return throw_errno(env, EINVAL, "setfsuid", NULL);
    return become_file_owner((uint32_t)wide_uid, (uint32_t)wide_gid) < 0
               ? throw_errno(env, errno, "setfsuid", NULL)
               : make_undefined(env);
}

napi_status register_usernamespace(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"createUserNamespace", create_user_namespace},
        {"mountIdmapped", mount_idmapped},
        {"setFileOwner", set_file_owner},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
