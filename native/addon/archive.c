/*
 * The archive functions as JavaScript sees them (src/image/layers/native-archive.ts). Byte strings
 * travel as Latin-1 JavaScript strings: one char, one byte. Errors carry no path: the caller names
 * the entry.
 */
#define _GNU_SOURCE
#include "archive.h"
#include "module.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

static bool arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *values) {
    size_t count = wanted;
    if (napi_get_cb_info(env, info, &count, values, NULL, NULL) != napi_ok || count < wanted) {
        napi_throw_type_error(env, NULL, "archive: missing argument");
        return false;
    }
    return true;
}

/* Reads a byte string of less than PATH_MAX bytes; throws ENAMETOOLONG for longer ones. */
static bool get_path(napi_env env, napi_value value, char path[PATH_MAX]) {
    size_t length = 0;
    if (napi_get_value_string_latin1(env, value, NULL, 0, &length) != napi_ok) {
        napi_throw_type_error(env, NULL, "archive: a path must be a byte string");
        return false;
    }
    if (length >= PATH_MAX) {
        throw_errno(env, ENAMETOOLONG, "open", NULL);
        return false;
    }
    napi_get_value_string_latin1(env, value, path, PATH_MAX, &length);
    return true;
}

static bool get_bytes(napi_env env, napi_value value, void **data, size_t *length) {
    if (napi_get_buffer_info(env, value, data, length) == napi_ok)
        return true;
    napi_throw_type_error(env, NULL, "archive: expected bytes");
    return false;
}

static bool get_fields(napi_env env, napi_value value, const double **fields) {
    napi_typedarray_type type;
    size_t length;
    void *data;
    if (napi_get_typedarray_info(env, value, &type, &length, &data, NULL, NULL) == napi_ok &&
        type == napi_float64_array && length >= FIELD_COUNT) {
        *fields = data;
        return true;
    }
    napi_throw_type_error(env, NULL, "archive: expected the fields of an entry");
    return false;
}

static struct archive *get_archive(napi_env env, napi_value value) {
    void *data = NULL;
    if (napi_get_value_external(env, value, &data) == napi_ok &&
        ((struct archive *)data)->root >= 0)
        return data;
    napi_throw_type_error(env, NULL, "archive: closed, or not an archive");
    return NULL;
}

static void finalize(napi_env env, void *data, void *hint) {
    (void)env;
    (void)hint;
    archive_release(data);
    free(data);
}

/* archiveOpen(path): the root below which entries are created. */
static napi_value archive_open(napi_env env, napi_callback_info info) {
    napi_value argv[1];
    napi_value handle;
    char path[PATH_MAX];
    if (!arguments(env, info, 1, argv) || !get_path(env, argv[0], path))
        return NULL;
    int root = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0)
        return throw_errno(env, errno, "open", path);
    struct archive *archive = malloc(sizeof(*archive));
    if (archive == NULL) {
        close(root);
        return throw_errno(env, ENOMEM, "open", path);
    }
    if (archive_init(archive, root) != 0) {
        int saved = errno;
        free(archive);
        return throw_errno(env, saved, "readlink", path);
    }
    if (napi_create_external(env, archive, finalize, NULL, &handle) != napi_ok) {
        finalize(env, archive, NULL);
        return throw_errno(env, ENOMEM, "open", path);
    }
    return handle;
}

/* Attributes as [name, value, name, value, …]. */
static bool set_xattrs(napi_env env, napi_value list, const char *target, int fd,
                       const struct entry *entry) {
    napi_valuetype type;
    uint32_t length = 0;
    if (napi_typeof(env, list, &type) != napi_ok || type != napi_object ||
        napi_get_array_length(env, list, &length) != napi_ok)
        return true;
    for (uint32_t i = 0; i + 1 < length; i += 2) {
        napi_value element;
        char name[XATTR_NAME_MAX + 2];
        void *value;
        size_t size;
        napi_get_element(env, list, i, &element);
        if (napi_get_value_string_latin1(env, element, name, sizeof(name), &size) != napi_ok)
            return true;
        napi_get_element(env, list, i + 1, &element);
        if (!get_bytes(env, element, &value, &size))
            return false;
        int result =
            fd >= 0 ? fsetxattr(fd, name, value, size, 0) : lsetxattr(target, name, value, size, 0);
        if (result == 0 || errno == ENOTSUP)
            continue;
        /* The kernel keeps user attributes off everything but files and directories. */
        bool plain = entry_type(entry) == S_IFREG || entry_type(entry) == S_IFDIR;
        if (errno == EPERM && !plain && strncmp(name, "user.", 5) == 0)
            continue;
        char step[XATTR_NAME_MAX + 16];
        snprintf(step, sizeof(step), "setxattr %s", name);
        throw_errno(env, errno, step, NULL);
        return false;
    }
    return true;
}

