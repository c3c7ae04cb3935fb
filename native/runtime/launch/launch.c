/* The parent's side of a container: create, start, signals. See launch.h; init.c is the child's
 * side. */
#define _GNU_SOURCE
#include "launch.h"
#include "../../common/cleanup.h"
#include "../../common/fault_mark.h"
#include "capabilities.h"
#include "child_await.h"
#include "filter_listener.h"
#include "hooks.h"
#include "idmap.h"
#include "init.h"
#include "launch_container.h"
#include "sync.h"
#include "syscalls.h"
#include "user_namespace.h"
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>

/* The init left before it was ready and said nothing: killed, most likely for want of memory. */
static int launch_report_death(const struct launch_container *container, pid_t pid,
                               struct error **err) {
    int status = 0;
    pid_t waited;
    do {
        waited = waitpid(pid, &status, 0);
    } while (waited < 0 && errno == EINTR);
    if (cgroup_oom_kills(container->cgroup) > 0)
        return error_setf(err, ENOMEM, "init", "",
                          "the container's init was OOM-killed: its memory limit is too low");
    if (waited == pid && WIFSIGNALED(status))
        return error_setf(err, 0, "init", "", "the container's init was killed by signal %d",
                          WTERMSIG(status));
    return error_setf(err, 0, "init", "", "the container's init ended while it was set up");
}

