/* See channels.h. */
#define _GNU_SOURCE
#include "channels.h"
#include "../../common/cleanup.h"
#include "../../common/send_descriptor.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PRESERVE_MAX 1024

int channels_prepare(struct channels *channels, struct launch_options *options,
                     struct error **err) {
    const char *given = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
    long listening = 0;
    channels->console_fd = -1;
    /* They may be meant for another process. */
    if (given != NULL && (pid == NULL || strtol(pid, NULL, 10) == (long)getpid()))
        listening = strtol(given, NULL, 10);
    if (listening < 0 || listening > PRESERVE_MAX || channels->preserve > PRESERVE_MAX)
        return error_setf(err, EINVAL, "preserve", "descriptors",
                          "at most %d descriptors can be preserved", PRESERVE_MAX);
    if (listening > 0) {
        snprintf(channels->listen_fds, sizeof(channels->listen_fds), "LISTEN_FDS=%ld", listening);
        channels->environment[0] = channels->listen_fds;
        channels->environment[1] = "LISTEN_PID=1";
        options->environment = channels->environment;
    }
    options->preserve = (unsigned)listening + (unsigned)channels->preserve;
    for (int fd = 3; fd < 3 + (int)options->preserve; fd++) {
        /* What the caller gave survived execve: a descriptor that would not is one of ours. */
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0 || (flags & FD_CLOEXEC) != 0)
            return error_setf(err, EBADF, "preserve", "descriptors",
                              "descriptor %d of the %u to be preserved is not open", fd,
                              options->preserve);
    }
    return 0;
}

int channels_connect(struct channels *channels, struct error **err) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = channels->console_socket;
    if (path == NULL)
        return 0;
    /* Through procfs where the path is longer than an address may be. */
    cleanup_close int socket_path = -1;
    if (strlen(path) < sizeof(address.sun_path)) {
        memcpy(address.sun_path, path, strlen(path) + 1);
    } else {
        socket_path = open(path, O_PATH | O_CLOEXEC);
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", socket_path);
    }
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return error_set(err, errno, "connect to the console socket", path);
    channels->console_fd = steal_fd(&fd);
    return 0;
}

static int channels_send(const struct channels *channels, int master, struct error **err) {
    /* runc sends the terminal's name; receivers show it at most. */
    static const char name[] = "/dev/pts/ptmx";
    if (send_descriptor(channels->console_fd, name, sizeof(name) - 1, master) < 0)
        return error_set(err, errno, "send the terminal to", channels->console_socket);
    return 0;
}

int channels_deliver(struct channels *channels, struct launch_process *process, bool foreground,
                     struct error **err) {
    if (process->console_fd < 0) {
        if (channels->console_fd >= 0)
            return error_setf(err, EINVAL, "use", channels->console_socket,
                              "--console-socket is given, but process.terminal is not set");
        return 0;
    }
    if (channels->console_fd < 0)
        return foreground ? 0
                          : error_setf(err, EINVAL, "use", "process.terminal",
                                       "process.terminal needs --console-socket");
    if (channels_send(channels, process->console_fd, err) < 0)
        return -1;
    close(steal_fd(&channels->console_fd));
    close(steal_fd(&process->console_fd));
    return 0;
}

int channels_write_pid(const struct channels *channels, pid_t pid, struct error **err) {
    cleanup_free char *temporary = NULL;
    if (channels->pid_file == NULL)
        return 0;
    if (asprintf(&temporary, "%s.%d.new", channels->pid_file, (int)getpid()) < 0) {
        temporary = NULL;
        return error_set(err, ENOMEM, "write", channels->pid_file);
    }
    unlink(temporary);
    cleanup_close int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0 && dprintf(fd, "%d", (int)pid) > 0 && rename(temporary, channels->pid_file) == 0)
        return 0;
    error_set(err, errno, "write the pid file", channels->pid_file);
    if (fd >= 0)
        unlink(temporary);
    return -1;
}