/* Metadata of the file that is open, at its end: writing would take capabilities away again. */
static bool finish_file(napi_env env, struct archive *archive, const struct entry *entry,
                        napi_value xattrs) {
    int fd = archive->file;
    struct timespec times[2] = {entry_time(entry), entry_time(entry)};
    const char *step = NULL;
    if (ftruncate(fd, (off_t)entry->fields[FIELD_SIZE]) != 0)
        step = "ftruncate";
    else if (fchown(fd, (uid_t)entry->fields[FIELD_UID], (gid_t)entry->fields[FIELD_GID]) != 0)
        step = "fchown";
    else if (fchmod(fd, entry_mode(entry)) != 0)
        step = "fchmod";
    if (step != NULL) {
        throw_errno(env, errno, step, NULL);
        return false;
    }
    if (!set_xattrs(env, xattrs, NULL, fd, entry))
        return false;
    if (futimens(fd, times) != 0) {
        throw_errno(env, errno, "futimens", NULL);
        return false;
    }
    archive->file = -1;
    if (close(fd) == 0)
        return true;
    throw_errno(env, errno, "close", NULL);
    return false;
}

/* archiveNode(archive, fields, path, link | null, xattrs | null): everything but regular files. */
static napi_value archive_node(napi_env env, napi_callback_info info) {
    napi_value argv[5];
    char path[PATH_MAX];
    char link[PATH_MAX];
    struct entry entry = {.path = path};
    struct place place;
    napi_valuetype type;
    if (!arguments(env, info, 5, argv))
        return NULL;
    struct archive *archive = get_archive(env, argv[0]);
    if (archive == NULL || !get_fields(env, argv[1], &entry.fields) ||
        !get_path(env, argv[2], path))
        return NULL;
    if (napi_typeof(env, argv[3], &type) == napi_ok && type == napi_string) {
        if (!get_path(env, argv[3], link))
            return NULL;
        entry.link = link;
    }
    bool is_link = entry_is_hard_link(&entry);
    if (path[0] == '\0') {
        /* The root itself: it exists, and only its metadata are set. */
        place = (struct place){archive->root, "", "."};
        if (entry_type(&entry) != S_IFDIR || is_link)
            return throw_errno(env, EISDIR, "open", NULL);
    } else if (archive_create(archive, &entry, &place) != 0) {
        return throw_errno(env, errno, is_link ? "link" : "create", NULL);
    }
    if (is_link)
        return NULL;
    if (archive_set_owner_and_mode(&entry, &place) != 0)
        return throw_errno(env, errno, "chown", NULL);
    char target[64 + NAME_MAX];
    snprintf(target, sizeof(target), "/proc/self/fd/%d/%s", place.parent, place.name);
    if (!set_xattrs(env, argv[4], target, -1, &entry))
        return NULL;
    if (path[0] == '\0')
        place.name = "";
    struct timespec times[2] = {entry_time(&entry), entry_time(&entry)};
    int result = entry_type(&entry) == S_IFDIR
                     ? archive_record_place_time(archive, &place, times[0])
                     : utimensat(place.parent, place.name, times, AT_SYMLINK_NOFOLLOW);
    return result == 0 ? NULL : throw_errno(env, errno, "utimensat", NULL);
}

/* archiveFile(archive, fields, path, xattrs | null, data | null): without data the file stays open
 * for writing. */
static napi_value archive_file(napi_env env, napi_callback_info info) {
    napi_value argv[5];
    char path[PATH_MAX];
    struct entry entry = {.path = path};
    struct place place;
    napi_valuetype type;
    if (!arguments(env, info, 5, argv))
        return NULL;
    struct archive *archive = get_archive(env, argv[0]);
    if (archive == NULL || !get_fields(env, argv[1], &entry.fields) ||
        !get_path(env, argv[2], path))
        return NULL;
    if (archive->file >= 0 || path[0] == '\0')
        return throw_errno(env, path[0] == '\0' ? EISDIR : EBUSY, "open", NULL);
    if (archive_create(archive, &entry, &place) != 0)
        return throw_errno(env, errno, "create", NULL);
    if (napi_typeof(env, argv[4], &type) != napi_ok || type == napi_null)
        return NULL;
    void *data;
    size_t length;
    if (!get_bytes(env, argv[4], &data, &length))
        return NULL;
    bool find_holes = entry.fields[FIELD_FIND_HOLES] != 0;
    if (archive_write_data(archive->file, data, length, 0, find_holes) != 0)
        return throw_errno(env, errno, "write", NULL);
    finish_file(env, archive, &entry, argv[3]);
    return NULL;
}

