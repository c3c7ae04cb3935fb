/* The container's root: from the host's mounts to a root of its own (pivot_root(2)), and its last
 * touches. */
#ifndef MYDOCK_ROOTFS_H
#define MYDOCK_ROOTFS_H

#include "../../common/error.h"
#include "config.h"

/* Cuts the new mount namespace off from the host's, as far as rootfsPropagation says. The first
 * thing done to it. */
int rootfs_isolate(const struct config *config, struct error **err);

/* Mounts root.path over itself, to be filled. Returns an O_PATH descriptor of it. */
int rootfs_mount(const struct config *config, struct error **err);

/* Makes what rootfs_mount returned the root, and lets go of the host's. */
int rootfs_enter(const struct config *config, int root_fd, struct error **err);

/* root.readonly and rootfsPropagation, once everything inside is in place. */
int rootfs_finish(const struct config *config, int root_fd, struct error **err);

#endif