static void launch_reap(pid_t pid, int pidfd) {
    int status;
    sys_pidfd_send_signal(pidfd, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
}

/* The init has mounted everything and waits in front of its root. */
static int launch_run_hooks(const struct launch_container *container, int sync_fd,
                            struct error **err) {
    const struct hooks *hooks = &container->config->hooks;
    struct hooks_container about = launch_about(container);
    if (hooks_run(hooks, HOOKS_PRESTART, &about, container->bundle, err) < 0 ||
        hooks_run(hooks, HOOKS_CREATE_RUNTIME, &about, container->bundle, err) < 0)
        return -1;
    /* One that is gone by now is heard of where its next message is awaited. */
    sync_send(sync_fd, SYNC_GO, container->init_pid, -1);
    return 0;
}

static int launch_forward_listener(const struct launch_container *container, int sync_fd,
                                   int number, struct error **err) {
    struct hooks_container about = launch_about(container);
    return filter_forward_listener(&container->filter, &about, "creating", container->init_pid,
                                   number, sync_fd, err);
}

/* In a pid namespace that it shares others may stop it. What it does itself, mounts and copies,
 * takes as long as it takes. */
static int launch_receive(const struct launch_process *init, struct sync_message *message,
                          int *attached, struct error **err) {
    const pid_t children[2] = {init->pid, 0};
    if (child_await(init->sync_fd, children, 0, "start", err) < 0)
        return -1;
    return sync_receive(init->sync_fd, message, attached, err);
}

/* Waits until the init stands in front of its exec. On failure it is reaped. */
static int launch_await_ready(struct launch_container *container, struct launch_process *init,
                              struct error **err) {
    struct sync_message message;
    int result;
    fault_mark("launch/limited");
    do {
        result = launch_receive(init, &message, &init->console_fd, err);
        if (result == 0 && message.type == SYNC_MOUNTED)
            result = launch_run_hooks(container, init->sync_fd, err);
        else if (result == 0 && message.type == SYNC_LISTENER)
            result = launch_forward_listener(container, init->sync_fd, message.pid, err);
    } while (result == 0 && (message.type == SYNC_MOUNTED || message.type == SYNC_LISTENER));
    if (result == 0 && message.type == SYNC_READY)
        return 0;
    if (result == 0 && message.type == SYNC_END) {
        launch_report_death(container, init->pid, err);
    } else {
        launch_reap(init->pid, container->init_pidfd);
        if (result == 0)
            sync_adopt(&message, err);
    }
    container->init_pid = 0;
    return -1;
}

/* Of a container with a user namespace: the helper tells the pid of its init, which is a child of
 * this process, and leaves. On failure both are reaped. */
static int launch_adopt(struct launch_container *container, struct launch_process *init,
                        struct error **err) {
    struct sync_message message;
    pid_t helper = init->pid;
    int result = launch_receive(init, &message, NULL, err);
    bool told = result == 0 && message.type == SYNC_PID;
    if (result == 0 && message.type == SYNC_END) {
        container->init_pid = 0;
        return launch_report_death(container, helper, err);
    }
    if (!told) {
        launch_reap(helper, container->init_pidfd);
        container->init_pid = 0;
        if (result == 0 && message.type != SYNC_FAILED)
            return error_setf(err, ESRCH, "init", "", "the helper of the container's init ended");
        return result < 0 ? -1 : sync_adopt(&message, err);
    }
    int status;
    while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
        continue;
    close(steal_fd(&container->init_pidfd));
    init->pid = container->init_pid = message.pid;
    container->init_pidfd = sys_pidfd_open(message.pid);
    return container->init_pidfd < 0 ? error_set(err, errno, "pidfd_open", "the init") : 0;
}

/* The init is ready, and stands in its user namespace if it has one. What only its parent may set.
 */
static int launch_settle(const struct launch_container *container,
                         const struct launch_process *init, const struct launch_stdio *stdio,
                         struct error **err) {
    struct id_maps maps;
    struct config *config = container->config;
    if (scheduling_apply(&config->process.scheduling, init->pid, err) < 0)
        return -1;
    if (config_namespace(config, CLONE_NEWUSER) == NULL)
        return 0;
    if (id_maps_of(init->pid, &config->arena, &maps, err) < 0 ||
        user_namespace_check(config, &maps, err) < 0)
        return -1;
    if (!config->process.terminal)
        user_namespace_own_stdio(stdio, &config->process, &maps);
    return 0;
}

/* parent_fd: the parent's end of the channel, which the child must not keep open. */
static pid_t launch_fork_init(struct launch_container *container, const struct init *init,
                              int parent_fd, struct error **err) {
    int cgroup_fd = cgroup_clone_fd(container->cgroup);
    bool mapped = namespaces_user(init->namespaces) >= 0;
    pid_t pid = mapped ? namespaces_fork_helper(cgroup_fd, &container->init_pidfd, err)
                       : namespaces_fork(init->namespaces, cgroup_fd, &container->init_pidfd, err);
    if (pid != 0)
        return pid;
    close(parent_fd);
    if (mapped)
        init_run_mapped(init);
    init_run(init);
}

static int launch_fork(struct launch_container *container, const struct launch_options *options,
                       const struct namespaces *namespaces, const struct launch_stdio *stdio,
                       struct launch_process *init, struct error **err) {
    int ends[2];
    if (sync_open(ends, err) < 0)
        return -1;
    const struct init request = {container, options, namespaces, stdio, ends[1]};
    pid_t pid = launch_fork_init(container, &request, ends[0], err);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return -1;
    }
    container->existed = true;
    container->init_pid = pid;
    fault_mark("launch/forked");
    *init = (struct launch_process){.pid = pid, .console_fd = -1, .sync_fd = ends[0]};
    /* The limits are written while the child mounts: on two processors it costs no time. They bind
     * before SYNC_GO, and nothing of the image runs until then. */
    if (namespaces_user(namespaces) >= 0 && launch_adopt(container, init, err) < 0) {
        close(steal_fd(&init->sync_fd));
        return -1;
    }
    if (cgroup_limit(container->cgroup, &container->config->resources, err) < 0) {
        launch_reap(init->pid, container->init_pidfd);
        container->init_pid = 0;
    } else if (launch_await_ready(container, init, err) == 0) {
        if (launch_settle(container, init, stdio, err) == 0) {
            cgroup_settle(container->cgroup);
            fault_mark("launch/ready");
            container->init_sync_fd = init->sync_fd;
            return 0;
        }
        launch_reap(init->pid, container->init_pidfd);
        container->init_pid = 0;
    }
    if (init->console_fd >= 0)
        close(steal_fd(&init->console_fd));
    close(steal_fd(&init->sync_fd));
    return -1;
}

static int launch_extend_environment(struct config *config, const struct launch_options *options,
                                     struct error **err) {
    struct text_list *env = &config->process.env;
    size_t added = 0;
    while (options->environment != NULL && options->environment[added] != NULL)
        added++;
    if (added == 0)
        return 0;
    const char **items = arena_array(&config->arena, env->count + added + 1, sizeof(*items));
    if (items == NULL)
        return fields_no_memory(err);
    memcpy(items, env->items, env->count * sizeof(*items));
    memcpy(items + env->count, options->environment, added * sizeof(*items));
    *env = (struct text_list){items, env->count + added};
    return 0;
}

