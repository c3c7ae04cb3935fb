/* See console.h; pts(4). */
#define _GNU_SOURCE
#include "console.h"
#include "../../common/cleanup.h"
#include "mounts.h"
#include "root_path.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define PTMX "/dev/pts/ptmx"

/* Looked at before it is opened: opening an arbitrary device or fifo of the container's could block
 * or do things. */
static int console_open_master(int root_fd, struct error **err) {
    struct statfs system;
    struct stat status;
    cleanup_close int path = root_path_open_plain(root_fd, PTMX, O_PATH);
    if (path < 0 || fstatfs(path, &system) < 0 || fstatat(path, "", &status, AT_EMPTY_PATH) < 0)
        return error_set(err, errno, "open the terminal", PTMX);
    if (system.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(status.st_mode) ||
        status.st_rdev != makedev(5, 2))
        return error_setf(err, EINVAL, "open the terminal", PTMX,
                          "%s in the container is not a terminal multiplexer", PTMX);
    int master = root_path_open_plain(root_fd, PTMX, O_RDWR | O_NOCTTY);
    if (master < 0)
        return error_set(err, errno, "open the terminal", PTMX);
    /* The same file still? A running container can mount and rename between the two lookups. */
    struct stat opened;
    if (fstat(master, &opened) < 0 || opened.st_dev != status.st_dev ||
        opened.st_ino != status.st_ino) {
        close(master);
        return error_set(err, ESTALE, "open the terminal", PTMX);
    }
    return master;
}

int console_open(const struct config_process *process, int root_fd, struct console *console,
                 struct error **err) {
    cleanup_close int master = console_open_master(root_fd, err);
    if (master < 0)
        return -1;
    int unlock = 0;
    if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return error_set(err, errno, "unlock the terminal", PTMX);
    /* TIOCGPTPEER, not ptsname: no path of the container's is followed. */
    cleanup_close int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return error_set(err, errno, "open the terminal", "slave");
    struct winsize size = {.ws_row = process->rows, .ws_col = process->columns};
    if (process->rows != 0 && process->columns != 0 && ioctl(master, TIOCSWINSZ, &size) < 0)
        return error_set(err, errno, "set the size of", "the terminal");
    if (process->uid != 0 && fchown(slave, process->uid, (gid_t)-1) < 0)
        return error_set(err, errno, "change the owner of", "the terminal");
    console->master = steal_fd(&master);
    console->slave = steal_fd(&slave);
    return 0;
}

int console_bind(const struct console *console, int root_fd, struct error **err) {
    cleanup_close int target = root_path_file(root_fd, "/dev/console", err);
    if (target < 0)
        return -1;
    cleanup_close int tree =
        open_tree(console->slave, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0)
        return error_set(err, errno, "bind", "/dev/console");
    return mounts_move(tree, target, "/dev/console", err);
}

int console_control(const struct console *console, struct error **err) {
    if (ioctl(console->slave, TIOCSCTTY, 0) < 0)
        return error_set(err, errno, "take", "the controlling terminal");
    return 0;
}
