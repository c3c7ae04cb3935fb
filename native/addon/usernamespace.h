/*
 * Work that has to be done inside a user namespace that is bound to a file.
 */
#ifndef MYDOCK_ADDON_USERNAMESPACE_H
#define MYDOCK_ADDON_USERNAMESPACE_H

/* A descriptor of a new network namespace, empty, its loopback down, that belongs to the user
 * namespace at path. Returns -1 with errno set and *step, the system call that failed. */
int network_of_user_namespace(const char *path, const char **step);

#endif
