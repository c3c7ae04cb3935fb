/* See self_exe.h. */
#define _GNU_SOURCE
#include "self_exe.h"
#include "../../common/cleanup.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool self_exe_is_protected(int fd) {
    struct statvfs system;
    if (fstatvfs(fd, &system) == 0 && (system.f_flag & ST_RDONLY) != 0)
        return true;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & SEALS) == SEALS;
}

/* A read-only copy of the mount, with this one file as its root. It is attached nowhere: when the
 * descriptor closes it belongs to no mount namespace, and what belongs to none cannot be changed or
 * copied (check_mnt in the kernel's fs/namespace.c). */
static int self_exe_read_only_mount(int fd) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    cleanup_close int tree = open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
        return -1;
    return steal_fd(&tree);
}

/* Where mounts cannot be copied (no CAP_SYS_ADMIN): a copy of the file that cannot be written. */
static int self_exe_sealed_copy(int fd) {
    struct stat status;
    cleanup_close int copy = memfd_create("mydock-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy < 0 || fstat(fd, &status) < 0)
        return -1;
    for (off_t left = status.st_size; left > 0;) {
        ssize_t moved = sendfile(copy, fd, NULL, (size_t)left);
        if (moved <= 0)
            return -1;
        left -= moved;
    }
    return fcntl(copy, F_ADD_SEALS, SEALS) < 0 ? -1 : steal_fd(&copy);
}

int self_exe_protect(char **arguments, struct error **err) {
    cleanup_close int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return error_set(err, errno, "open", "/proc/self/exe");
    if (self_exe_is_protected(own))
        return 0;
    cleanup_close int mount = self_exe_read_only_mount(own);
    if (mount >= 0)
        sys_execveat(mount, arguments, environ);
    cleanup_close int copy = self_exe_sealed_copy(own);
    if (copy >= 0)
        sys_execveat(copy, arguments, environ);
    return error_set(err, errno, "protect", "this program's file from its containers");
}
