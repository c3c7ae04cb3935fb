/* See systemd_scope.h. */
#define _GNU_SOURCE
#include "systemd_scope.h"
#include "../../common/cleanup.h"
#include "../../common/warn.h"
#include "syscalls.h"
#include "systemd_bus.h"
#include "systemd_manager.h"
#include "systemd_properties.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

static int scope_no_memory(struct error **err) {
    return error_set(err, ENOMEM, "cgroup", "");
}

int systemd_scope_new(const struct cgroup_request *request, struct systemd_scope **out,
                      struct error **err) {
    struct systemd_scope *scope = calloc(1, sizeof(*scope));
    if (scope == NULL)
        return scope_no_memory(err);
    if (systemd_unit_parse(request->path, &scope->unit, err) < 0) {
        free(scope);
        return -1;
    }
    *out = scope;
    return 0;
}

/* Waits for a signal, without a descriptor of ours: it outlives nothing but the moment. */
static void scope_placeholder_run(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    sys_close_range(0, ~0U, 0);
    for (;;)
        pause();
}

/* No exit signal: whoever reaps the children of this process does not meet it. */
static int scope_placeholder(struct systemd_scope *scope, struct error **err) {
    struct clone3_arguments arguments = {0};
    pid_t parent = getpid();
    pid_t pid = sys_clone3(&arguments);
    /* Filters answer ENOSYS: an ordinary fork then. */
    if (pid < 0 && errno == ENOSYS)
        pid = fork();
    if (pid == 0)
        scope_placeholder_run(parent);
    if (pid < 0)
        return error_set(err, errno, "fork", "the placeholder of a scope");
    scope->placeholder = pid;
    return 0;
}

void systemd_scope_settle(struct systemd_scope *scope) {
    if (scope->placeholder == 0)
        return;
    kill(scope->placeholder, SIGKILL);
    while (waitpid(scope->placeholder, NULL, __WALL) < 0 && errno == EINTR)
        continue;
    scope->placeholder = 0;
}

static void scope_put_start(struct systemd_message *body, const struct systemd_scope *scope,
                            const char *id) {
    char description[256];
    snprintf(description, sizeof(description), "mydock container %s", id);
    systemd_put_text(body, scope->unit.scope);
    systemd_put_text(body, "fail");
    struct systemd_array properties = systemd_begin_array(body, 8);
    systemd_property_text(body, "Description", description);
    systemd_property_text(body, "Slice", scope->unit.slice);
    /* A failed scope is forgotten as well: its name is free for the container's next run. */
    systemd_property_text(body, "CollectMode", "inactive-or-failed");
    systemd_property_flag(body, "Delegate", true);
    systemd_property_flag(body, "DefaultDependencies", false);
    systemd_property_flag(body, "MemoryAccounting", true);
    systemd_property_flag(body, "CPUAccounting", true);
    systemd_property_flag(body, "IOAccounting", true);
    systemd_property_flag(body, "TasksAccounting", true);
    systemd_put_align(body, 8);
    systemd_put_text(body, "PIDs");
    systemd_put_signature(body, "au");
    struct systemd_array pids = systemd_begin_array(body, 4);
    systemd_put_u32(body, (uint32_t)scope->placeholder);
    systemd_end_array(body, pids);
    systemd_end_array(body, properties);
    /* Auxiliary units: none. */
    systemd_end_array(body, systemd_begin_array(body, 8));
}

static int scope_start(struct systemd_bus *bus, const struct systemd_scope *scope, const char *id,
                       struct error **err) {
    struct systemd_message body = {0};
    scope_put_start(&body, scope, id);
    const struct systemd_call call = {NULL,
                                      SYSTEMD_MANAGER,
                                      SYSTEMD_MANAGER_INTERFACE,
                                      "StartTransientUnit",
                                      "ssa(sv)a(sa(sv))",
                                      &body,
                                      false};
    int result = systemd_bus_call(bus, &call, NULL, err);
    systemd_message_free(&body);
    return result;
}

