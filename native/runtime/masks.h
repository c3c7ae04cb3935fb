/* linux.maskedPaths and linux.readonlyPaths. */
#ifndef MYDOCK_MASKS_H
#define MYDOCK_MASKS_H

#include "../common/error.h"
#include "config.h"

/* The host's /dev/null, to lay over files: the container's own could have been replaced. Before the
 * root changes. -1 with *err unset where nothing is masked. */
int masks_open(const struct config *config, int *null, struct error **err);

/* Hides the masked paths and makes the read-only ones so. Paths that do not exist are skipped. */
int masks_apply(const struct config *config, int null, int root_fd, struct error **err);

#endif
