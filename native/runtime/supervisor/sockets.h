/*
 * Ends of stream sockets that the other side is still to read from.
 */
#ifndef MYDOCK_SOCKETS_H
#define MYDOCK_SOCKETS_H

/* Shuts a socket down, drops what was received and not read, and closes it. Without the drop the
 * kernel resets the connection, and the other side gets ECONNRESET in place of the end of the
 * stream. */
void socket_end(int fd);

#endif
