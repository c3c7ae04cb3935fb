/* Ends of stream sockets: see sockets.h. */
#include "sockets.h"
#include <sys/socket.h>
#include <unistd.h>

enum { DROP_BYTES = 4096, DROPS_MAX = 1024 };

void socket_end(int fd) {
    if (fd < 0)
        return;
    char dropped[DROP_BYTES];
    shutdown(fd, SHUT_RDWR);
    for (int i = 0; i < DROPS_MAX; i++)
        if (recv(fd, dropped, sizeof(dropped), MSG_DONTWAIT) <= 0)
            break;
    close(fd);
}
