/*
 * Sockets inside a network namespace that is bound to a file.
 */
#ifndef MYDOCK_ADDON_NETNS_H
#define MYDOCK_ADDON_NETNS_H

/* socket(2), O_CLOEXEC, inside the namespace at path (NULL: the current one). Returns -1 with errno
 * set. */
int socket_in_netns(const char *path, int domain, int type, int protocol);

#endif
