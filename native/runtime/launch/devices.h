/* Device nodes and links in the container's /dev. */
#ifndef MYDOCK_DEVICES_H
#define MYDOCK_DEVICES_H

#include "../../common/error.h"
#include "config.h"

/* Without CAP_MKNOD, or in a user namespace: detached copies of the host's nodes, to be bound
 * instead. Before the root changes. */
int devices_open(const struct config *config, int **nodes, struct error **err);

/* The default devices, linux.devices and the links. Nothing where /dev is a bind: it is somebody
 * else's. */
int devices_create(const struct config *config, const int *nodes, int root_fd, struct error **err);

#endif
