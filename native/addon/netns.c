/*
 * Network namespaces: making one and binding it to a file, and opening sockets inside one.
 *
 * A namespace belongs to a thread; a thread that went into another one and cannot come back would
 * do the rest of the daemon's work there, so that failure ends the process.
 */
#define _GNU_SOURCE
#include "netns.h"
#include "module.h"
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
    napi_async_work work;
    napi_deferred deferred;
    char *path;
    /* Whose it is to be; NULL for ours. */
    char *user_namespace;
    int error;
    const char *step;
};

/* Inside the new namespace. */
static void fill_and_bind(struct creation *creation) {
    creation->step = "ioctl SIOCSIFFLAGS";
    creation->error = loopback_up();
    if (creation->error != 0)
        return;
    creation->step = "open";
    int file = open(creation->path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (file < 0) {
        creation->error = errno;
        return;
    }
    close(file);
    creation->step = "mount";
    if (mount(OWN_NETNS, creation->path, NULL, MS_BIND, NULL) < 0) {
        creation->error = errno;
        unlink(creation->path);
    }
}

static int enter_new(struct creation *creation) {
    if (creation->user_namespace == NULL)
        return unshare(CLONE_NEWNET);
    cleanup_close int netns = network_of_user_namespace(creation->user_namespace, &creation->step);
    return netns < 0 ? -1 : setns(netns, CLONE_NEWNET);
}

static void create_execute(napi_env env, void *data) {
    struct creation *creation = data;
    (void)env;
    cleanup_close int own = open(OWN_NETNS, O_RDONLY | O_CLOEXEC);
    creation->step = "unshare";
    if (own < 0 || enter_new(creation) < 0) {
        creation->error = errno;
        return;
    }
    fill_and_bind(creation);
    return_to(own);
}

static void create_complete(napi_env env, napi_status status, void *data) {
    struct creation *creation = data;
    if (status != napi_ok && creation->error == 0)
        creation->error = ECANCELED;
    if (creation->error == 0)
        napi_resolve_deferred(env, creation->deferred, make_undefined(env));
    else
        napi_reject_deferred(
            env, creation->deferred,
            make_errno_error(env, creation->error, creation->step, creation->path, NULL));
    napi_delete_async_work(env, creation->work);
    free(creation->path);
    free(creation->user_namespace);
    free(creation);
}

static napi_value create_netns(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *path = call_string(&call, 0, "path");
    cleanup_free char *user_namespace =
        call_absent(&call, 1) ? NULL : call_string(&call, 1, "userNamespace");
    napi_value promise = NULL;
    if (call.failed)
        return NULL;
    cleanup_free struct creation *creation = calloc(1, sizeof *creation);
    if (creation == NULL)
        return throw_errno(env, ENOMEM, "calloc", NULL);
    if (napi_create_promise(env, &creation->deferred, &promise) != napi_ok ||
        napi_create_async_work(env, NULL, make_string(env, "mydock.createNetns"), create_execute,
                               create_complete, creation, &creation->work) != napi_ok)
        return throw_errno(env, ENOMEM, "napi_create_async_work", NULL);
    creation->path = path;
    creation->user_namespace = user_namespace;
    if (napi_queue_async_work(env, creation->work) != napi_ok) {
        napi_delete_async_work(env, creation->work);
        return throw_errno(env, EAGAIN, "napi_queue_async_work", NULL);
    }
    /* All belong to the work now. */
    path = NULL;
    user_namespace = NULL;
    creation = NULL;
    return promise;
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
