/*
 * Loop devices for read-only files: LOOP_CTL_GET_FREE and LOOP_CONFIGURE (Linux 5.8), see loop(4).
 * They clear themselves when the last user closes them, be that a mount or a process that was
 * killed.
 */
#define _GNU_SOURCE
#include "module.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#ifndef LOOP_CONFIGURE
#define LOOP_CONFIGURE 0x4C0A
#endif

/* Others take free devices at the same time: so many times the next one is tried. */
#define ATTEMPTS 64
#define SECTOR_BYTES 512
#define DEVICE_NAME_BYTES 32

/* Attaches `backing` to a free device. Returns its descriptor, or -1 with *step and errno. */
static int attach(int backing, bool direct, char device[DEVICE_NAME_BYTES], const char **step) {
    struct loop_config config = {.fd = (unsigned)backing, .block_size = SECTOR_BYTES};
    config.info.lo_flags =
        LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | (direct ? LO_FLAGS_DIRECT_IO : 0);
    *step = "open";
    cleanup_close int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        return -1;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        *step = "LOOP_CTL_GET_FREE";
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0)
            return -1;
        snprintf(device, DEVICE_NAME_BYTES, "/dev/loop%d", number);
        *step = "open";
        cleanup_close int fd = open(device, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return -1;
        *step = "LOOP_CONFIGURE";
        if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
            return steal_fd(&fd);
        if (errno != EBUSY)
            return -1;
    }
    errno = EBUSY;
    return -1;
}

static napi_value loop_attach(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *path = call_string(&call, 0, "path");
    bool direct = call_bool(&call, 1, "direct");
    if (call.failed)
        return NULL;
    cleanup_close int backing = open(path, O_RDONLY | O_CLOEXEC);
    if (backing < 0)
        return throw_errno(env, errno, "open", path);
    char device[DEVICE_NAME_BYTES] = "";
    const char *step = "";
    cleanup_close int fd = attach(backing, direct, device, &step);
    if (fd < 0)
        return throw_errno(env, errno, step, device[0] == '\0' ? "/dev/loop-control" : device);
    napi_value result = NULL;
    if (napi_create_object(env, &result) != napi_ok ||
        !set_property(env, result, "fd", make_int32(env, fd)) ||
        !set_property(env, result, "device", make_string(env, device)))
        return NULL;
    steal_fd(&fd);
    return result;
}

napi_status register_loop(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {{"loopAttach", loop_attach}};
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
