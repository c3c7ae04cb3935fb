/*
 * The hooks of config.json (OCI runtime-spec 1.2, config.md "POSIX-platform Hooks"): programs that
 * are run at six points of a container's life, with its state as JSON on their standard input.
 *
 *   prestart, createRuntime  in the caller's namespaces, by the parent of the container's init; all
 *                            is mounted, the root is still the host's
 *   createContainer          the same moment, but inside the container's namespaces, by its init
 *   startContainer           by the init in front of its program, as that program's user and with
 *                            its capabilities and seccomp filter: the path is the container's own
 *   poststart, poststop      in the caller's namespaces, after the program executes and after the
 *                            container is gone
 */
#ifndef MYDOCK_HOOKS_H
#define MYDOCK_HOOKS_H

#include "../../common/error.h"
#include "fields.h"
#include <stdbool.h>
#include <sys/types.h>

enum hooks_kind {
    HOOKS_PRESTART,
    HOOKS_CREATE_RUNTIME,
    HOOKS_CREATE_CONTAINER,
    HOOKS_START_CONTAINER,
    HOOKS_POSTSTART,
    HOOKS_POSTSTOP,
};
#define HOOKS_KINDS 6

struct hooks_hook {
    const char *path;
    struct text_list args, env;
    /* False: env is absent, and the hook gets its caller's environment, as with runc. */
    bool env_given;
    /* 0: as long as it takes. */
    int timeout_sec;
};

struct hooks {
    struct {
        struct hooks_hook *items;
        size_t count;
    } kinds[HOOKS_KINDS];
};

/* What the state JSON says, apart from its status, which follows from the kind. */
struct hooks_container {
    const char *id, *bundle;
    /* annotations of config.json, may be NULL. */
    const json_t *annotations;
    /* Of the init, as the host counts; 0: none (any more). */
    pid_t pid;
};

/* The state of a container (runtime.md, "State"). The caller's; NULL without memory. */
json_t *hooks_about(const struct hooks_container *container, const char *status);

/* Reads hooks of config.json. */
int hooks_read(const struct fields *top, struct hooks *hooks, struct error **err);

/* True where a parent has to stop its init before the root changes. */
bool hooks_before_root(const struct hooks *hooks);

/* Runs those of a kind one after the other, in directory (NULL: where the caller is). The first
 * that cannot be run, fails, or takes longer than its timeout (then it and its children are killed)
 * ends it with an error that names it and holds the end of what it wrote. */
int hooks_run(const struct hooks *hooks, enum hooks_kind kind,
              const struct hooks_container *container, const char *directory, struct error **err);

/* Runs all of a kind; failures are warnings. */
void hooks_run_all(const struct hooks *hooks, enum hooks_kind kind,
                   const struct hooks_container *container, const char *directory);

#endif
