/* The contents of state.json, and what they mean by now. See state.h; state_folder.c is the folder
 * that they lie in. */
#define _GNU_SOURCE
#include "state.h"
#include "../../common/cleanup.h"
#include "../launch/cgroup.h"
#include "../launch/config.h"
#include "../launch/syscalls.h"
#include "process_time.h"
#include "state_folder.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

enum {
    END_MS = 10 * 1000,
};

int state_save(const struct state *state, struct error **err) {
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:i, s:s, s:I}", "id", state->id, "bundle",
                  state->bundle, "rootfs", state->rootfs, "created", state->created,
                  "systemdCgroup", state->systemd_cgroup, "ownsPids", state->owns_pids, "pid",
                  (int)state->pid, "boot", state->boot, "pidStart", (json_int_t)state->pid_start);
    if (json != NULL && state->annotations != NULL)
        json_object_set(json, "annotations", state->annotations);
    cleanup_free char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (text == NULL)
        return error_set(err, ENOMEM, "write", "state.json");
    return state_folder_write(state->folder_fd, "state.json", text, strlen(text), err);
}

static int state_fill(struct state *state, struct error **err) {
    size_t length = 0;
    struct timespec now;
    struct tm parts;
    char seconds[40];
    cleanup_free char *path = NULL;
    if (asprintf(&path, "%s/config.json", state->bundle) < 0) {
        path = NULL;
        return error_set(err, ENOMEM, "create", state->id);
    }
    cleanup_free char *text = state_folder_read(AT_FDCWD, path, &length, err);
    if (text == NULL || state_folder_write(state->folder_fd, "config.json", text, length, err) < 0)
        return -1;
    state->rootfs = strdup("");
    process_time_boot(state->boot, sizeof(state->boot));
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &parts);
    if (asprintf(&state->created, "%s.%09ldZ", seconds, now.tv_nsec) < 0) {
        state->created = NULL;
    }
    if (state->created == NULL || state->rootfs == NULL)
        return error_set(err, ENOMEM, "create", state->id);
    return state_save(state, err);
}

int state_create(const struct oci_global *global, const char *id, const char *bundle,
                 struct state **out, struct error **err) {
    struct state *state = state_folder_new(global, id, true, err);
    if (state == NULL)
        return -1;
    state->systemd_cgroup = global->systemd_cgroup;
    state->bundle = realpath(bundle, NULL);
    if (state->bundle == NULL)
        error_set(err, errno, "open the bundle", bundle);
    if (state->bundle == NULL || state_fill(state, err) < 0) {
        state_remove(state, NULL);
        state_close(state);
        return -1;
    }
    *out = state;
    return 0;
}

static char *state_copy(const json_t *json, const char *key) {
    const char *text = json_string_value(json_object_get(json, key));
    return strdup(text == NULL ? "" : text);
}

static int state_parse(struct state *state, const char *text, size_t length, struct error **err) {
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(json)) {
        json_decref(json);
        return error_setf(err, EINVAL, "read", state->id, "%s/state.json is broken", state->folder);
    }
    const char *boot = json_string_value(json_object_get(json, "boot"));
    state->bundle = state_copy(json, "bundle");
    state->rootfs = state_copy(json, "rootfs");
    state->created = state_copy(json, "created");
    state->annotations = json_incref(json_object_get(json, "annotations"));
    state->systemd_cgroup = json_is_true(json_object_get(json, "systemdCgroup"));
    state->owns_pids = json_is_true(json_object_get(json, "ownsPids"));
    state->pid = (pid_t)json_integer_value(json_object_get(json, "pid"));
    state->pid_start = (unsigned long long)json_integer_value(json_object_get(json, "pidStart"));
    snprintf(state->boot, sizeof(state->boot), "%s", boot == NULL ? "" : boot);
    json_decref(json);
    if (state->bundle == NULL || state->rootfs == NULL || state->created == NULL)
        return error_set(err, ENOMEM, "read", state->id);
    return 0;
}

int state_open(const struct oci_global *global, const char *id, bool lock, struct state **out,
               struct error **err) {
    size_t length = 0;
    struct state *state = state_folder_new(global, id, false, err);
    if (state == NULL)
        return -1;
    if (lock && state_folder_lock(state, err) < 0) {
        state_close(state);
        return -1;
    }
    cleanup_free char *text = state_folder_read(state->folder_fd, "state.json", &length, err);
    if (text == NULL && err != NULL && *err != NULL && (*err)->number == ENOENT)
        error_setf(err, ENOENT, "open", id, "container does not exist");
    if (text == NULL || state_parse(state, text, length, err) < 0) {
        state_close(state);
        return -1;
    }
    *out = state;
    return 0;
}

