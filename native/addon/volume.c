/*
 * What volumes need of file systems: contents shared or copied with their holes, directories
 * exchanged, and project quotas (quotactl_fd(2), FS_IOC_FSSETXATTR), which limit a tree's size.
 */
#define _GNU_SOURCE
#include "module.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif
#ifndef PRJQUOTA
#define PRJQUOTA 2
#endif
/* qs_flags of Q_XGETQSTATV: project quotas are counted, and enforced. */
#define PROJECT_ACCOUNTED (1 << 4)
#define PROJECT_ENFORCED (1 << 5)
#define COPY_BUFFER_BYTES (256 * 1024)

static napi_value make_double(napi_env env, double value) {
    napi_value result = NULL;
    return napi_create_double(env, value, &result) == napi_ok ? result : NULL;
}

/* cloneFile(from, to): true where `to` now shares all of its content with `from`. */
static napi_value clone_file(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int from = call_int32(&call, 0, "fromFd");
    int to = call_int32(&call, 1, "toFd");
    if (call.failed)
        return NULL;
    if (ioctl(to, FICLONE, from) == 0)
        return make_bool(env, true);
    /* Another file system, or one that cannot share. */
    if (errno == EXDEV || errno == EOPNOTSUPP || errno == ENOTTY || errno == EINVAL ||
        errno == ENOSYS || errno == EPERM)
        return make_bool(env, false);
    return throw_errno(env, errno, "FICLONE", NULL);
}

/* By hand, for file systems between which the kernel does not copy. */
static ssize_t copy_through_memory(int from, int to, off_t position, size_t length) {
    cleanup_free char *buffer = malloc(COPY_BUFFER_BYTES);
    if (buffer == NULL) {
        errno = ENOMEM;
        return -1;
    }
    size_t wanted = length < COPY_BUFFER_BYTES ? length : COPY_BUFFER_BYTES;
    ssize_t got = pread(from, buffer, wanted, position);
    for (ssize_t done = 0; done < got;) {
        ssize_t put = pwrite(to, buffer + done, (size_t)(got - done), position + done);
        if (put < 0)
            return -1;
        done += put;
    }
    return got;
}

static ssize_t copy_piece(int from, int to, off_t position, size_t length) {
    off_t in = position, out = position;
    ssize_t copied = copy_file_range(from, &in, to, &out, length, 0);
    /* 0 in front of the end: some file systems (overlayfs, procfs) answer so instead of copying. */
    if (copied > 0 || (copied < 0 && errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP &&
                       errno != ENOSYS && errno != EPERM && errno != ETXTBSY))
        return copied;
    return copy_through_memory(from, to, position, length);
}

/* copyData(from, to, position, maxBytes): the next position, -1 where nothing but a hole follows.
 */
static napi_value copy_data(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int from = call_int32(&call, 0, "fromFd");
    int to = call_int32(&call, 1, "toFd");
    off_t position = (off_t)call_uint64(&call, 2, "position");
    off_t most = (off_t)call_uint64(&call, 3, "maxBytes");
    if (call.failed)
        return NULL;
    off_t data = lseek(from, position, SEEK_DATA);
    if (data < 0)
        return errno == ENXIO ? make_int32(env, -1) : throw_errno(env, errno, "lseek", NULL);
    off_t hole = lseek(from, data, SEEK_HOLE);
    if (hole < 0)
        return errno == ENXIO ? make_int32(env, -1) : throw_errno(env, errno, "lseek", NULL);
    off_t end = hole - data < most ? hole : data + most;
    for (position = data; position < end;) {
        ssize_t copied = copy_piece(from, to, position, (size_t)(end - position));
        if (copied < 0)
            return throw_errno(env, errno, "copy_file_range", NULL);
        /* It was cut off meanwhile. */
        if (copied == 0)
            return make_int32(env, -1);
        position += copied;
    }
    return make_double(env, (double)position);
}

/* dataSegments(fd, most): [offset, end, …] of at most `most` stretches of data; the last one of a
 * file that has more reaches to its end. */
static napi_value data_segments(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    int most = call_int32(&call, 1, "most");
    struct stat status;
    napi_value result = NULL;
    if (call.failed || napi_create_array(env, &result) != napi_ok)
        return NULL;
    if (fstat(fd, &status) != 0)
        return throw_errno(env, errno, "fstat", NULL);
    off_t end = 0;
    for (uint32_t count = 0; end < status.st_size && count / 2 < (uint32_t)most; count += 2) {
        off_t data = lseek(fd, end, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break;
        end = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
        /* Cut off between the two calls. */
        if (end < 0 && data >= 0 && errno == ENXIO)
            break;
        if (end < 0)
            return throw_errno(env, errno, "lseek", NULL);
        if (end > status.st_size || count / 2 + 1 == (uint32_t)most)
            end = status.st_size;
        if (data >= end)
            break;
        if (napi_set_element(env, result, count, make_double(env, (double)data)) != napi_ok ||
            napi_set_element(env, result, count + 1, make_double(env, (double)end)) != napi_ok)
            return NULL;
    }
    return result;
}

/* exchange(a, b): renameat2(2) with RENAME_EXCHANGE. */
static napi_value exchange(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *first = call_string(&call, 0, "first");
    cleanup_free char *second = call_string(&call, 1, "second");
    if (call.failed)
        return NULL;
    if (renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE) != 0)
        return throw_errno(env, errno, "renameat2", first);
    return make_undefined(env);
}

