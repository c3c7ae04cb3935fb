/*
 * mydock-runtime as an OCI runtime (runtime-spec 1.2, runtime.md), with the command line that runc
 * and crun have, so that podman, containerd and Docker can drive it. One file holds a verb or a few
 * that belong together; all containers are folders below --root (state.h). What makes a container
 * is launch/launch.h.
 */
#ifndef MYDOCK_OCI_H
#define MYDOCK_OCI_H

#include "../../common/error.h"
#include <stdbool.h>

/* What stands in front of the verb. */
struct oci_global {
    const char *root;
    bool systemd_cgroup;
};

/* Runs a whole command line, that of `supervise` apart; returns the exit status. */
int oci_run(char **arguments);

/* A verb: arguments begin behind its name and end with NULL. Returns the exit status, or -1 with
 * *err set. */
typedef int oci_verb(const struct oci_global *global, char **arguments, struct error **err);
oci_verb oci_create, oci_run_container, oci_start, oci_show_state, oci_list, oci_kill, oci_delete,
    oci_exec, oci_spec, oci_ps, oci_pause, oci_resume, oci_update, oci_features, oci_events;

/* The error that a verb was called wrongly. */
int oci_usage(const char *usage, struct error **err);

#endif
