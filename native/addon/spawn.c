/*
 * Starting a program with vfork semantics, and reaping it. A fork of the Node process copies the
 * page tables of its whole heap; here the child shares the address space until execve and the
 * calling thread, one of the pool's, is suspended meanwhile: on a busy machine for longer than all
 * else of a start.
 *
 * What follows from sharing memory: the child may only touch what nobody else uses (its own stack,
 * the plan), makes system calls, and must run no signal handler of the parent. All signals are
 * blocked around clone, and the child sets every disposition to default before it empties the mask.
 * Its error is a plain store in the shared plan.
 */
#define _GNU_SOURCE
#include "module.h"
#include "pool.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SPAWN_STACK_BYTES ((size_t)64 * 1024)
/* Bytes of the kernel's sigset_t, which the raw system call wants. */
#define KERNEL_SIGSET_BYTES 8

/* The child's frames never return: AddressSanitizer would keep its marks for them on memory that is
 * the parent's. */
#define CHILD_CODE __attribute__((no_sanitize("address")))

struct spawn_plan {
    const char *file;
    char *const *arguments;
    char *const *environment;
    const char *directory;
    /* fds[i] becomes descriptor i; the child's copy is overwritten in place. */
    int *fds;
    size_t fd_count;
    /* Written by the child before it leaves with a failure; read by the parent once clone has
     * returned, which is after the child's exec or exit. */
    int error;
    const char *step;
};

CHILD_CODE static int set_signal_mask(const uint64_t *set, uint64_t *old) {
    /* The C library's own function would leave out the two signals that it uses itself. */
    return (int)syscall(SYS_rt_sigprocmask, SIG_SETMASK, set, old, KERNEL_SIGSET_BYTES);
}

CHILD_CODE static void reset_dispositions(void) {
    /* The kernel's struct, all zero: SIG_DFL. The library's sigaction leaves out the two signals
     * that it uses itself, which a parent may have left ignored. Fails for SIGKILL and SIGSTOP, as
     * it may. */
    static const unsigned long standard[4];
    for (int number = 1; number < NSIG; number++)
        syscall(SYS_rt_sigaction, number, standard, NULL, KERNEL_SIGSET_BYTES);
}

/* Moves the descriptors to 0..count-1. First out of that range, so that no dup2 overwrites one
 * still to be moved. */
CHILD_CODE static int place_fds(struct spawn_plan *plan) {
    int count = (int)plan->fd_count;
    for (int i = 0; i < count; i++) {
        if (plan->fds[i] < count && plan->fds[i] != i) {
            plan->fds[i] = fcntl(plan->fds[i], F_DUPFD_CLOEXEC, count);
            if (plan->fds[i] < 0)
                return -1;
        }
    }
    for (int i = 0; i < count; i++) {
        /* dup2 onto itself would leave the close-on-exec flag set. */
        if (plan->fds[i] == i ? fcntl(i, F_SETFD, 0) < 0 : dup2(plan->fds[i], i) < 0)
            return -1;
    }
    return 0;
}

CHILD_CODE static int child_main(void *argument) {
    struct spawn_plan *plan = argument;
    uint64_t none = 0;
    plan->step = "setsid";
    reset_dispositions();
    if (setsid() < 0)
        goto failed;
    plan->step = "dup2";
    if (place_fds(plan) < 0)
        goto failed;
    plan->step = "close_range";
    if (syscall(SYS_close_range, (unsigned)plan->fd_count, ~0U, 0U) < 0)
        goto failed;
    plan->step = "chdir";
    if (chdir(plan->directory) < 0)
        goto failed;
    plan->step = "sigprocmask";
    if (set_signal_mask(&none, NULL) < 0)
        goto failed;
    plan->step = "execve";
    execve(plan->file, plan->arguments, plan->environment);
failed:
    plan->error = errno;
    _exit(127);
}

/* Returns the pid, or -1 with plan->error and plan->step set. */
static pid_t run_plan(struct spawn_plan *plan) {
    uint64_t all = ~(uint64_t)0;
    uint64_t old = 0;
    char *stack = mmap(NULL, SPAWN_STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        plan->step = "mmap";
        plan->error = errno;
        return -1;
    }
    set_signal_mask(&all, &old);
    pid_t pid =
        clone(child_main, stack + SPAWN_STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, plan);
    int clone_error = errno;
    set_signal_mask(&old, NULL);
    munmap(stack, SPAWN_STACK_BYTES);
    if (pid < 0) {
        plan->step = "clone";
        plan->error = clone_error;
        return -1;
    }
    if (plan->error != 0) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
        return -1;
    }
    return pid;
}

/* One spawn, from its call to its promise. */
struct spawn_job {
    struct pool_job job;
    struct spawn_plan plan;
    pid_t pid;
    char *file;
    char **arguments;
    char **environment;
    char *directory;
    int *fds;
};

static void spawn_run(struct pool_job *job) {
    struct spawn_job *spawn = (struct spawn_job *)job;
    spawn->pid = run_plan(&spawn->plan);
    if (spawn->pid >= 0)
        return;
    job->error = spawn->plan.error;
    job->step = spawn->plan.step;
    job->path = strcmp(job->step, "chdir") == 0 ? spawn->directory : spawn->file;
}

static napi_value spawn_result(napi_env env, struct pool_job *job) {
    return make_int32(env, ((struct spawn_job *)job)->pid);
}

static void spawn_release(struct pool_job *job) {
    struct spawn_job *spawn = (struct spawn_job *)job;
    free(spawn->file);
    free_strings(spawn->arguments);
    free_strings(spawn->environment);
    free(spawn->directory);
    free(spawn->fds);
    free(spawn);
}

static napi_value spawn(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    napi_value options = call.arguments[0];
    struct spawn_job *spawn = pool_new(
        env, sizeof *spawn,
        (struct pool_job){
            .run = spawn_run, .result = spawn_result, .release = spawn_release, .step = "clone"});
    if (spawn == NULL)
        return NULL;
    size_t fd_count = 0;
    spawn->file = call_value_string(&call, call_property(&call, options, "file"), "file");
    spawn->arguments =
        call_value_strings(&call, call_property(&call, options, "args"), "args", NULL);
    spawn->environment =
        call_value_strings(&call, call_property(&call, options, "env"), "env", NULL);
    spawn->directory = call_value_string(&call, call_property(&call, options, "cwd"), "cwd");
    spawn->fds = call_value_int32s(&call, call_property(&call, options, "fds"), "fds", &fd_count);
    spawn->plan = (struct spawn_plan){
        .file = spawn->file,
        .arguments = spawn->arguments,
        .environment = spawn->environment,
        .directory = spawn->directory,
        .fds = spawn->fds,
        .fd_count = fd_count,
        .step = "clone",
    };
    return pool_queue_call(&call, &spawn->job);
}

static napi_value reap(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    pid_t pid = call_int32(&call, 0, "pid");
    /* waitpid(0) and waitpid(-1) would take children of others. */
    if (!call.failed && pid <= 0)
        call_type_error(&call, "pid", "a positive number");
    if (call.failed)
        return NULL;
    int status = 0;
    pid_t result = waitpid(pid, &status, WNOHANG);
    if (result == 0)
        return make_null(env);
    if (result < 0)
        return errno == ECHILD ? make_int32(env, -1) : throw_errno(env, errno, "waitpid", NULL);
    return make_int32(env, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

napi_status register_spawn(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {{"spawn", spawn}, {"reap", reap}};
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
