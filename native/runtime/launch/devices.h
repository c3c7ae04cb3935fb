/* Device nodes and links in the container's /dev. */
#ifndef MYDOCK_DEVICES_H
#define MYDOCK_DEVICES_H

#include "../../common/error.h"
#include "config.h"

/* Annotation of config.json: with "none" nothing is made. For a root that is only looked into. */
#define DEVICES_ANNOTATION "mydock.devices"

/* Without CAP_MKNOD, or in a user namespace: detached copies of the host's nodes, to be bound
 * instead. Before the root changes. */
int devices_open(const struct config *config, int **nodes, struct error **err);

/* The default devices, linux.devices and the links. Nothing where /dev is a bind, which is
 * somebody else's, or where the annotation says so. */
int devices_create(const struct config *config, const int *nodes, int root_fd, struct error **err);

#endif