int systemd_scope_start(struct systemd_scope *scope, const char *id, struct error **err) {
    struct systemd_bus bus;
    struct error *failure = NULL;
    if (systemd_bus_open(&bus, err) < 0)
        return -1;
    int result = scope_placeholder(scope, &failure);
    if (result == 0)
        result = scope_start(&bus, scope, id, &failure);
    if (result < 0 && systemd_is_loaded_unit(failure)) {
        error_free(failure);
        failure = NULL;
        result = systemd_manager_clear(&bus, scope->unit.scope, &failure);
        if (result == 0)
            result = scope_start(&bus, scope, id, &failure);
    }
    if (result == 0) {
        result = systemd_manager_await(&bus, scope->unit.scope, &failure);
        if (result < 0)
            systemd_manager_stop(&bus, scope->unit.scope, NULL);
    }
    systemd_bus_close(&bus);
    if (result < 0 && err != NULL)
        *err = failure;
    else
        error_free(failure);
    return result;
}

typedef void scope_put(struct systemd_message *message, const struct cgroup *cgroup,
                       const struct resources *resources);

/* systemd writes a unit's limits after its answer, when it next looks for events: once it has
 * answered another call it has written them. */
static int scope_set(const struct systemd_scope *scope, const struct cgroup *cgroup,
                     const struct resources *resources, scope_put *put, struct error **err) {
    struct systemd_bus bus;
    struct systemd_message body = {0};
    char state[SYSTEMD_STATE_BYTES];
    systemd_put_text(&body, scope->unit.scope);
    systemd_put_flag(&body, true);
    struct systemd_array properties = systemd_begin_array(&body, 8);
    size_t empty = body.length;
    put(&body, cgroup, resources);
    systemd_end_array(&body, properties);
    int result = 0;
    if (body.length > empty || body.failed) {
        const struct systemd_call call = {
            NULL, SYSTEMD_MANAGER, SYSTEMD_MANAGER_INTERFACE, "SetUnitProperties", "sba(sv)", &body,
            false};
        result = systemd_bus_open(&bus, err);
        if (result == 0) {
            result = systemd_bus_call(&bus, &call, NULL, err);
            if (result == 0)
                result = systemd_manager_state(&bus, scope->unit.scope, state, err);
            systemd_bus_close(&bus);
        }
    }
    systemd_message_free(&body);
    return result;
}

int systemd_scope_limit(const struct systemd_scope *scope, const struct cgroup *cgroup,
                        const struct resources *resources, struct error **err) {
    return scope_set(scope, cgroup, resources, systemd_properties_limits, err);
}

static void scope_put_devices(struct systemd_message *message, const struct cgroup *cgroup,
                              const struct resources *resources) {
    if (cgroup_find_v1(cgroup, "devices") != NULL)
        systemd_properties_devices(message, resources);
}

int systemd_scope_limit_devices(const struct systemd_scope *scope, const struct cgroup *cgroup,
                                const struct resources *resources, struct error **err) {
    return scope_set(scope, cgroup, resources, scope_put_devices, err);
}

static int scope_end(const struct systemd_scope *scope, struct error **err) {
    struct systemd_bus bus;
    if (systemd_bus_open(&bus, err) < 0)
        return -1;
    int result = systemd_manager_stop(&bus, scope->unit.scope, err);
    systemd_bus_close(&bus);
    return result;
}

void systemd_scope_stop(struct systemd_scope *scope) {
    struct error *err = NULL;
    if (scope == NULL)
        return;
    systemd_scope_settle(scope);
    if (scope_end(scope, &err) < 0) {
        warn("warning: cannot stop %s: %s", scope->unit.scope, err->message);
        error_free(err);
    }
    systemd_scope_free(scope);
}

void systemd_scope_free(struct systemd_scope *scope) {
    if (scope == NULL)
        return;
    systemd_scope_settle(scope);
    systemd_unit_free(&scope->unit);
    free(scope);
}
