/*
 * mount(2), umount2(2), and overlay mounts of any number of lower directories.
 *
 * An overlay goes through fsopen, fsconfig, fsmount and move_mount with one `lowerdir+` a layer
 * (Linux 6.8). Where the kernel does not know `lowerdir+`, mount(2) gets one `lowerdir=a:b:c`;
 * where that would not fit its page of options, each directory is named by an open descriptor, 20
 * bytes a layer.
 */
#define _GNU_SOURCE
#include "module.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

/* From sys/mount.h, which clashes with linux/mount.h in this C library. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
          const void *data);
int umount2(const char *target, int flags);

/* fsconfig takes at most this many bytes in a string, the NUL included. */
#define FSCONFIG_STRING_BYTES 256
/* mount(2) copies one page of options at most. */
#define MOUNT_OPTIONS_BYTES 4096

static napi_value mount_(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *source = call_string(&call, 0, "source");
    cleanup_free char *target = call_string(&call, 1, "target");
    cleanup_free char *type = call_string(&call, 2, "type");
    uint64_t flags = call_uint64(&call, 3, "flags");
    cleanup_free char *data = call_string(&call, 4, "data");
    if (call.failed)
        return NULL;
    if (mount(source, target, type[0] == '\0' ? NULL : type, flags, data[0] == '\0' ? NULL : data) <
        0)
        return throw_errno(env, errno, "mount", target);
    return make_undefined(env);
}

static napi_value unmount(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *target = call_string(&call, 0, "target");
    int flags = call_int32(&call, 1, "flags");
    if (call.failed)
        return NULL;
    if (umount2(target, flags) < 0)
        return throw_errno(env, errno, "umount2", target);
    return make_undefined(env);
}

struct overlay {
    char **lowers;
    size_t lower_count;
    char *upper;
    char *work;
    char *target;
    char **options;
    size_t option_count;
    uint64_t attributes;
    /* Descriptors that stand for directories with long names, closed when the mount is made. */
    int *fds;
    size_t fd_count;
    /* Where it failed: a system call and what the kernel says about it. */
    const char *step;
    char detail[512];
};

/* "/proc/self/fd/N" for a directory, kept open in overlay->fds. Returns 0 or an errno value. */
static int short_name(struct overlay *overlay, const char *path, char *name, size_t size) {
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        snprintf(overlay->detail, sizeof overlay->detail, "%s", path);
        overlay->step = "open";
        return errno;
    }
    overlay->fds[overlay->fd_count++] = fd;
    snprintf(name, size, "/proc/self/fd/%d", fd);
    return 0;
}

/* Puts a backslash in front of each of `special` and of the backslash itself. False where it does
 * not fit. */
static bool append_escaped(char *buffer, size_t size, const char *text, const char *special) {
    size_t length = strlen(buffer);
    for (; *text != '\0'; text++) {
        bool escape = *text == '\\' || strchr(special, *text) != NULL;
        if (length + 3 > size)
            return false;
        if (escape)
            buffer[length++] = '\\';
        buffer[length++] = *text;
    }
    buffer[length] = '\0';
    return true;
}

static bool append(char *buffer, size_t size, const char *text) {
    size_t length = strlen(buffer);
    size_t more = strlen(text);
    if (length + more + 1 > size)
        return false;
    memcpy(buffer + length, text, more + 1);
    return true;
}

/* Reads the messages that the kernel left in the context ("e overlay: ..."). */
static void read_context_log(struct overlay *overlay, int context) {
    ssize_t length = read(context, overlay->detail, sizeof overlay->detail - 1);
    if (length <= 0)
        return;
    if (overlay->detail[length - 1] == '\n')
        length--;
    overlay->detail[length] = '\0';
}

static int configure(struct overlay *overlay, int context, unsigned command, const char *key,
                     const char *value) {
    if (syscall(SYS_fsconfig, context, command, key, value, 0) == 0)
        return 0;
    int error = errno;
    overlay->step = "fsconfig";
    snprintf(overlay->detail, sizeof overlay->detail, "%s=%s", key == NULL ? "" : key,
             value == NULL ? "" : value);
    read_context_log(overlay, context);
    return error;
}

/* A directory option. `lowerdir+` is taken as it is; upperdir and workdir are unescaped by the
 * kernel. */
static int configure_directory(struct overlay *overlay, int context, const char *key,
                               const char *path) {
    char value[FSCONFIG_STRING_BYTES] = "";
    bool verbatim = strcmp(key, "lowerdir+") == 0;
    if (!(verbatim ? append(value, sizeof value, path)
                   : append_escaped(value, sizeof value, path, ""))) {
        int error = short_name(overlay, path, value, sizeof value);
        if (error != 0)
            return error;
    }
    return configure(overlay, context, FSCONFIG_SET_STRING, key, value);
}

static int configure_option(struct overlay *overlay, int context, const char *option) {
    const char *equals = strchr(option, '=');
    if (equals == NULL)
        return configure(overlay, context, FSCONFIG_SET_FLAG, option, NULL);
    cleanup_free char *key = strndup(option, (size_t)(equals - option));
    return key == NULL ? ENOMEM : configure(overlay, context, FSCONFIG_SET_STRING, key, equals + 1);
}

/* Returns 0, an errno value, or -1 where the kernel does not know `lowerdir+` and mount(2) has to
 * do. */
