/*
 * Network namespaces: making one and binding it to a file, and opening sockets inside one.
 *
 * A namespace belongs to a thread; a thread that went into another one and cannot come back would
 * do the rest of the daemon's work there, so that failure ends the process.
 */
#define _GNU_SOURCE
#include "netns.h"
#include "module.h"
#include "pool.h"
#include "usernamespace.h"
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#define OWN_NETNS "/proc/thread-self/ns/net"

static void return_to(int netns) {
    if (setns(netns, CLONE_NEWNET) < 0) {
        fprintf(stderr, "mydock: cannot return to the network namespace: %s\n", strerror(errno));
        abort();
    }
}

int enter_netns(const char *path) {
    cleanup_close int own = open(OWN_NETNS, O_RDONLY | O_CLOEXEC);
    cleanup_close int other = open(path, O_RDONLY | O_CLOEXEC);
    if (own < 0 || other < 0 || setns(other, CLONE_NEWNET) < 0)
        return -1;
    return steal_fd(&own);
}

void leave_netns(int own) {
    int error = errno;
    return_to(own);
    close(own);
    errno = error;
}

int socket_in_netns(const char *path, int domain, int type, int protocol) {
    if (path == NULL)
        return socket(domain, type | SOCK_CLOEXEC, protocol);
    int own = enter_netns(path);
    if (own < 0)
        return -1;
    int fd = socket(domain, type | SOCK_CLOEXEC, protocol);
    leave_netns(own);
    return fd;
}

/* Sets IFF_UP on lo of the current namespace. Returns 0 or an errno value. */
static int loopback_up(void) {
    cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo"};
    request.ifr_flags = IFF_UP | IFF_LOOPBACK;
    return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? errno : 0;
}

/* One createNetns, from its call to its promise. */
struct creation {
    struct pool_job job;
    char *path;
    /* Whose it is to be; NULL for ours. */
    char *user_namespace;
};

static void creation_failed(struct creation *creation, int error, const char *step) {
    creation->job.error = error;
    creation->job.step = step;
}

/* Inside the new namespace. */
static void fill_and_bind(struct creation *creation) {
    int error = loopback_up();
    if (error != 0) {
        creation_failed(creation, error, "ioctl SIOCSIFFLAGS");
        return;
    }
    int file = open(creation->path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (file < 0) {
        creation_failed(creation, errno, "open");
        return;
    }
    close(file);
    if (mount(OWN_NETNS, creation->path, NULL, MS_BIND, NULL) < 0) {
        creation_failed(creation, errno, "mount");
        unlink(creation->path);
    }
}

/* Returns 0, or -1 with errno and *step set. */
static int enter_new(const char *user_namespace, const char **step) {
    *step = "unshare";
    if (user_namespace == NULL)
        return unshare(CLONE_NEWNET);
    cleanup_close int netns = network_of_user_namespace(user_namespace, step);
    if (netns < 0)
        return -1;
    *step = "setns";
    return setns(netns, CLONE_NEWNET);
}

static void creation_run(struct pool_job *job) {
    struct creation *creation = (struct creation *)job;
    cleanup_close int own = open(OWN_NETNS, O_RDONLY | O_CLOEXEC);
    const char *step = "open";
    if (own < 0 || enter_new(creation->user_namespace, &step) < 0) {
        creation_failed(creation, errno, step);
        return;
    }
    fill_and_bind(creation);
    return_to(own);
}

static void creation_release(struct pool_job *job) {
    struct creation *creation = (struct creation *)job;
    free(creation->path);
    free(creation->user_namespace);
    free(creation);
}

static napi_value create_netns(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    struct creation *creation = pool_new(
        env, sizeof *creation,
        (struct pool_job){.run = creation_run, .release = creation_release, .step = "createNetns"});
    if (creation == NULL)
        return NULL;
    creation->job.path = creation->path = call_string(&call, 0, "path");
    if (!call_absent(&call, 1))
        creation->user_namespace = call_string(&call, 1, "userNamespace");
    return pool_queue_call(&call, &creation->job);
}

static napi_value interface_index(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *name = call_string(&call, 0, "name");
    return call.failed ? NULL : make_int32(env, (int)if_nametoindex(name));
}

napi_status register_netns(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"createNetns", create_netns},
        {"interfaceIndex", interface_index},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
