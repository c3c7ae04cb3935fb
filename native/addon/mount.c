/*
 * mount(2), umount2(2), overlay mounts of any number of lower directories, and EROFS mounts of any
 * number of devices.
 *
 * An overlay goes through fsopen, fsconfig, fsmount and move_mount with one `lowerdir+` a layer
 * (Linux 6.8). Where the kernel does not know `lowerdir+`, mount(2) gets one `lowerdir=a:b:c`;
 * where that would not fit its page of options, each directory is named by an open descriptor, 20
 * bytes a layer.
 */
#define _GNU_SOURCE
#include "module.h"
#include "mount_async.h"
#include "mount_context.h"
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
    struct mount_context context;
};

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

/* A directory option. `lowerdir+` is taken as it is; upperdir and workdir are unescaped by the
 * kernel. */
static int configure_directory(struct mount_context *context, const char *key, const char *path) {
    char value[FSCONFIG_STRING_BYTES] = "";
    bool verbatim = strcmp(key, "lowerdir+") == 0;
    if (!(verbatim ? append(value, sizeof value, path)
                   : append_escaped(value, sizeof value, path, ""))) {
        int error = mount_context_name(context, path, value, sizeof value);
        if (error != 0)
            return error;
    }
    return mount_context_set(context, FSCONFIG_SET_STRING, key, value);
}

/* Returns 0, an errno value, or -1 where the kernel does not know `lowerdir+` and mount(2) has to
 * do. */
static int mount_by_context(struct overlay *overlay) {
    struct mount_context *context = &overlay->context;
    /* Lowers, upper and work, each named by a descriptor at most once in each of the two ways. */
    int error = mount_context_open(context, "overlay", 2 * (overlay->lower_count + 2));
    if (error != 0)
        return error == ENOSYS ? -1 : error;
    for (size_t i = 0; i < overlay->lower_count; i++) {
        error = configure_directory(context, "lowerdir+", overlay->lowers[i]);
        if (error == EINVAL && i == 0)
            return -1;
        if (error != 0)
            return error;
    }
    if (overlay->upper[0] != '\0') {
        error = configure_directory(context, "upperdir", overlay->upper);
        if (error == 0)
            error = configure_directory(context, "workdir", overlay->work);
    }
    for (size_t i = 0; error == 0 && i < overlay->option_count; i++)
        error = mount_context_option(context, overlay->options[i]);
    if (error == 0)
        error = mount_context_set(context, FSCONFIG_SET_STRING, "source", "overlay");
    return error != 0 ? error : mount_context_attach(context, overlay->target, overlay->attributes);
}

/* Appends "key=path" to mount(2)'s option string, long names as descriptors where `shorten`. */
static int append_directory(struct overlay *overlay, char *options, const char *prefix,
                            const char *path, bool shorten) {
    char name[32];
    if (shorten) {
        int error = mount_context_name(&overlay->context, path, name, sizeof name);
        if (error != 0)
            return error;
        path = name;
    }
    overlay->context.step = "mount";
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
    overlay->context.detail[0] = '\0';
    int error = build_options(overlay, options, false);
    if (error == E2BIG)
        error = build_options(overlay, options, true);
    if (error != 0)
        return error;
    overlay->context.step = "mount";
    if (mount("overlay", overlay->target, "overlay", flags, options) == 0)
        return 0;
    error = errno;
    snprintf(overlay->context.detail, sizeof overlay->context.detail, "options %.480s", options);
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
    int error = mount_by_context(&overlay);
    if (error < 0)
        error = mount_by_string(&overlay);
    mount_context_close(&overlay.context);
    return error == 0 ? make_undefined(env)
                      : mount_context_throw(env, &overlay.context, error, target);
}

/* The file or block device of a source or device option. */
static int configure_file(struct mount_context *context, const char *key, const char *path) {
    char value[FSCONFIG_STRING_BYTES] = "";
    if (!append(value, sizeof value, path)) {
        int error = mount_context_name(context, path, value, sizeof value);
        if (error != 0)
            return error;
    }
    return mount_context_set(context, FSCONFIG_SET_STRING, key, value);
}

static napi_value mount_erofs(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    napi_value object = call.arguments[0];
    size_t device_count = 0;
    size_t option_count = 0;
    cleanup_free char *source =
        call_value_string(&call, call_property(&call, object, "source"), "source");
    cleanup_strings char **devices = call_value_strings(
        &call, call_property(&call, object, "devices"), "devices", &device_count);
    cleanup_free char *target =
        call_value_string(&call, call_property(&call, object, "target"), "target");
    cleanup_strings char **options = call_value_strings(
        &call, call_property(&call, object, "options"), "options", &option_count);
    uint64_t attributes =
        call_value_uint64(&call, call_property(&call, object, "attributes"), "attributes");
    if (call.failed)
        return NULL;
    struct mount_context context;
    int error = mount_context_open(&context, "erofs", device_count + 1);
    if (error == 0)
        error = configure_file(&context, "source", source);
    /* In the order of the slots in the image's device table. */
    for (size_t i = 0; error == 0 && i < device_count; i++)
        error = configure_file(&context, "device", devices[i]);
    for (size_t i = 0; error == 0 && i < option_count; i++)
        error = mount_context_option(&context, options[i]);
    if (error == 0)
        error = mount_context_set(&context, FSCONFIG_SET_FLAG, "ro", NULL);
    if (error == 0)
        error = mount_context_attach(&context, target, attributes);
    mount_context_close(&context);
    return error == 0 ? make_undefined(env) : mount_context_throw(env, &context, error, target);
}

napi_status register_mount(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"mount", mount_},
        {"unmount", unmount},
        {"mountAsync", mount_async},
        {"unmountAsync", unmount_async},
        {"mountOverlay", mount_overlay},
        {"mountErofs", mount_erofs},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
