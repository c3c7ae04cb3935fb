/*
 * Idmapped bind mounts (mount_setattr(2), MOUNT_ATTR_IDMAP; OCI runtime-spec, "mounts": uidMappings
 * and gidMappings): a file that belongs to containerID on the source's file system belongs to
 * hostID at the destination, and files made there belong to containerID on the file system. IDs
 * that no range has are nobody's there and cannot be given to files.
 *
 * The kernel takes the ranges from a user namespace. Nobody lives in it: a short-lived child makes
 * it, and it goes with its last descriptor and mount.
 */
#ifndef MYDOCK_IDMAP_H
#define MYDOCK_IDMAP_H

#include "../../common/error.h"
#include "config.h"

/* Reads the mappings of a mount, whose options and type are known already. */
int idmap_read(const struct fields *entry, struct config_mount *mount, struct error **err);

/* Opens a user namespace for every idmapped mount of config: config_mount.idmap_fd. user_fd: the
 * container's, for mounts that name no mappings; -1: it has none. To be called on the host's side,
 * with the host's /proc, before the init is forked, which inherits them. */
int idmap_open(struct config *config, int user_fd, struct error **err);
/* Closes what idmap_open opened. The caller's copies only: after the fork. */
void idmap_close(struct config *config);

/* Gives the detached copy of a bind's source its mapping. Nothing for mounts without one. */
int idmap_apply(const struct config_mount *mount, int tree, struct error **err);

#endif
