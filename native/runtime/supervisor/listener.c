/* The socket on which later daemons reach the supervisor: the listening part of control.h. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "../../common/warn.h"
#include "control.h"
#include "events.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 16, RETRY_MS = 1000 };

/* Only root and the supervisor's own user command it, whatever became of the path's permissions. */
static bool is_trusted(int fd) {
    struct ucred peer;
    socklen_t length = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static void listener_ready(struct watch *watch, uint32_t events) {
    (void)events;
    struct supervisor *supervisor =
        (struct supervisor *)((char *)watch - offsetof(struct supervisor, listener));
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
        /* The connection stays in the backlog and would be reported over and over. */
        warn("accept: %s; trying again", strerror(errno));
        loop_forget(&supervisor->loop, watch);
        loop_arm(&supervisor->loop, &supervisor->listen_again, RETRY_MS);
    }
    if (fd < 0)
        return;
    if (!is_trusted(fd)) {
        close(fd);
        return;
    }
    struct connection *connection = control_add(supervisor, fd, false);
    if (connection != NULL)
        events_status(supervisor, connection);
}

static void listen_again(struct timer *timer) {
    struct supervisor *supervisor =
        (struct supervisor *)((char *)timer - offsetof(struct supervisor, listen_again));
    if (supervisor->listener.fd >= 0)
        loop_watch(&supervisor->loop, &supervisor->listener, EPOLLIN);
}

/* The address of a path of any length: sun_path holds 107 characters, a path through a descriptor
 * is short. The descriptor goes to *folder_fd. */
static int make_address(const char *path, struct sockaddr_un *address, int *folder_fd) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t room = sizeof(address->sun_path);
    if (strlen(path) < room) {
        strcpy(address->sun_path, path);
        return 0;
    }
    const char *slash = strrchr(path, '/');
    cleanup_free char *folder = strndup(path, (size_t)(slash - path));
    if (folder == NULL)
        return -1;
    *folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder_fd < 0)
        return -1;
    int length = snprintf(address->sun_path, room, "/proc/self/fd/%d%s", *folder_fd, slash);
    errno = ENAMETOOLONG;
    return length < (int)room ? 0 : -1;
}

int control_listen(struct supervisor *supervisor, struct error **err) {
    const char *path = supervisor->config.socket;
    cleanup_close int folder_fd = -1;
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;
    if (fd < 0 || make_address(path, &address, &folder_fd) != 0)
        return error_set(err, errno, "listen", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set(err, errno, "listen", path);
    mode_t mask = umask(0177);
    int bound = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (bound != 0 || listen(fd, BACKLOG) != 0)
        return error_set(err, errno, "listen", path);
    supervisor->listener = (struct watch){.fd = steal_fd(&fd), .ready = listener_ready};
    supervisor->listen_again.fire = listen_again;
    if (loop_watch(&supervisor->loop, &supervisor->listener, EPOLLIN) != 0)
        return error_set(err, errno, "listen", path);
    return 0;
}

void control_unlisten(struct supervisor *supervisor) {
    if (supervisor->listener.fd < 0)
        return;
    loop_disarm(&supervisor->loop, &supervisor->listen_again);
    unlink(supervisor->config.socket);
    loop_close(&supervisor->loop, &supervisor->listener);
}
