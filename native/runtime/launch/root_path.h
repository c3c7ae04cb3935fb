/*
 * Paths inside the container's root, which an image or a volume may have filled with hostile
 * symlinks: every lookup is openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, and what comes
 * back is an O_PATH descriptor that is used instead of the path from then on.
 */
#ifndef MYDOCK_ROOT_PATH_H
#define MYDOCK_ROOT_PATH_H

#include "../../common/error.h"
#include <stdbool.h>
#include <sys/types.h>

/* Opens with O_CLOEXEC; flags such as O_PATH. -1 with errno set. */
int root_path_open(int root_fd, const char *path, int flags);

/* The same, but no component may be a symlink: ELOOP. */
int root_path_open_plain(int root_fd, const char *path, int flags);

/* The directory (or whatever stands there), or a new one with all missing parents, mode 0755. A
 * symlink to nothing is followed, inside the root. *made tells whether the last component is new;
 * may be NULL. */
int root_path_directory(int root_fd, const char *path, bool *made, struct error **err);

/* The file (or whatever stands there), or a new empty one. */
int root_path_file(int root_fd, const char *path, struct error **err);

/* The parent directory of a path, made where missing, and the name of its last component, inside
 * path. */
int root_path_parent(int root_fd, const char *path, const char **name, struct error **err);

#endif
