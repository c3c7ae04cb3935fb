/*
 * The mounts of config.json. They are made with the mount API of Linux 5.2 (fsopen, open_tree,
 * move_mount): a mount is a descriptor first, and is attached to a descriptor of its target, so
 * that no path is looked up twice and procfs is not needed to name anything.
 */
#ifndef MYDOCK_MOUNTS_H
#define MYDOCK_MOUNTS_H

#include "../../common/error.h"
#include "cgroup.h"
#include "config.h"

/* What was opened on the host's side, before the root changed. */
struct mounts {
    /* One a mount: a detached copy of a bind's source, else -1. */
    int *trees;
    /* Detached copies of the container's own control groups, one a hierarchy; NULL without a cgroup
     * mount. */
    int *groups;
};

/* Opens all bind sources, as the host sees them. bundle: what relative ones are relative to. */
int mounts_open(const struct config *config, const struct cgroup *cgroup, const char *bundle,
                struct mounts *mounts, struct error **err);

/* Mounts everything, in order, inside the root. */
int mounts_attach(const struct config *config, const struct cgroup *cgroup, struct mounts *mounts,
                  int root_fd, struct error **err);

/* Makes those read-only that had to be writable until all targets and devices were made. */
int mounts_finish(const struct config *config, struct mounts *mounts, struct error **err);

/* Makes a detached copy of mounts a receiver only of what is mounted on the host: with a user
 * namespace it is opened among the host's mounts, and a peer of theirs. */
int mounts_detach(int tree, const char *name, struct error **err);

/* A new mount of a file system: a descriptor that is attached nowhere yet. options may be NULL. */
int mounts_new(const char *type, const char *source, const struct text_list *options,
               const char *mode, uint64_t attributes, struct error **err);
/* The host's sysfs with all below, read-only, for who may not mount one: a detached copy. */
int mounts_host_sysfs(const struct config_mount *mount, struct error **err);

/* The target of a mount in the root, made if it is missing. tree: a bind's source, else -1. *made:
 * it is a new directory. What must not be covered is refused. */
int mounts_open_target(const struct config_mount *mount, int tree, int root_fd, bool *made,
                       struct error **err);

int mounts_move(int tree, int target, const char *name, struct error **err);

#endif