static int project_quotactl(int fd, int command, uint32_t project, void *address) {
    return (int)syscall(SYS_quotactl_fd, fd, QCMD(command, PRJQUOTA), project, address);
}

/* projectQuotas(fd): of the file system that holds it. */
static napi_value project_quotas(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    struct fs_quota_statv state = {.qs_version = FS_QSTATV_VERSION1};
    if (call.failed)
        return NULL;
    if (project_quotactl(fd, Q_XGETQSTATV, 0, &state) != 0) {
        /* None on this file system (ENOSYS, ENOTTY, EINVAL), none at the moment (ESRCH), no call.
         */
        if (errno == ENOSYS || errno == ENOTTY || errno == EINVAL || errno == ESRCH ||
            errno == EOPNOTSUPP || errno == ENODEV || errno == ENOTBLK)
            return make_string(env, "off");
        return throw_errno(env, errno, "quotactl_fd", NULL);
    }
    if ((state.qs_flags & PROJECT_ENFORCED) != 0)
        return make_string(env, "enforced");
    return make_string(env, (state.qs_flags & PROJECT_ACCOUNTED) != 0 ? "counted" : "off");
}

/* projectOf(fd): the project of a file or directory; 0 for none, and where projects are unknown. */
static napi_value project_of(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    struct fsxattr attributes = {0};
    if (call.failed)
        return NULL;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0 && errno != ENOTTY && errno != EOPNOTSUPP &&
        errno != EINVAL)
        return throw_errno(env, errno, "FS_IOC_FSGETXATTR", NULL);
    return make_double(env, attributes.fsx_projid);
}

/* setProject(fd, project): what is made in a directory later belongs to it as well. */
static napi_value set_project(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    uint64_t project = call_uint64(&call, 1, "project");
    struct fsxattr attributes = {0};
    struct stat status;
    if (call.failed)
        return NULL;
    if (fstat(fd, &status) != 0 || ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0)
        return throw_errno(env, errno, "FS_IOC_FSGETXATTR", NULL);
    attributes.fsx_projid = (uint32_t)project;
    if (S_ISDIR(status.st_mode) && project != 0)
        attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    else
        attributes.fsx_xflags &= ~(uint32_t)FS_XFLAG_PROJINHERIT;
    if (ioctl(fd, FS_IOC_FSSETXATTR, &attributes) != 0)
        return throw_errno(env, errno, "FS_IOC_FSSETXATTR", NULL);
    return make_undefined(env);
}

/* projectUsage(fd, project): {usedBytes, limitBytes}; zeros where the project was never used. */
static napi_value project_usage(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    uint64_t project = call_uint64(&call, 1, "project");
    struct if_dqblk block = {0};
    napi_value result = NULL;
    if (call.failed)
        return NULL;
    if (project_quotactl(fd, Q_GETQUOTA, (uint32_t)project, &block) != 0) {
        if (errno != ENOENT)
            return throw_errno(env, errno, "quotactl_fd", NULL);
        block = (struct if_dqblk){0};
    }
    double limit = (double)block.dqb_bhardlimit * QIF_DQBLKSIZE;
    if (napi_create_object(env, &result) != napi_ok ||
        !set_property(env, result, "usedBytes", make_double(env, (double)block.dqb_curspace)) ||
        !set_property(env, result, "limitBytes", make_double(env, limit)))
        return NULL;
    return result;
}

/* limitProject(fd, project, bytes): rounded up to the quota's blocks of 1 KiB; 0 is no limit. */
static napi_value limit_project(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    uint64_t project = call_uint64(&call, 1, "project");
    uint64_t bytes = call_uint64(&call, 2, "bytes");
    if (call.failed)
        return NULL;
    struct if_dqblk block = {
        .dqb_bhardlimit = bytes / QIF_DQBLKSIZE + (bytes % QIF_DQBLKSIZE != 0 ? 1 : 0),
        .dqb_valid = QIF_BLIMITS,
    };
    block.dqb_bsoftlimit = block.dqb_bhardlimit;
    if (project_quotactl(fd, Q_SETQUOTA, (uint32_t)project, &block) != 0)
        return throw_errno(env, errno, "quotactl_fd", NULL);
    return make_undefined(env);
}

napi_status register_volume(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"cloneFile", clone_file},         {"copyData", copy_data},
        {"dataSegments", data_segments},   {"exchange", exchange},
        {"projectQuotas", project_quotas}, {"projectOf", project_of},
        {"setProject", set_project},       {"projectUsage", project_usage},
        {"limitProject", limit_project},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
