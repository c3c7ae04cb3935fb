/* A container as this process knows it: made, opened, let go, destroyed. See launch_container.h. */
#define _GNU_SOURCE
#include "launch_container.h"
#include "../../common/cleanup.h"
#include "syscalls.h"
#include <errno.h>
#include <string.h>

struct hooks_container launch_about(const struct launch_container *container) {
    return (struct hooks_container){container->id, container->bundle,
                                    container->config->annotations, container->init_pid};
}

int launch_name_cgroup(struct launch_container *container, bool systemd,
                       struct cgroup_request *request, struct error **err) {
    struct config *config = container->config;
    if (config->cgroups_path == NULL) {
        const char *format = systemd ? "system.slice:mydock:%s" : "/mydock/%s";
        config->cgroups_path = arena_format(&config->arena, format, container->id);
        if (config->cgroups_path == NULL)
            return fields_no_memory(err);
    }
    *request = (struct cgroup_request){config->cgroups_path, container->id, systemd};
    return 0;
}

struct launch_container *launch_new(const struct launch_options *options, const char *bundle,
                                    struct error **err) {
    struct launch_container *container = calloc(1, sizeof(*container));
    if (container == NULL) {
        fields_no_memory(err);
        return NULL;
    }
    container->init_pidfd = -1;
    container->init_sync_fd = -1;
    container->outlives = options->outlives;
    container->keep_keyring = options->keep_keyring;
    container->preserve = options->preserve;
    const char *slash = strrchr(bundle, '/');
    container->bundle = strdup(bundle);
    container->id = strdup(options->id != NULL ? options->id : slash == NULL ? bundle : slash + 1);
    if (container->bundle != NULL && container->id != NULL)
        return container;
    fields_no_memory(err);
    launch_leave(container);
    return NULL;
}

static int launch_open_parts(struct launch_container *container,
                             const struct launch_options *options, pid_t init, struct error **err) {
    struct cgroup_request request;
    if (config_load(options->config_folder, container->bundle, &container->config, err) < 0 ||
        launch_name_cgroup(container, options->systemd_cgroup, &request, err) < 0)
        return -1;
    /* After a reboot, or once somebody has cleaned up, there is none. */
    if (cgroup_open(&request, &container->cgroup, err) < 0) {
        if (err == NULL || *err == NULL || (*err)->number != ENOENT)
            return -1;
        error_free(*err);
        *err = NULL;
    }
    if (init > 0) {
        container->init_pid = init;
        container->init_pidfd = sys_pidfd_open(init);
        if (container->init_pidfd < 0)
            return error_set(err, errno, "pidfd_open", container->id);
    }
    return 0;
}

int launch_open(const struct launch_options *options, pid_t init, struct launch_container **out,
                struct error **err) {
    struct launch_container *container = launch_new(options, options->bundle, err);
    if (container == NULL)
        return -1;
    if (launch_open_parts(container, options, init, err) < 0) {
        launch_leave(container);
        return -1;
    }
    container->existed = true;
    *out = container;
    return 0;
}

int launch_open_exec(struct launch_container *container, const struct launch_options *options,
                     struct error **err) {
    return filter_prepare(container->config->seccomp, options->seccomp_cache, &container->filter,
                          err);
}

void launch_destroy(struct launch_container *container) {
    if (container == NULL)
        return;
    /* A created init that never started leaves by itself when its channel closes. */
    if (container->init_sync_fd >= 0)
        close(steal_fd(&container->init_sync_fd));
    cgroup_destroy(container->cgroup);
    container->cgroup = NULL;
    if (container->existed) {
        struct hooks_container about = launch_about(container);
        about.pid = 0;
        hooks_run_all(&container->config->hooks, HOOKS_POSTSTOP, &about, container->bundle);
    }
    launch_leave(container);
}

void launch_leave(struct launch_container *container) {
    if (container == NULL)
        return;
    if (container->init_sync_fd >= 0)
        close(container->init_sync_fd);
    cgroup_close(container->cgroup);
    config_free(container->config);
    filter_free(&container->filter);
    if (container->init_pidfd >= 0)
        close(container->init_pidfd);
    free(container->id);
    free(container->bundle);
    free(container);
}
