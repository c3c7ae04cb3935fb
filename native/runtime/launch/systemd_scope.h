/*
 * A container's transient scope in systemd (org.freedesktop.systemd1, systemd.scope(5)): started
 * before the container's init exists, limited, stopped. systemd makes the groups of the
 * hierarchies that it manages, and leaves what is below to us (Delegate=yes); limits are given to
 * it as well as written, so that a `systemctl daemon-reload` does not undo them.
 */
#ifndef MYDOCK_SYSTEMD_SCOPE_H
#define MYDOCK_SYSTEMD_SCOPE_H

#include "cgroup.h"
#include "systemd_unit.h"

struct systemd_scope {
    struct systemd_unit unit;
    /* A process that holds the scope open until the container's init is in it; 0 without. */
    pid_t placeholder;
};

/* The scope that linux.cgroupsPath names; nothing is started yet. */
int systemd_scope_new(const struct cgroup_request *request, struct systemd_scope **out,
                      struct error **err);
/* Starts it, with a placeholder in it, and waits until its groups stand. A scope of the same name
 * that has failed, or has no process any more, is what is left of an earlier run: it is stopped and
 * forgotten first. EEXIST for one with processes, which may be another container's. */
int systemd_scope_start(struct systemd_scope *scope, const char *id, struct error **err);
/* Ends the placeholder. */
void systemd_scope_settle(struct systemd_scope *scope);
/* Tells systemd the limits, and waits until it has written them: what is written after that, more
 * exactly, stays. */
int systemd_scope_limit(const struct systemd_scope *scope, const struct cgroup *cgroup,
                        const struct resources *resources, struct error **err);
/* The same for device rules, which systemd must know on v1 alone: its own program on v2 only adds
 * to ours. */
int systemd_scope_limit_devices(const struct systemd_scope *scope, const struct cgroup *cgroup,
                                const struct resources *resources, struct error **err);
/* Stops and forgets it, with all processes in it, and frees. A scope that is gone already is no
 * error. NULL is allowed. */
void systemd_scope_stop(struct systemd_scope *scope);
/* Frees; the scope stays. NULL is allowed. */
void systemd_scope_free(struct systemd_scope *scope);

#endif
