/*
 * tmpcopyup: a new tmpfs starts with a copy of what it covers: directories, files, symlinks, FIFOs,
 * sockets and device nodes with their owners, modes, times and extended attributes. Hard links
 * become files of their own.
 *
 * An image wrote what is read here: nothing is followed, nothing below another mount is read, the
 * depth is bounded, and the size is by the tmpfs.
 */
#ifndef MYDOCK_MOUNTS_COPY_UP_H
#define MYDOCK_MOUNTS_COPY_UP_H

#include "../../common/error.h"

/* from: the directory, O_PATH; to: the root of the detached tmpfs. name stands in messages. */
int mounts_copy_up(int from, int to, const char *name, struct error **err);

#endif