/* archiveWrite(archive, data, position, findHoles) */
static napi_value archive_write(napi_env env, napi_callback_info info) {
    napi_value argv[4];
    void *data;
    size_t length;
    int64_t position;
    bool find_holes;
    if (!arguments(env, info, 4, argv))
        return NULL;
    struct archive *archive = get_archive(env, argv[0]);
    if (archive == NULL || !get_bytes(env, argv[1], &data, &length))
        return NULL;
    if (napi_get_value_int64(env, argv[2], &position) != napi_ok ||
        napi_get_value_bool(env, argv[3], &find_holes) != napi_ok || archive->file < 0)
        return throw_errno(env, EBADF, "write", NULL);
    int result = archive_write_data(archive->file, data, length, position, find_holes);
    return result == 0 ? NULL : throw_errno(env, errno, "write", NULL);
}

/* archiveEnd(archive, fields, xattrs | null) */
static napi_value archive_end(napi_env env, napi_callback_info info) {
    napi_value argv[3];
    struct entry entry = {0};
    if (!arguments(env, info, 3, argv))
        return NULL;
    struct archive *archive = get_archive(env, argv[0]);
    if (archive == NULL || !get_fields(env, argv[1], &entry.fields))
        return NULL;
    if (archive->file < 0)
        return throw_errno(env, EBADF, "write", NULL);
    finish_file(env, archive, &entry, argv[2]);
    return NULL;
}

/* archiveWhiteout(archive, path) */
static napi_value archive_whiteout(napi_env env, napi_callback_info info) {
    napi_value argv[2];
    char path[PATH_MAX];
    if (!arguments(env, info, 2, argv))
        return NULL;
    struct archive *archive = get_archive(env, argv[0]);
    if (archive == NULL || !get_path(env, argv[1], path))
        return NULL;
    return archive_make_whiteout(archive, path) == 0 ? NULL
                                                     : throw_errno(env, errno, "whiteout", NULL);
}

/* archiveOpaque(archive, path): the directory is made where it is missing. */
static napi_value archive_opaque(napi_env env, napi_callback_info info) {
    napi_value argv[2];
    char path[PATH_MAX];
    if (!arguments(env, info, 2, argv))
        return NULL;
    struct archive *archive = get_archive(env, argv[0]);
    if (archive == NULL || !get_path(env, argv[1], path))
        return NULL;
    struct cached_directory *found = archive_directory(archive, path, true);
    if (found == NULL || archive_mark_opaque(found->fd, ".") != 0)
        return throw_errno(env, errno, "opaque", NULL);
    return NULL;
}

/* archiveClose(archive, finish): with `finish` the directories' times are set first. */
static napi_value archive_close(napi_env env, napi_callback_info info) {
    napi_value argv[2];
    void *data = NULL;
    bool finish = false;
    if (!arguments(env, info, 2, argv) || napi_get_value_external(env, argv[0], &data) != napi_ok)
        return NULL;
    struct archive *archive = data;
    napi_get_value_bool(env, argv[1], &finish);
    int result = finish && archive->root >= 0 ? archive_apply_times(archive) : 0;
    int saved = errno;
    archive_release(archive);
    return result == 0 ? NULL : throw_errno(env, saved, "utimensat", NULL);
}

/* archiveRemoveTree(path, stop?): a path that is missing is no error; links are removed, never
 * followed. Ends with ECANCELED once another thread puts something into `stop`. */
static napi_value archive_remove(napi_env env, napi_callback_info info) {
    napi_value argv[2];
    size_t count = 2;
    char path[PATH_MAX];
    napi_typedarray_type type;
    size_t length = 0;
    void *stop = NULL;
    if (napi_get_cb_info(env, info, &count, argv, NULL, NULL) != napi_ok || count < 1 ||
        !get_path(env, argv[0], path))
        return NULL;
    if (count == 2 &&
        (napi_get_typedarray_info(env, argv[1], &type, &length, &stop, NULL, NULL) != napi_ok ||
         type != napi_int32_array || length < 1))
        stop = NULL;
    return archive_remove_tree_until(AT_FDCWD, path, stop) == 0
               ? NULL
               : throw_errno(env, errno, "unlink", path);
}

/* archiveSync(path): syncfs(2) of the file system that holds the directory. */
static napi_value archive_sync(napi_env env, napi_callback_info info) {
    napi_value argv[1];
    char path[PATH_MAX];
    if (!arguments(env, info, 1, argv) || !get_path(env, argv[0], path))
        return NULL;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return throw_errno(env, errno, "open", path);
    int result = syncfs(fd);
    int saved = errno;
    close(fd);
    return result == 0 ? NULL : throw_errno(env, saved, "syncfs", path);
}

napi_status register_archive(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"archiveOpen", archive_open},         {"archiveNode", archive_node},
        {"archiveFile", archive_file},         {"archiveWrite", archive_write},
        {"archiveEnd", archive_end},           {"archiveWhiteout", archive_whiteout},
        {"archiveOpaque", archive_opaque},     {"archiveClose", archive_close},
        {"archiveRemoveTree", archive_remove}, {"archiveSync", archive_sync},
        {"archiveList", archive_list},         {"archiveRemoveSmall", archive_remove_small},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
