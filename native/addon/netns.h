/*
 * Sockets and work of the calling thread inside a network namespace that is bound to a file.
 */
#ifndef MYDOCK_ADDON_NETNS_H
#define MYDOCK_ADDON_NETNS_H

/* socket(2), O_CLOEXEC, inside the namespace at path (NULL: the current one). Returns -1 with errno
 * set. */
int socket_in_netns(const char *path, int domain, int type, int protocol);

/* Moves the thread into the namespace at path. Returns a descriptor of the one it came from, for
 * leave_netns, or -1 with errno set. */
int enter_netns(const char *path);
/* Moves the thread back and closes the descriptor; keeps errno. Ends the process where there is no
 * way back. */
void leave_netns(int own);

#endif
