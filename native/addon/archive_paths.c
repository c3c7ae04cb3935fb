/*
 * Resolving an archive's paths inside its root: first without symbolic links, then, where the
 * archive itself made some, as if the root were "/" (RESOLVE_IN_ROOT of openat2(2)). The last
 * component is never followed. Parents stay open in a small cache, so that an entry costs only the
 * calls that create it.
 */
#define _GNU_SOURCE
#include "archive.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SYMLINK_DEPTH_MAX 40
#define OPENAT2_TRIES 128
#define OPAQUE_XATTR "trusted.overlay.opaque"

static int open_below(int root, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .resolve = resolve | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    /* EAGAIN: a rename elsewhere on the machine raced with a ".." in the path. */
    for (int tries = 0;; tries++) {
        int fd = (int)syscall(SYS_openat2, root, path[0] == '\0' ? "." : path, &how, sizeof(how));
        if (fd >= 0 || errno != EAGAIN || tries == OPENAT2_TRIES)
            return fd;
    }
}

static int open_in_root(int root, const char *path) {
    return open_below(root, path, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
}

bool archive_is_whiteout(const struct stat *st) {
    return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* The path of an open directory below the root, without a leading slash; owned by the caller, NULL
 * with errno. */
static char *canonical_path(const struct archive *archive, int fd) {
    char link[64];
    char target[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof(target) - 1);
    if (length < 0)
        return NULL;
    target[length] = '\0';
    size_t root_length = strlen(archive->root_path);
    if (strncmp(target, archive->root_path, root_length) != 0 ||
        (target[root_length] != '/' && target[root_length] != '\0')) {
        errno = EXDEV;
        return NULL;
    }
    return strdup(target + root_length + (target[root_length] == '/' ? 1 : 0));
}

static int record_time(struct archive *archive, char *owned_path, struct timespec modified) {
    if (owned_path == NULL)
        return -1;
    if (archive->times_count == archive->times_capacity) {
        size_t capacity = archive->times_capacity == 0 ? 256 : archive->times_capacity * 2;
        struct directory_time *grown = reallocarray(archive->times, capacity, sizeof(*grown));
        if (grown == NULL) {
            free(owned_path);
            return -1;
        }
        archive->times = grown;
        archive->times_capacity = capacity;
    }
    archive->times[archive->times_count++] = (struct directory_time){owned_path, modified};
    return 0;
}

void archive_drop_cache(struct archive *archive) {
    for (int i = 0; i < ARCHIVE_CACHE_SLOTS; i++) {
        struct cached_directory *slot = &archive->cache[i];
        if (slot->key == NULL)
            continue;
        close(slot->fd);
        free(slot->key);
        free(slot->canonical);
        *slot = (struct cached_directory){.fd = -1};
    }
}

/* Takes `fd` and `canonical` over. */
static struct cached_directory *remember(struct archive *archive, const char *key, int fd,
                                         char *canonical) {
    struct cached_directory *slot = &archive->cache[0];
    for (int i = 0; i < ARCHIVE_CACHE_SLOTS; i++) {
        if (archive->cache[i].key == NULL || archive->cache[i].used < slot->used)
            slot = &archive->cache[i];
        if (slot->key == NULL)
            break;
    }
    char *copy = strdup(key);
    if (copy == NULL || canonical == NULL) {
        int saved = canonical == NULL ? errno : ENOMEM;
        free(copy);
        free(canonical);
        close(fd);
        errno = saved;
        return NULL;
    }
    if (slot->key != NULL) {
        close(slot->fd);
        free(slot->key);
        free(slot->canonical);
    }
    *slot = (struct cached_directory){copy, canonical, fd, ++archive->clock};
    return slot;
}

int archive_mark_opaque(int parent, const char *name) {
    char path[64 + NAME_MAX];
    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", parent, name);
    return lsetxattr(path, OPAQUE_XATTR, "y", 1, 0);
}

static void close_keeping_errno(int fd) {
    int saved = errno;
    close(fd);
    errno = saved;
}

static int ensure_directory(struct archive *archive, const char *path, int depth);

/* Follows the link `name` in `parent`, which leads nowhere yet; its own path is the first
 * `up_length` bytes of `path`, and `name`. */
static int make_link_target(struct archive *archive, const char *path, size_t up_length, int parent,
                            const char *name, int depth) {
    char target[PATH_MAX];
    char joined[2 * PATH_MAX];
    ssize_t length = readlinkat(parent, name, target, sizeof(target) - 1);
    if (length < 0)
        return -1;
    target[length] = '\0';
    snprintf(joined, sizeof(joined), "%.*s%s", target[0] == '/' ? 0 : (int)up_length, path, target);
    if (strlen(joined) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return ensure_directory(archive, joined, depth + 1);
}

/* Makes the directory `name` in `parent`, over a whiteout where one stands there. */
static int make_directory(int parent, const char *name) {
    struct stat st;
    bool opaque = fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (opaque && !archive_is_whiteout(&st)) {
        errno = ENOTDIR;
        return -1;
    }
    if (opaque && unlinkat(parent, name, 0) != 0)
        return -1;
    /* The umask, and a set-group-ID bit above, must not show. */
    if (mkdirat(parent, name, 0755) != 0 || fchmodat(parent, name, 0755, 0) != 0 ||
        fchownat(parent, name, 0, 0, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    return opaque ? archive_mark_opaque(parent, name) : 0;
}

/* Opens the directory that path[0..end) names; path[start..end) is its last component, to be made
 * in `parent` where it is missing. */
static int ensure_component(struct archive *archive, const char *path, size_t start, size_t end,
                            int parent, int depth) {
    char prefix[PATH_MAX];
    struct stat st;
    snprintf(prefix, sizeof(prefix), "%.*s", (int)end, path);
    const char *name = prefix + start;
    int fd = open_in_root(archive->root, prefix);
    if (fd >= 0 || (errno != ENOENT && errno != ENOTDIR) || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        return fd;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
        return make_link_target(archive, path, start, parent, name, depth);
    if (make_directory(parent, name) != 0)
        return -1;
    fd = open_in_root(archive->root, prefix);
    if (fd < 0)
        return -1;
    if (record_time(archive, canonical_path(archive, fd), (struct timespec){0}) == 0)
        return fd;
    close_keeping_errno(fd);
    return -1;
}

/*
 * Opens a directory below the root and makes what is missing of it (0755, root's, time 0). A link
 * that leads nowhere yet is followed inside the root and its target made. Returns an O_PATH
 * descriptor, or -1 with errno.
 */
static int ensure_directory(struct archive *archive, const char *path, int depth) {
    int fd = open_in_root(archive->root, path);
    if (fd >= 0 || (errno != ENOENT && errno != ENOTDIR))
        return fd;
    if (depth > SYMLINK_DEPTH_MAX) {
        errno = ELOOP;
        return -1;
    }
    fd = open_in_root(archive->root, "");
    for (size_t start = 0; fd >= 0;) {
        start += strspn(path + start, "/");
        size_t end = start + strcspn(path + start, "/");
        if (start == end)
            break;
        int next = ensure_component(archive, path, start, end, fd, depth);
        close_keeping_errno(fd);
        fd = next;
        start = end;
    }
    return fd;
}

struct cached_directory *archive_directory(struct archive *archive, const char *path, bool create) {
    for (int i = 0; i < ARCHIVE_CACHE_SLOTS; i++) {
        struct cached_directory *slot = &archive->cache[i];
        if (slot->key != NULL && strcmp(slot->key, path) == 0) {
            slot->used = ++archive->clock;
            return slot;
        }
    }
    int fd = open_below(archive->root, path, O_PATH | O_DIRECTORY,
                        RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (fd >= 0)
        return remember(archive, path, fd, strdup(path));
    fd = create ? ensure_directory(archive, path, 0) : open_in_root(archive->root, path);
    if (fd < 0)
        return NULL;
    return remember(archive, path, fd, canonical_path(archive, fd));
}

int archive_find_place(struct archive *archive, char *path, bool create, struct place *place) {
    char *slash = strrchr(path, '/');
    const char *parent = slash == NULL ? "" : path;
    place->name = slash == NULL ? path : slash + 1;
    if (slash != NULL)
        *slash = '\0';
    struct cached_directory *found = archive_directory(archive, parent, create);
    if (slash != NULL)
        *slash = '/';
    if (found == NULL)
        return -1;
    place->parent = found->fd;
    place->canonical_parent = found->canonical;
    if (strlen(found->canonical) + strlen(place->name) + 2 > PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return 0;
}

int archive_record_place_time(struct archive *archive, const struct place *place,
                              struct timespec modified) {
    char *path = NULL;
    const char *separator = place->canonical_parent[0] == '\0' ? "" : "/";
    if (asprintf(&path, "%s%s%s", place->canonical_parent, separator, place->name) < 0)
        return -1;
    return record_time(archive, path, modified);
}

int archive_init(struct archive *archive, int root) {
    char link[64];
    *archive = (struct archive){.root = root, .file = -1};
    snprintf(link, sizeof(link), "/proc/self/fd/%d", root);
    ssize_t length = readlink(link, archive->root_path, sizeof(archive->root_path) - 1);
    if (length <= 0 || record_time(archive, strdup(""), (struct timespec){0}) != 0) {
        int saved = errno;
        archive_release(archive);
        errno = saved;
        return -1;
    }
    return 0;
}

void archive_release(struct archive *archive) {
    archive_drop_cache(archive);
    if (archive->file >= 0)
        close(archive->file);
    if (archive->root >= 0)
        close(archive->root);
    archive->file = archive->root = -1;
    for (size_t i = 0; i < archive->times_count; i++)
        free(archive->times[i].path);
    free(archive->times);
    archive->times = NULL;
    archive->times_count = archive->times_capacity = 0;
}

int archive_apply_times(struct archive *archive) {
    for (size_t i = 0; i < archive->times_count; i++) {
        struct timespec times[2] = {archive->times[i].modified, archive->times[i].modified};
        int fd =
            open_below(archive->root, archive->times[i].path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
        if (fd < 0) {
            /* A later entry replaced the directory. */
            if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
                continue;
            return -1;
        }
        int result = futimens(fd, times);
        int saved = errno;
        close(fd);
        errno = saved;
        if (result != 0)
            return -1;
    }
    return 0;
}
