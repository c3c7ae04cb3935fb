/* Creating an archive's entries: what stands in their place, types, owners, modes, contents. */
#define _GNU_SOURCE
#include "archive.h"
#include "module.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define HOLE_BLOCK 4096

/*
 * Clears what an earlier entry put at a place. *kept: it is a directory and a directory is wanted.
 * *hid: it was no directory, so that what lower layers have there is hidden, and a directory put in
 * its place must be opaque.
 */
static int clear_place(struct archive *archive, struct entry *entry, struct place *place,
                       bool *kept, bool *hid) {
    struct stat st;
    *kept = *hid = false;
    if (fstatat(place->parent, place->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : -1;
    bool is_directory = S_ISDIR(st.st_mode);
    if (is_directory && entry_type(entry) == S_IFDIR && !entry_is_hard_link(entry)) {
        *kept = true;
        return 0;
    }
    *hid = !is_directory;
    if (archive_remove_tree_at(place->parent, place->name) != 0)
        return -1;
    if (!is_directory && !S_ISLNK(st.st_mode))
        return 0;
    /* Cached parents may lead through what was removed. */
    archive_drop_cache(archive);
    return archive_find_place(archive, entry->path, true, place);
}

/* Links onto itself count as done. */
static int link_or_same(const struct place *target, const struct stat *target_st, int parent,
                        const char *name) {
    struct stat st;
    if (linkat(target->parent, target->name, parent, name, 0) == 0)
        return 0;
    if (errno != EEXIST || fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    if (st.st_dev == target_st->st_dev && st.st_ino == target_st->st_ino)
        return 0;
    errno = EEXIST;
    return -1;
}

static int make_link(struct archive *archive, const struct entry *entry,
                     const struct place *place) {
    char target_path[PATH_MAX];
    struct place target;
    struct stat st;
    snprintf(target_path, sizeof(target_path), "%s", entry->link);
    /* Looking the target up may push the entry's own parent out of the cache. */
    cleanup_close int parent = fcntl(place->parent, F_DUPFD_CLOEXEC, 3);
    if (parent < 0 || archive_find_place(archive, target_path, false, &target) != 0 ||
        fstatat(target.parent, target.name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    if (archive_is_whiteout(&st)) {
        errno = ENOENT;
        return -1;
    }
    int result = link_or_same(&target, &st, parent, place->name);
    int saved = errno;
    cleanup_close_fd(&parent);
    parent = -1;
    errno = saved;
    return result;
}

static int make_node(struct archive *archive, const struct entry *entry,
                     const struct place *place) {
    if (entry_is_hard_link(entry))
        return make_link(archive, entry, place);
    switch (entry_type(entry)) {
    case S_IFDIR:
        return mkdirat(place->parent, place->name, 0700);
    case S_IFLNK:
        return symlinkat(entry->link, place->parent, place->name);
    case S_IFCHR:
    case S_IFBLK:
        return mknodat(
            place->parent, place->name, entry_type(entry) | 0600,
            makedev((unsigned)entry->fields[FIELD_MAJOR], (unsigned)entry->fields[FIELD_MINOR]));
    case S_IFIFO:
        return mknodat(place->parent, place->name, S_IFIFO | 0600, 0);
    case S_IFREG:
        archive->file = openat(place->parent, place->name,
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        return archive->file < 0 ? -1 : 0;
    default:
        errno = EINVAL;
        return -1;
    }
}

int archive_create(struct archive *archive, struct entry *entry, struct place *place) {
    bool kept;
    bool hid;
    if (archive_find_place(archive, entry->path, true, place) != 0)
        return -1;
    if (make_node(archive, entry, place) == 0)
        return 0;
    if (errno != EEXIST || clear_place(archive, entry, place, &kept, &hid) != 0)
        return -1;
    if (kept)
        return 0;
    if (make_node(archive, entry, place) != 0)
        return -1;
    bool is_directory = entry_type(entry) == S_IFDIR && !entry_is_hard_link(entry);
    return is_directory && hid ? archive_mark_opaque(place->parent, place->name) : 0;
}

int archive_set_owner_and_mode(const struct entry *entry, const struct place *place) {
    uid_t uid = (uid_t)entry->fields[FIELD_UID];
    gid_t gid = (gid_t)entry->fields[FIELD_GID];
    if (fchownat(place->parent, place->name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    return entry_type(entry) == S_IFLNK
               ? 0
               : fchmodat(place->parent, place->name, entry_mode(entry), 0);
}

static bool all_zero(const uint8_t *data, size_t length) {
    return length > 0 && data[0] == 0 && memcmp(data, data + 1, length - 1) == 0;
}

static int write_all(int fd, const uint8_t *data, size_t length, off_t position) {
    while (length > 0) {
        ssize_t done = pwrite(fd, data, length, position);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        data += done;
        length -= (size_t)done;
        position += done;
    }
    return 0;
}

/* The end of a file that ends in a hole is set by the caller's ftruncate. */
int archive_write_data(int fd, const uint8_t *data, size_t length, off_t position,
                       bool find_holes) {
    size_t start = 0;
    size_t at = 0;
    while (at < length) {
        size_t step = HOLE_BLOCK - (size_t)((position + (off_t)at) % HOLE_BLOCK);
        if (step > length - at)
            step = length - at;
        if (find_holes && step == HOLE_BLOCK && all_zero(data + at, step)) {
            if (write_all(fd, data + start, at - start, position + (off_t)start) != 0)
                return -1;
            start = at + step;
        }
        at += step;
    }
    return write_all(fd, data + start, length - start, position + (off_t)start);
}

int archive_make_whiteout(struct archive *archive, char *path) {
    struct place place;
    struct stat st;
    if (archive_find_place(archive, path, true, &place) != 0)
        return -1;
    if (mknodat(place.parent, place.name, S_IFCHR | 0600, 0) == 0)
        return fchownat(place.parent, place.name, 0, 0, AT_SYMLINK_NOFOLLOW);
    if (errno != EEXIST || fstatat(place.parent, place.name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    return S_ISDIR(st.st_mode) ? archive_mark_opaque(place.parent, place.name) : 0;
}
