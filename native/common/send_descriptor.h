/*
 * Sends bytes over a Unix socket, and with the first of them a descriptor.
 */
#ifndef MYDOCK_SEND_DESCRIPTOR_H
#define MYDOCK_SEND_DESCRIPTOR_H

#include <stddef.h>
#include <sys/types.h>

/* sendmsg(2), again where a signal came first, never with SIGPIPE: how many of the bytes were
 * taken, or -1 with errno set. A negative descriptor is none. Makes system calls only. */
ssize_t send_descriptor(int socket, const void *data, size_t length, int descriptor);

#endif
