/* The folder of a container's state: made, locked, read, written, removed. Knows nothing of what
 * its files say. */
#ifndef MYDOCK_OCI_STATE_FOLDER_H
#define MYDOCK_OCI_STATE_FOLDER_H

#include "state.h"

/* make: a new one, locked, EEXIST where there is one; else an existing one, ENOENT where there is
 * none. NULL on failure. */
struct state *state_folder_new(const struct oci_global *global, const char *id, bool make,
                               struct error **err);

/* Waits for the lock, at most ten seconds: EBUSY. ENOENT where the container was deleted meanwhile.
 */
int state_folder_lock(struct state *state, struct error **err);
void state_folder_unlock(struct state *state);
bool state_folder_is_locked(const struct state *state);

/* A regular file of at most 16 MB. The caller frees it. */
char *state_folder_read(int directory_fd, const char *name, size_t *length, struct error **err);

/* Replaces a file in one step. */
int state_folder_write(int directory_fd, const char *name, const char *text, size_t length,
                       struct error **err);

#endif
