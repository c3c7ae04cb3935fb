/* linux.maskedPaths and linux.readonlyPaths. */
#ifndef MYDOCK_MASKS_H
#define MYDOCK_MASKS_H

#include "../../common/error.h"
#include "config.h"

/* Hides the masked paths and makes the read-only ones so. Paths that do not exist are skipped.
 * After the devices: the container's /dev/null lies over masked files. */
int masks_apply(const struct config *config, int root_fd, struct error **err);

#endif