static int launch_prepare(struct launch_container *container, const struct launch_options *options,
                          struct error **err) {
    struct cgroup_request request;
    if (config_load(options->config_folder == NULL ? container->bundle : options->config_folder,
                    container->bundle, &container->config, err) < 0 ||
        launch_extend_environment(container->config, options, err) < 0)
        return -1;
    /* In a user namespace there are all. */
    if (config_namespace(container->config, CLONE_NEWUSER) == NULL)
        capabilities_limit(&container->config->process.capabilities);
    if (filter_prepare(container->config->seccomp, options->seccomp_cache, &container->filter,
                       err) < 0 ||
        launch_name_cgroup(container, options->systemd_cgroup, &request, err) < 0 ||
        cgroup_create(&request, &container->cgroup, err) < 0)
        return -1;
    fault_mark("launch/cgroups-made");
    return cgroup_limit_devices(container->cgroup, &container->config->resources, err);
}

int launch_create(const struct launch_options *options, const struct launch_stdio *stdio,
                  struct launch_container **out, struct launch_process *init, struct error **err) {
    struct namespaces namespaces;
    cleanup_free char *bundle = realpath(options->bundle, NULL);
    if (bundle == NULL)
        return error_set(err, errno, "open the bundle", options->bundle);
    struct launch_container *container = launch_new(options, bundle, err);
    if (container == NULL)
        return -1;
    if (launch_prepare(container, options, err) < 0) {
        launch_destroy(container);
        return -1;
    }
    int result = namespaces_open(container->config, &namespaces, err);
    if (result == 0)
        result = idmap_open(container->config, namespaces_user(&namespaces), err);
    if (result == 0)
        result = launch_fork(container, options, &namespaces, stdio, init, err);
    idmap_close(container->config);
    namespaces_close(&namespaces);
    if (result < 0) {
        launch_destroy(container);
        return -1;
    }
    *out = container;
    return 0;
}

int launch_start(struct launch_container *container, struct launch_process *init,
                 struct error **err) {
    struct sync_message message;
    int result = -1;
    if (sync_send(init->sync_fd, SYNC_GO, 0, -1) < 0)
        error_setf(err, errno, "start", "", "the container's init is gone: %s", strerror(errno));
    else if (launch_receive(init, &message, NULL, err) == 0)
        /* End-of-file: exec closed the other end. (Or the init was killed in front of it, which its
         * parent sees as it sees a program that was killed.) */
        result = message.type == SYNC_END ? 0 : sync_adopt(&message, err);
    else
        launch_signal(container, SIGKILL, NULL);
    fault_mark("launch/executing");
    close(steal_fd(&init->sync_fd));
    container->init_sync_fd = -1;
    if (result == 0) {
        struct hooks_container about = launch_about(container);
        hooks_run_all(&container->config->hooks, HOOKS_POSTSTART, &about, container->bundle);
    }
    return result;
}

bool launch_terminal(const struct launch_container *container) {
    return container->config->process.terminal;
}

const struct config *launch_config(const struct launch_container *container) {
    return container->config;
}

struct cgroup *launch_cgroup(const struct launch_container *container) {
    return container->cgroup;
}

int launch_signal(const struct launch_container *container, int signal, struct error **err) {
    if (container->init_pidfd < 0 || sys_pidfd_send_signal(container->init_pidfd, signal) < 0)
        return error_setf(err, container->init_pidfd < 0 ? ESRCH : errno, "kill", container->id,
                          "container not running");
    return 0;
}

int launch_kill_all(struct launch_container *container, int signal, struct error **err) {
    if (container->cgroup == NULL)
        return 0;
    return cgroup_kill(container->cgroup, signal, err);
}

bool launch_owns_pids(const struct launch_container *container) {
    const struct config_namespace *pid = config_namespace(container->config, CLONE_NEWPID);
    return pid != NULL && pid->path == NULL;
}

bool launch_oom_killed(const struct launch_container *container) {
    return container->cgroup != NULL && cgroup_oom_kills(container->cgroup) > 0;
}
