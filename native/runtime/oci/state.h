/*
 * What is remembered of a container between two calls of the runtime: the folder ROOT/ID, open for
 * nobody but its owner.
 *
 *   state.json   what is below; replaced, never changed
 *   config.json  the bundle's at the time of the creation
 *   start        the socket over which a created init waits for its start; gone once that was tried
 *
 * The folder itself is locked (flock) by the verbs that change something, so that creations, starts
 * and deletions of one container come one after the other. Reading needs no lock.
 */
#ifndef MYDOCK_OCI_STATE_H
#define MYDOCK_OCI_STATE_H

#include "../../common/error.h"
#include "../launch/launch.h"
#include "oci.h"
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* Beside the containers' folders: no ID has a colon. */
#define STATE_SECCOMP_CACHE ":seccomp"
#define STATE_START_SOCKET "start"

enum state_status {
    STATE_CREATING,
    STATE_CREATED,
    STATE_RUNNING,
    STATE_PAUSED,
    STATE_STOPPED,
};

struct state {
    char *id;
    /* ROOT/ID, its descriptor (which holds the lock, if any), and ROOT/:seccomp. */
    char *folder;
    int folder_fd;
    bool locked;
    char *seccomp_cache;

    /* state.json, from here on. */
    char *bundle, *rootfs, *created;
    json_t *annotations;
    bool systemd_cgroup;
    /* The init has a pid namespace of its own. */
    bool owns_pids;
    /* 0: not known yet. */
    pid_t pid;
    unsigned long long pid_start;
    char boot[40];
};

/* An ID is 1 to 255 letters, digits and _+-., and not "." or "..". */
int state_check_id(const char *id, struct error **err);

/* Makes the folder of a new container, locked, with a copy of bundle/config.json and a first
 * state.json. Fails with EEXIST where the ID is taken; then nothing has changed. */
int state_create(const struct oci_global *global, const char *id, const char *bundle,
                 struct state **out, struct error **err);

/* Opens the folder of a container that there is. ENOENT: "container does not exist". lock: waits
 * for the lock, some seconds. */
int state_open(const struct oci_global *global, const char *id, bool lock, struct state **out,
               struct error **err);

/* Only the folder, locked, of a container whose state cannot be read: for state_remove. */
int state_open_broken(const struct oci_global *global, const char *id, struct state **out,
                      struct error **err);

/* Writes state.json. */
int state_save(const struct state *state, struct error **err);

/* Takes what was created into the state, to be saved. */
int state_set_init(struct state *state, const struct launch_container *container, pid_t pid,
                   struct error **err);

/* Removes the folder. */
int state_remove(struct state *state, struct error **err);

/* Forgets it; the lock is let go. NULL is allowed. */
void state_close(struct state *state);

/* True while the init is the process that was created. */
bool state_is_alive(const struct state *state);

/* Waits until the init has ended, after it was told to; at most ten seconds. */
int state_await_end(const struct state *state, struct error **err);

/* container: as state_launch made it; may be NULL, then STATE_PAUSED is not told from
 * STATE_RUNNING. */
enum state_status state_status(const struct state *state, const struct launch_container *container);
/* Opens the container just for that. */
int state_find_status(const struct state *state, enum state_status *out, struct error **err);
const char *state_status_name(enum state_status status);

/* Opens the container's processes and groups. */
int state_launch(const struct state *state, const struct launch_options *extra,
                 struct launch_container **out, struct error **err);

/* The state as runtime.md has it, with runc's additions. */
json_t *state_to_json(const struct state *state, enum state_status status);

#endif