static int mount_by_context(struct overlay *overlay) {
    cleanup_close int context = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
    int error = 0;
    if (context < 0) {
        overlay->step = "fsopen";
        return errno == ENOSYS ? -1 : errno;
    }
    for (size_t i = 0; i < overlay->lower_count; i++) {
        error = configure_directory(overlay, context, "lowerdir+", overlay->lowers[i]);
        if (error == EINVAL && i == 0)
            return -1;
        if (error != 0)
            return error;
    }
    if (overlay->upper[0] != '\0') {
        error = configure_directory(overlay, context, "upperdir", overlay->upper);
        if (error == 0)
            error = configure_directory(overlay, context, "workdir", overlay->work);
    }
    for (size_t i = 0; error == 0 && i < overlay->option_count; i++)
        error = configure_option(overlay, context, overlay->options[i]);
    if (error == 0)
        error = configure(overlay, context, FSCONFIG_SET_STRING, "source", "overlay");
    if (error == 0)
        error = configure(overlay, context, FSCONFIG_CMD_CREATE, NULL, NULL);
    if (error != 0)
        return error;
    cleanup_close int tree =
        (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, (unsigned)overlay->attributes);
    overlay->step = "fsmount";
    if (tree < 0)
        return errno;
    overlay->step = "move_mount";
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, overlay->target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return errno;
    return 0;
}

/* Appends "key=path" to mount(2)'s option string, long names as descriptors where `shorten`. */
static int append_directory(struct overlay *overlay, char *options, const char *prefix,
                            const char *path, bool shorten) {
    char name[32];
    if (shorten) {
        int error = short_name(overlay, path, name, sizeof name);
        if (error != 0)
            return error;
        path = name;
    }
    overlay->step = "mount";
    if (!append(options, MOUNT_OPTIONS_BYTES, prefix) ||
        !append_escaped(options, MOUNT_OPTIONS_BYTES, path, ":,"))
        return E2BIG;
    return 0;
}

static int build_options(struct overlay *overlay, char *options, bool shorten) {
    int error = 0;
    options[0] = '\0';
    for (size_t i = 0; error == 0 && i < overlay->lower_count; i++)
        error = append_directory(overlay, options, i == 0 ? "lowerdir=" : ":", overlay->lowers[i],
                                 shorten);
    if (error == 0 && overlay->upper[0] != '\0') {
        error = append_directory(overlay, options, ",upperdir=", overlay->upper, false);
        if (error == 0)
            error = append_directory(overlay, options, ",workdir=", overlay->work, false);
    }
    for (size_t i = 0; error == 0 && i < overlay->option_count; i++) {
        if (!append(options, MOUNT_OPTIONS_BYTES, ",") ||
            !append(options, MOUNT_OPTIONS_BYTES, overlay->options[i]))
            error = E2BIG;
    }
    return error;
}

static int mount_by_string(struct overlay *overlay) {
    char options[MOUNT_OPTIONS_BYTES];
    unsigned long flags = 0;
    if (overlay->attributes & MOUNT_ATTR_RDONLY)
        flags |= 1; /* MS_RDONLY */
    if (overlay->attributes & MOUNT_ATTR_NOSUID)
        flags |= 2; /* MS_NOSUID */
    if (overlay->attributes & MOUNT_ATTR_NODEV)
        flags |= 4; /* MS_NODEV */
    if (overlay->attributes & MOUNT_ATTR_NOEXEC)
        flags |= 8; /* MS_NOEXEC */
    if (overlay->attributes & MOUNT_ATTR_NOATIME)
        flags |= 1024; /* MS_NOATIME */
    overlay->detail[0] = '\0';
    int error = build_options(overlay, options, false);
    if (error == E2BIG)
        error = build_options(overlay, options, true);
    if (error != 0)
        return error;
    overlay->step = "mount";
    if (mount("overlay", overlay->target, "overlay", flags, options) == 0)
        return 0;
    error = errno;
    snprintf(overlay->detail, sizeof overlay->detail, "options %.480s", options);
    return error;
}

static int overlay_run(struct overlay *overlay) {
    /* Lowers, upper and work, each named by a descriptor at most once in each of the two ways. */
    overlay->fds = calloc(2 * (overlay->lower_count + 2), sizeof *overlay->fds);
    if (overlay->fds == NULL) {
        overlay->step = "calloc";
        return ENOMEM;
    }
    int error = mount_by_context(overlay);
    if (error < 0)
        error = mount_by_string(overlay);
    for (size_t i = 0; i < overlay->fd_count; i++)
        close(overlay->fds[i]);
    free(overlay->fds);
    return error;
}

static napi_value mount_overlay(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    napi_value object = call.arguments[0];
    size_t lower_count = 0;
    size_t option_count = 0;
    cleanup_strings char **lowers =
        call_value_strings(&call, call_property(&call, object, "lowers"), "lowers", &lower_count);
    cleanup_free char *upper =
        call_value_string(&call, call_property(&call, object, "upper"), "upper");
    cleanup_free char *work =
        call_value_string(&call, call_property(&call, object, "work"), "work");
    cleanup_free char *target =
        call_value_string(&call, call_property(&call, object, "target"), "target");
    cleanup_strings char **options = call_value_strings(
        &call, call_property(&call, object, "options"), "options", &option_count);
    uint64_t attributes =
        call_value_uint64(&call, call_property(&call, object, "attributes"), "attributes");
    if (!call.failed && lower_count == 0)
        call_type_error(&call, "lowers", "an array of at least one directory");
    if (call.failed)
        return NULL;
    struct overlay overlay = {
        .lowers = lowers,
        .lower_count = lower_count,
        .upper = upper,
        .work = work,
        .target = target,
        .options = options,
        .option_count = option_count,
        .attributes = attributes,
    };
    int error = overlay_run(&overlay);
    if (error == 0)
        return make_undefined(env);
    napi_value exception = make_errno_error(env, error, overlay.step, target,
                                            overlay.detail[0] == '\0' ? NULL : overlay.detail);
    if (exception != NULL)
        napi_throw(env, exception);
    return NULL;
}

napi_status register_mount(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"mount", mount_},
        {"unmount", unmount},
        {"mountOverlay", mount_overlay},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
