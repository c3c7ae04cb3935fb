/*
 * Names of systemd's units: linux.cgroupsPath "slice:prefix:name" as the scope "prefix-name.scope"
 * in a slice, and where that lies in the cgroup hierarchies (systemd.slice(5)).
 */
#ifndef MYDOCK_SYSTEMD_UNIT_H
#define MYDOCK_SYSTEMD_UNIT_H

#include "../../common/error.h"

/* The slice of containers that name none, as runc has it. */
#define SYSTEMD_DEFAULT_SLICE "system.slice"

struct systemd_unit {
    /* "user-1000.slice" */
    char *slice;
    /* "docker-1234.scope" */
    char *scope;
    /* "/user.slice/user-1000.slice/docker-1234.scope" */
    char *path;
};

/* Refuses what is no such form, or would name something else than a scope in a slice. */
int systemd_unit_parse(const char *cgroups_path, struct systemd_unit *out, struct error **err);
void systemd_unit_free(struct systemd_unit *unit);

/* The object that D-Bus knows a unit as; the caller frees it. NULL without memory. */
char *systemd_unit_object(const char *name);

#endif
