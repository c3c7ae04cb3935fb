/*
 * Work that has to be done inside a user namespace that is bound to a file.
 */
#ifndef MYDOCK_ADDON_USERNAMESPACE_H
#define MYDOCK_ADDON_USERNAMESPACE_H

#include <stdint.h>

/* A descriptor of a new network namespace, empty, its loopback down, that belongs to the user
 * namespace at path. Returns -1 with errno set and *step, the system call that failed. */
int network_of_user_namespace(const char *path, const char **step);

/* setfsuid(2) and setfsgid(2) of the calling thread, with all of its capabilities kept. Returns -1
 * with errno set where it does not become that. */
int become_file_owner(uint32_t uid, uint32_t gid);
/* Root for files again. Ends the process where it cannot: others will use the thread. */
void cease_file_owner(void);

#endif
