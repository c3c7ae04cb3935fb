/*
 * Mounts through fsopen, fsconfig, fsmount and move_mount: any number of options, and the kernel's
 * own words where it refuses one. Errors are errno values; `step` and `detail` say what failed.
 */
#ifndef MYDOCK_ADDON_MOUNT_CONTEXT_H
#define MYDOCK_ADDON_MOUNT_CONTEXT_H

#include <node_api.h>
#include <stddef.h>
#include <stdint.h>

/* fsconfig takes at most this many bytes in a string, the NUL included. */
#define FSCONFIG_STRING_BYTES 256

struct mount_context {
    int fd;
    /* Descriptors that stand for paths too long for fsconfig, open until the context is closed. */
    int *fds;
    size_t fd_count;
    size_t fd_limit;
    /* Where it failed: a system call and what the kernel says about it. */
    const char *step;
    char detail[512];
};

/* Opens a context for `path_count` paths at most. */
int mount_context_open(struct mount_context *context, const char *type, size_t path_count);
/* Closes what is open; a mount that was made stays. */
void mount_context_close(struct mount_context *context);
/* fsconfig(2): FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE and so on. */
int mount_context_set(struct mount_context *context, unsigned command, const char *key,
                      const char *value);
/* `key=value`, or a flag. */
int mount_context_option(struct mount_context *context, const char *option);
/* "/proc/self/fd/N" for a path, kept open until the context is closed. */
int mount_context_name(struct mount_context *context, const char *path, char *name, size_t size);
/* Creates the file system and mounts it at `target`; `attributes` are MOUNT_ATTR_*. */
int mount_context_attach(struct mount_context *context, const char *target, uint64_t attributes);

/* Throws the error of a failed step at `target`; returns NULL. */
napi_value mount_context_throw(napi_env env, const struct mount_context *context, int error,
                               const char *target);

#endif
