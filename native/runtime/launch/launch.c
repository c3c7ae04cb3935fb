/* The parent's side of a container: create, start, signals, destroy. See launch.h; init.c is the
 * child's side. */
#define _GNU_SOURCE
#include "launch.h"
#include "../../common/cleanup.h"
#include "capabilities.h"
#include "idmap.h"
#include "init.h"
#include "launch_container.h"
#include "sync.h"
#include "syscalls.h"
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

/* Waits until the init stands in front of its exec. On failure it is reaped. */
static int launch_await_ready(const struct launch_container *container, struct launch_process *init,
                              struct error **err) {
    struct sync_message message;
    if (sync_receive(init->sync_fd, &message, &init->console_fd, err) < 0) {
        launch_reap(init->pid, container->init_pidfd);
        return -1;
    }
    if (message.type == SYNC_READY)
        return 0;
    if (message.type == SYNC_END)
        return launch_report_death(container, init->pid, err);
    launch_reap(init->pid, container->init_pidfd);
    return sync_adopt(&message, err);
}

static int launch_fork(struct launch_container *container, const char *bundle,
                       const struct namespaces *namespaces, const struct launch_stdio *stdio,
                       struct launch_process *init, struct error **err) {
    int ends[2];
    if (sync_open(ends, err) < 0)
        return -1;
    pid_t pid = namespaces_fork(namespaces, cgroup_clone_fd(container->cgroup),
                                &container->init_pidfd, err);
    if (pid == 0) {
        close(ends[0]);
        init_run(&(struct init){container->config, container->cgroup, namespaces,
                                &container->filter, stdio, bundle, ends[1]});
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return -1;
    }
    *init = (struct launch_process){.pid = pid, .console_fd = -1, .sync_fd = ends[0]};
    /* The limits are written while the child mounts: on two processors it costs no time. They bind
     * before SYNC_GO, and nothing of the image runs until then. */
    if (cgroup_limit(container->cgroup, &container->config->resources, err) < 0)
        launch_reap(pid, container->init_pidfd);
    else if (launch_await_ready(container, init, err) == 0) {
        container->init_sync_fd = init->sync_fd;
        return 0;
    }
    close(steal_fd(&init->sync_fd));
    return -1;
}

static int launch_prepare(struct launch_container *container, const char *bundle,
                          const struct launch_options *options, struct error **err) {
    struct cgroup_request request = {.id = options->id, .systemd = options->systemd_cgroup};
    if (config_load(bundle, &container->config, err) < 0)
        return -1;
    capabilities_limit(&container->config->process.capabilities);
    if (filter_prepare(container->config->seccomp, options->seccomp_cache, &container->filter,
                       err) < 0)
        return -1;
    request.path = container->config->cgroups_path;
    if (cgroup_create(&request, &container->cgroup, err) < 0)
        return -1;
    return cgroup_limit_devices(container->cgroup, &container->config->resources, err);
}

int launch_create(const struct launch_options *options, const struct launch_stdio *stdio,
                  struct launch_container **out, struct launch_process *init, struct error **err) {
    char path[PATH_MAX];
    struct namespaces namespaces;
    struct launch_container *container = calloc(1, sizeof(*container));
    if (container == NULL)
        return fields_no_memory(err);
    container->init_pidfd = -1;
    container->init_sync_fd = -1;
    if (realpath(options->bundle, path) == NULL) {
        error_set(err, errno, "open the bundle", options->bundle);
        launch_destroy(container);
        return -1;
    }
    if (launch_prepare(container, path, options, err) < 0) {
        launch_destroy(container);
        return -1;
    }
    int result = namespaces_open(container->config, &namespaces, err);
    if (result == 0)
        result = idmap_open(container->config, err);
    if (result == 0)
        result = launch_fork(container, path, &namespaces, stdio, init, err);
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
    else if (sync_receive(init->sync_fd, &message, NULL, err) == 0)
        /* End-of-file: exec closed the other end. (Or the init was killed in front of it, which its
         * parent sees as it sees a program that was killed.) */
        result = message.type == SYNC_END ? 0 : sync_adopt(&message, err);
    close(steal_fd(&init->sync_fd));
    container->init_sync_fd = -1;
    return result;
}

bool launch_terminal(const struct launch_container *container) {
    return container->config->process.terminal;
}

int launch_kill_all(struct launch_container *container, int signal, struct error **err) {
    return cgroup_kill(container->cgroup, signal, err);
}

bool launch_owns_pids(const struct launch_container *container) {
    const struct config_namespace *pid = config_namespace(container->config, CLONE_NEWPID);
    return pid != NULL && pid->path == NULL;
}

bool launch_oom_killed(const struct launch_container *container) {
    return cgroup_oom_kills(container->cgroup) > 0;
}

void launch_destroy(struct launch_container *container) {
    if (container == NULL)
        return;
    if (container->init_sync_fd >= 0)
        close(container->init_sync_fd);
    cgroup_destroy(container->cgroup);
    config_free(container->config);
    filter_free(&container->filter);
    if (container->init_pidfd >= 0)
        close(container->init_pidfd);
    free(container);
}
