/*
 * See mount_context.h.
 */
#define _GNU_SOURCE
#include "mount_context.h"
#include "module.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

int mount_context_open(struct mount_context *context, const char *type, size_t path_count) {
    *context = (struct mount_context){.fd = -1, .fd_limit = path_count, .step = "calloc"};
    context->fds = calloc(path_count + 1, sizeof *context->fds);
    if (context->fds == NULL)
        return ENOMEM;
    context->step = "fsopen";
    context->fd = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
    if (context->fd >= 0)
        return 0;
    snprintf(context->detail, sizeof context->detail, "%s", type);
    return errno;
}

void mount_context_close(struct mount_context *context) {
    if (context->fd >= 0)
        close(context->fd);
    for (size_t i = 0; i < context->fd_count; i++)
        close(context->fds[i]);
    free(context->fds);
    context->fd = -1;
    context->fds = NULL;
    context->fd_count = 0;
}

/* Reads the messages that the kernel left in the context ("e overlay: ..."), one a read. */
static void read_log(struct mount_context *context) {
    size_t used = 0;
    while (used + 1 < sizeof context->detail) {
        ssize_t length =
            read(context->fd, context->detail + used, sizeof context->detail - 1 - used);
        if (length <= 0)
            break;
        used += (size_t)length;
        if (context->detail[used - 1] == '\n')
            context->detail[used - 1] = ' ';
    }
    while (used > 0 && context->detail[used - 1] == ' ')
        used--;
    if (used > 0)
        context->detail[used] = '\0';
}

int mount_context_set(struct mount_context *context, unsigned command, const char *key,
                      const char *value) {
    if (syscall(SYS_fsconfig, context->fd, command, key, value, 0) == 0)
        return 0;
    int error = errno;
    context->step = "fsconfig";
    snprintf(context->detail, sizeof context->detail, "%s%s%s", key == NULL ? "create" : key,
             value == NULL ? "" : "=", value == NULL ? "" : value);
    read_log(context);
    return error;
}

int mount_context_option(struct mount_context *context, const char *option) {
    const char *equals = strchr(option, '=');
    if (equals == NULL)
        return mount_context_set(context, FSCONFIG_SET_FLAG, option, NULL);
    cleanup_free char *key = strndup(option, (size_t)(equals - option));
    return key == NULL ? ENOMEM : mount_context_set(context, FSCONFIG_SET_STRING, key, equals + 1);
}

int mount_context_name(struct mount_context *context, const char *path, char *name, size_t size) {
    int fd = context->fd_count < context->fd_limit ? open(path, O_PATH | O_CLOEXEC) : -1;
    if (fd < 0) {
        int error = context->fd_count < context->fd_limit ? errno : E2BIG;
        snprintf(context->detail, sizeof context->detail, "%.500s", path);
        context->step = "open";
        return error;
    }
    context->fds[context->fd_count++] = fd;
    snprintf(name, size, "/proc/self/fd/%d", fd);
    return 0;
}

int mount_context_attach(struct mount_context *context, const char *target, uint64_t attributes) {
    int error = mount_context_set(context, FSCONFIG_CMD_CREATE, NULL, NULL);
    if (error != 0)
        return error;
    cleanup_close int tree =
        (int)syscall(SYS_fsmount, context->fd, FSMOUNT_CLOEXEC, (unsigned)attributes);
    context->step = "fsmount";
    if (tree < 0)
        return errno;
    context->step = "move_mount";
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return errno;
    return 0;
}

napi_value mount_context_throw(napi_env env, const struct mount_context *context, int error,
                               const char *target) {
    napi_value exception = make_errno_error(env, error, context->step, target,
                                            context->detail[0] == '\0' ? NULL : context->detail);
    if (exception != NULL)
        napi_throw(env, exception);
    return NULL;
}
