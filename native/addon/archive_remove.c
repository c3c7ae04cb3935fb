/* Removing trees of any depth with a bounded number of descriptors. What is mounted in a tree is
 * not a part of it: it ends the removal (EXDEV), and stays as it is. */
#define _GNU_SOURCE
#include "archive.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REMOVE_DEPTH_MAX 64

struct removal {
    /* Where directories that lie too deep are moved to, so that descriptors and stack stay bounded.
     */
    int top;
    uint64_t moved;
    /* Set to anything but 0 by another thread: to be ended where it is. May be NULL. */
    const _Atomic int32_t *stop;
    /* So many names are removed at most. */
    uint64_t most;
};

static int remove_contents(struct removal *removal, int fd, int depth);

/* -1, with errno as the removal of a directory has left it, or, where there was none, with why the
 * file could not be removed: EPERM, of one that is immutable. */
static int failed(int refused) {
    if (errno == ENOTDIR)
        errno = refused;
    return -1;
}

static int move_up(struct removal *removal, int parent, const char *name) {
    char flat[48];
    int result;
    do {
        snprintf(flat, sizeof(flat), ".moved-%llu", (unsigned long long)removal->moved++);
        result = renameat2(parent, name, removal->top, flat, RENAME_NOREPLACE);
    } while (result != 0 && errno == EEXIST);
    return result;
}

static int remove_directory(struct removal *removal, int parent, const char *name, int depth) {
    if (depth >= REMOVE_DEPTH_MAX)
        return move_up(removal, parent, name);
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_NO_XDEV};
    int fd = (int)syscall(SYS_openat2, parent, name, &how, sizeof(how));
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    if (remove_contents(removal, fd, depth + 1) != 0)
        return -1;
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

/* Takes `fd` over. Reads again until a pass finds nothing: deeper passes may have moved directories
 * up here. */
static int remove_contents(struct removal *removal, int fd, int depth) {
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return -1;
    }
    int result = 0;
    bool found;
    do {
        found = false;
        rewinddir(dir);
        for (struct dirent *entry; result == 0 && (entry = readdir(dir)) != NULL;) {
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            if (removal->stop != NULL && *removal->stop != 0) {
                errno = ECANCELED;
                result = -1;
                break;
            }
            found = true;
            if (removal->most-- == 0) {
                errno = EAGAIN;
                result = -1;
                break;
            }
            if (unlinkat(fd, entry->d_name, 0) == 0 || errno == ENOENT)
                continue;
            int refused = errno;
            if (refused != EISDIR && refused != EPERM)
                result = -1;
            else if (remove_directory(removal, fd, entry->d_name, depth) != 0)
                result = failed(refused);
        }
    } while (found && result == 0);
    int saved = errno;
    closedir(dir);
    errno = saved;
    return result;
}

static int remove_tree(int parent, const char *name, const _Atomic int32_t *stop, uint64_t most) {
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    int refused = errno;
    if (refused != EISDIR && refused != EPERM)
        return -1;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : failed(refused);
    struct removal removal = {.top = fd, .stop = stop, .most = most};
    if (remove_contents(&removal, fd, 0) != 0)
        return -1;
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

int archive_remove_tree_until(int parent, const char *name, const _Atomic int32_t *stop) {
    return remove_tree(parent, name, stop, UINT64_MAX);
}

int archive_remove_tree_most(int parent, const char *name, uint64_t most) {
    return remove_tree(parent, name, NULL, most);
}

int archive_remove_tree_at(int parent, const char *name) {
    return archive_remove_tree_until(parent, name, NULL);
}
