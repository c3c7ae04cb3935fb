/* The container's root: from the host's mounts to a root of its own (pivot_root(2)), and its last
 * touches. */
#ifndef MYDOCK_ROOTFS_H
#define MYDOCK_ROOTFS_H

#include "../../common/error.h"
#include "config.h"

/* Cuts the new mount namespace off from the host's, as far as rootfsPropagation says. The first
 * thing done to it. */
int rootfs_isolate(const struct config *config, struct error **err);

/* A detached copy of root.path with all below, to become a mount of its own: an O_PATH descriptor.
 */
int rootfs_open(const struct config *config, struct error **err);

/* Mounts what rootfs_open returned over root.path, to be filled. */
int rootfs_mount(const struct config *config, int root_fd, struct error **err);

/* Makes it the root, and lets go of the host's. */
int rootfs_enter(const struct config *config, int root_fd, struct error **err);

/* root.readonly and rootfsPropagation, once everything inside is in place. */
int rootfs_finish(const struct config *config, int root_fd, struct error **err);

#endif