int state_open_broken(const struct oci_global *global, const char *id, struct state **out,
                      struct error **err) {
    struct state *state = state_folder_new(global, id, false, err);
    if (state == NULL)
        return -1;
    if (state_folder_lock(state, err) < 0) {
        state_close(state);
        return -1;
    }
    *out = state;
    return 0;
}

int state_set_init(struct state *state, const struct launch_container *container, pid_t pid,
                   struct error **err) {
    const struct config *config = launch_config(container);
    state->pid = pid;
    state->pid_start = process_time_start(pid);
    if (state->pid_start == 0)
        return error_setf(err, ESRCH, "create", state->id,
                          "the container's init, process %d, is not to be found in /proc",
                          (int)pid);
    state->owns_pids = launch_owns_pids(container);
    if (config->annotations != NULL)
        state->annotations = json_incref((json_t *)config->annotations);
    free(state->rootfs);
    state->rootfs = strdup(config->root);
    return state->rootfs == NULL ? error_set(err, ENOMEM, "create", state->id) : 0;
}

bool state_is_alive(const struct state *state) {
    char boot[sizeof(state->boot)];
    if (state->pid <= 0)
        return false;
    process_time_boot(boot, sizeof(boot));
    return strcmp(boot, state->boot) == 0 && state->pid_start != 0 &&
           process_time_start(state->pid) == state->pid_start;
}

int state_await_end(const struct state *state, struct error **err) {
    cleanup_close int pidfd = sys_pidfd_open(state->pid);
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    if (pidfd < 0 || !state_is_alive(state))
        return 0;
    if (poll(&end, 1, END_MS) == 0)
        return error_setf(err, ETIMEDOUT, "wait for", state->id, "process %d did not end in %d s",
                          (int)state->pid, END_MS / 1000);
    return 0;
}

enum state_status state_status(const struct state *state,
                               const struct launch_container *container) {
    if (state->pid == 0)
        /* Whoever creates it holds the lock. */
        return !state->locked && state_folder_is_locked(state) ? STATE_CREATING : STATE_STOPPED;
    if (!state_is_alive(state))
        return STATE_STOPPED;
    if (faccessat(state->folder_fd, STATE_START_SOCKET, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return STATE_CREATED;
    const struct cgroup *cgroup = container == NULL ? NULL : launch_cgroup(container);
    return cgroup != NULL && cgroup_is_frozen(cgroup) ? STATE_PAUSED : STATE_RUNNING;
}

int state_find_status(const struct state *state, enum state_status *out, struct error **err) {
    struct launch_container *container = NULL;
    *out = state_status(state, NULL);
    if (*out != STATE_RUNNING)
        return 0;
    if (state_launch(state, NULL, &container, err) < 0)
        return -1;
    *out = state_status(state, container);
    launch_leave(container);
    return 0;
}

const char *state_status_name(enum state_status status) {
    static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};
    return names[status];
}

int state_launch(const struct state *state, const struct launch_options *extra,
                 struct launch_container **out, struct error **err) {
    struct launch_options options = extra == NULL ? (struct launch_options){0} : *extra;
    options.bundle = state->bundle;
    options.config_folder = state->folder;
    options.id = state->id;
    options.seccomp_cache = state->seccomp_cache;
    options.systemd_cgroup = state->systemd_cgroup;
    bool alive = state_is_alive(state);
    if (launch_open(&options, alive ? state->pid : 0, out, err) < 0) {
        /* It ended meanwhile: what is left is opened. */
        if (!alive || state_is_alive(state))
            return -1;
        error_free(*err);
        *err = NULL;
        return launch_open(&options, 0, out, err);
    }
    /* By now its number is held by a pidfd; is it still its own? */
    if (!alive || state_is_alive(state))
        return 0;
    launch_leave(*out);
    return launch_open(&options, 0, out, err);
}

json_t *state_to_json(const struct state *state, enum state_status status) {
    bool alive = status != STATE_STOPPED && status != STATE_CREATING;
    json_t *json = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s}", "ociVersion", "1.2.0",
                             "id", state->id, "pid", alive ? (int)state->pid : 0, "status",
                             state_status_name(status), "bundle", state->bundle, "rootfs",
                             state->rootfs, "created", state->created, "owner", "");
    if (json != NULL && state->annotations != NULL)
        json_object_set(json, "annotations", state->annotations);
    return json;
}

void state_close(struct state *state) {
    if (state == NULL)
        return;
    if (state->folder_fd >= 0)
        close(state->folder_fd);
    json_decref(state->annotations);
    free(state->id);
    free(state->folder);
    free(state->seccomp_cache);
    free(state->bundle);
    free(state->rootfs);
    free(state->created);
    free(state);
}
