/*
 * Writing an archive's entries below one directory, listing directories, and removing trees: the
 * system calls of the layer store. What an entry means (names, whiteouts, which attributes are
 * taken) is decided in src/image/layers/extractor.ts; here it is made sure that nothing is ever
 * created outside the root. Functions return 0 or a descriptor, or -1 with errno, unless they say
 * otherwise. Paths are relative to the root, without a leading slash; "" is the root itself.
 */
#ifndef MYDOCK_ADDON_ARCHIVE_H
#define MYDOCK_ADDON_ARCHIVE_H

#include <limits.h>
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define ARCHIVE_CACHE_SLOTS 32

/* A parent directory that is kept open: `canonical` is `key` without symbolic links. */
struct cached_directory {
    char *key;
    char *canonical;
    int fd;
    uint64_t used;
};

/* A directory's time, set when all is written, because writing in it changes it. The last record of
 * a path counts. */
struct directory_time {
    char *path;
    struct timespec modified;
};

struct archive {
    int root;
    /* The regular file being written, or -1. */
    int file;
    /* Where the root lies, as /proc names it, for canonical paths. */
    char root_path[PATH_MAX];
    struct cached_directory cache[ARCHIVE_CACHE_SLOTS];
    uint64_t clock;
    struct directory_time *times;
    size_t times_count;
    size_t times_capacity;
};

/* Twin of ENTRY_FIELDS in src/image/layers/native-archive.ts. */
enum archive_field {
    FIELD_TYPE,
    FIELD_MODE,
    FIELD_UID,
    FIELD_GID,
    FIELD_SECONDS,
    FIELD_NANOSECONDS,
    FIELD_MAJOR,
    FIELD_MINOR,
    FIELD_SIZE,
    FIELD_FIND_HOLES,
    FIELD_COUNT,
};

struct entry {
    const double *fields;
    /* Of less than PATH_MAX bytes; changed while it is looked up, and restored. */
    char *path;
    /* The target of a symbolic link, or with any other type: this is a hard link to that path. */
    const char *link;
};

/* Where an entry goes: `parent` is borrowed from the cache, valid until the next look-up. */
struct place {
    int parent;
    const char *canonical_parent;
    const char *name;
};

static inline mode_t entry_type(const struct entry *entry) {
    return (mode_t)entry->fields[FIELD_TYPE];
}

static inline mode_t entry_mode(const struct entry *entry) {
    return (mode_t)entry->fields[FIELD_MODE] & 07777;
}

static inline struct timespec entry_time(const struct entry *entry) {
    return (struct timespec){(time_t)entry->fields[FIELD_SECONDS],
                             (long)entry->fields[FIELD_NANOSECONDS]};
}

static inline bool entry_is_hard_link(const struct entry *entry) {
    return entry->link != NULL && entry_type(entry) != S_IFLNK;
}

/* archive_paths.c: resolving paths inside the root. */

/* Takes the descriptor of the root over, also where it fails. */
int archive_init(struct archive *archive, int root);
/* Closes and frees all but the struct. Idempotent. */
void archive_release(struct archive *archive);
/* Forgets the open parents: to be called after a directory or a symbolic link was removed. */
void archive_drop_cache(struct archive *archive);
/* The open directory `path`; with `create`, what is missing of it is made (0755, root's, time 0),
 * and links that lead nowhere yet are followed inside the root. NULL with errno. */
struct cached_directory *archive_directory(struct archive *archive, const char *path, bool create);
/* Opens the parent of `path`; place->name points into `path`. */
int archive_find_place(struct archive *archive, char *path, bool create, struct place *place);
/* Remembers the time of the directory at a place. */
int archive_record_place_time(struct archive *archive, const struct place *place,
                              struct timespec modified);
/* Sets the recorded times of all directories that still exist. */
int archive_apply_times(struct archive *archive);
/* 0/0 character device: overlayfs's whiteout. */
bool archive_is_whiteout(const struct stat *st);
/* Marks the directory `name` in `parent` as hiding what lower layers have of it. */
int archive_mark_opaque(int parent, const char *name);

/* archive_entries.c: creating entries. */

/* Creates the entry; what an earlier one left at its place goes, but a directory stays where one
 * is wanted. A regular file is left open in archive->file. */
int archive_create(struct archive *archive, struct entry *entry, struct place *place);
/* Hides `path` of lower layers. What this layer has there stays; a directory becomes opaque. */
int archive_make_whiteout(struct archive *archive, char *path);
/* Owner, then mode (chown clears set-ID bits); attributes and times follow by the caller. */
int archive_set_owner_and_mode(const struct entry *entry, const struct place *place);
/* Writes at a position; with `find_holes`, aligned blocks of zeros are left out. */
int archive_write_data(int fd, const uint8_t *data, size_t length, off_t position, bool find_holes);

/* archive_remove.c */

/* Removes `name` in `parent`, whatever it is, however deep. Missing is no error. */
int archive_remove_tree_at(int parent, const char *name);
/* The same, which ends with ECANCELED once *stop is not 0; NULL: never. What is left is a tree. */
int archive_remove_tree_until(int parent, const char *name, const _Atomic int32_t *stop);
/* The same, which ends with EAGAIN where the tree has more names than `most`, so many of them gone.
 */
int archive_remove_tree_most(int parent, const char *name, uint64_t most);

/* archive_remove_async.c */

/* archiveRemoveSmall(path, most): a promise of whether all of it is gone. */
napi_value archive_remove_small(napi_env env, napi_callback_info info);

/* archive_list.c */

/* archiveList(fd): {names, fields, links, xattrs} of a directory's entries, unsorted. */
napi_value archive_list(napi_env env, napi_callback_info info);

#endif
