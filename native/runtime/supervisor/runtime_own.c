/* mydock-runtime as the runtime of its own supervisor: ../launch, within this process. See
 * runtime.h. */
#include "../../common/warn.h"
#include "../launch/fields.h"
#include "runtime.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct own {
    struct runtime runtime;
    const struct supervisor_config *config;
    const char *bundle;
    /* NULL before create and after it has failed. */
    struct launch_container *container;
};

static struct own *own_of(struct runtime *runtime) {
    return (struct own *)runtime;
}

static int own_create(struct runtime *runtime, const struct launch_stdio *stdio,
                      struct launch_process *init, struct error **err) {
    struct own *own = own_of(runtime);
    struct launch_options options = {.bundle = own->bundle,
                                     .id = own->config->id,
                                     .seccomp_cache = own->config->seccomp_cache,
                                     .systemd_cgroup = own->config->systemd_cgroup};
    int result = launch_create(&options, stdio, &own->container, init, err);
    if (result != 0)
        own->container = NULL;
    return result;
}

static int own_start(struct runtime *runtime, struct launch_process *init, struct error **err) {
    return launch_start(own_of(runtime)->container, init, err);
}

static void own_exec(struct runtime *runtime, const json_t *process,
                     const struct launch_stdio *stdio, struct runtime_exec *exec) {
    struct launch_process made = {.pid = 0, .console_fd = -1, .sync_fd = -1};
    struct error *err = NULL;
    if (launch_exec(own_of(runtime)->container, process, stdio, &made, &err) == 0)
        exec->done(exec, &made, NULL, NULL);
    else
        exec->done(exec, NULL, NULL, err);
}

static void own_signal(struct runtime *runtime, pid_t init, int signal) {
    (void)runtime;
    if (kill(init, signal) != 0)
        warn("kill %d with signal %d: %s", init, signal, strerror(errno));
}

static int own_kill_all(struct runtime *runtime, int signal, struct error **err) {
    return launch_kill_all(own_of(runtime)->container, signal, err);
}

static bool own_owns_pids(const struct runtime *runtime) {
    return launch_owns_pids(((const struct own *)runtime)->container);
}

static bool own_oom_killed(const struct runtime *runtime) {
    return launch_oom_killed(((const struct own *)runtime)->container);
}

static const struct cgroup *own_cgroup(const struct runtime *runtime) {
    return launch_cgroup(((const struct own *)runtime)->container);
}

static void own_destroy(struct runtime *runtime) {
    launch_destroy(own_of(runtime)->container);
    free(runtime);
}

static const struct runtime_operations own_operations = {
    .create = own_create,
    .start = own_start,
    .exec = own_exec,
    .signal = own_signal,
    .kill_all = own_kill_all,
    .owns_pids = own_owns_pids,
    .oom_killed = own_oom_killed,
    .cgroup = own_cgroup,
    .destroy = own_destroy,
};

int runtime_own_open(const struct supervisor_config *config, const char *bundle,
                     struct runtime **out, struct error **err) {
    struct own *own = calloc(1, sizeof(*own));
    if (own == NULL)
        return fields_no_memory(err);
    own->runtime.operations = &own_operations;
    own->config = config;
    own->bundle = bundle;
    *out = &own->runtime;
    return 0;
}
