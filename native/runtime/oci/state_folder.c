/* See state_folder.h. */
#define _GNU_SOURCE
#include "state_folder.h"
#include "../../common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX (16 * 1024 * 1024)

enum {
    LOCK_PAUSE_MS = 5,
    LOCK_PAUSES_MAX = 2000,
};

int state_check_id(const char *id, struct error **err) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "_+-.";
    size_t length = strlen(id);
    if (length > 0 && length <= 255 && strspn(id, allowed) == length && strcmp(id, ".") != 0 &&
        strcmp(id, "..") != 0)
        return 0;
    return error_setf(err, EINVAL, "check", id,
                      "invalid container ID \"%.100s\": it must be 1 to 255 letters, digits and "
                      "_+-.",
                      id);
}

static int state_folder_make(const struct oci_global *global, const char *folder, const char *id,
                             struct error **err) {
    if (mkdir(folder, 0700) == 0)
        return 0;
    if (errno == ENOENT) {
        cleanup_free char *path = strdup(global->root);
        for (char *slash = path; slash != NULL && (slash = strchr(slash + 1, '/')) != NULL;) {
            *slash = '\0';
            if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return error_set(err, errno, "make", path);
            *slash = '/';
        }
        if (mkdir(global->root, 0700) < 0 && errno != EEXIST)
            return error_set(err, errno, "make", global->root);
        if (mkdir(folder, 0700) == 0)
            return 0;
    }
    if (errno == EEXIST)
        return error_setf(err, EEXIST, "create", id, "container with given ID already exists");
    return error_set(err, errno, "make", folder);
}

static int state_folder_open(struct state *state, const struct oci_global *global, bool make,
                             struct error **err) {
    if (make && state_folder_make(global, state->folder, state->id, err) < 0)
        return -1;
    if (make && mkdir(state->seccomp_cache, 0700) < 0 && errno != EEXIST)
        return error_set(err, errno, "make", state->seccomp_cache);
    state->folder_fd = open(state->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (state->folder_fd < 0 && errno == ENOENT)
        return error_setf(err, ENOENT, "open", state->id, "container does not exist");
    if (state->folder_fd < 0)
        return error_set(err, errno, "open", state->folder);
    return make ? state_folder_lock(state, err) : 0;
}

struct state *state_folder_new(const struct oci_global *global, const char *id, bool make,
                               struct error **err) {
    if (state_check_id(id, err) < 0)
        return NULL;
    struct state *state = calloc(1, sizeof(*state));
    if (state == NULL) {
        error_set(err, ENOMEM, "open", id);
        return NULL;
    }
    state->folder_fd = -1;
    state->id = strdup(id);
    if (asprintf(&state->folder, "%s/%s", global->root, id) < 0)
        state->folder = NULL;
    if (asprintf(&state->seccomp_cache, "%s/%s", global->root, STATE_SECCOMP_CACHE) < 0)
        state->seccomp_cache = NULL;
    int result = -1;
    if (state->id == NULL || state->folder == NULL || state->seccomp_cache == NULL)
        error_set(err, ENOMEM, "open", id);
    else
        result = state_folder_open(state, global, make, err);
    if (result == 0)
        return state;
    state_close(state);
    return NULL;
}

/* A deletion removes the folder while it holds the lock: whoever waited has a folder that is not
 * there any more. */
static bool state_folder_is_gone(const struct state *state) {
    struct stat status;
    return fstat(state->folder_fd, &status) == 0 && status.st_nlink == 0;
}

int state_folder_lock(struct state *state, struct error **err) {
    for (int pauses = 0; flock(state->folder_fd, LOCK_EX | LOCK_NB) < 0; pauses++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_set(err, errno, "lock", state->folder);
        if (pauses == LOCK_PAUSES_MAX)
            return error_setf(err, EBUSY, "lock", state->folder,
                              "container %s is busy: another command works on it", state->id);
        poll(NULL, 0, LOCK_PAUSE_MS);
    }
    if (state_folder_is_gone(state))
        return error_setf(err, ENOENT, "open", state->id, "container does not exist");
    state->locked = true;
    return 0;
}

void state_folder_unlock(struct state *state) {
    flock(state->folder_fd, LOCK_UN);
    state->locked = false;
}

bool state_folder_is_locked(const struct state *state) {
    /* Another opening of the folder: the descriptor that holds a lock may take it again. */
    cleanup_close int fd = openat(state->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

char *state_folder_read(int directory_fd, const char *name, size_t *length, struct error **err) {
    struct stat status;
    cleanup_close int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) < 0) {
        error_set(err, errno, "open", name);
        return NULL;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > FILE_BYTES_MAX) {
        error_setf(err, EINVAL, "open", name, "%s is not a regular file of at most %d bytes", name,
                   FILE_BYTES_MAX);
        return NULL;
    }
    size_t filled = 0, size = (size_t)status.st_size;
    cleanup_free char *text = malloc(size + 1);
    while (text != NULL && filled < size) {
        ssize_t got = read(fd, text + filled, size - filled);
        if (got < 0 && errno != EINTR) {
            error_set(err, errno, "read", name);
            return NULL;
        }
        if (got == 0)
            break;
        filled += got < 0 ? 0 : (size_t)got;
    }
    if (text == NULL) {
        error_set(err, ENOMEM, "read", name);
        return NULL;
    }
    text[filled] = '\0';
    *length = filled;
    return steal_pointer(&text);
}

static int state_folder_write_all(int fd, const char *text, size_t length) {
    while (length > 0) {
        ssize_t put = write(fd, text, length);
        if (put < 0 && errno != EINTR)
            return -1;
        if (put > 0) {
            text += put;
            length -= (size_t)put;
        }
    }
    return 0;
}

int state_folder_write(int directory_fd, const char *name, const char *text, size_t length,
                       struct error **err) {
    char temporary[64];
    snprintf(temporary, sizeof(temporary), ".%s.new", name);
    cleanup_close int fd = openat(directory_fd, temporary,
                                  O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || state_folder_write_all(fd, text, length) < 0 ||
        renameat(directory_fd, temporary, directory_fd, name) < 0)
        return error_set(err, errno, "write", name);
    return 0;
}

int state_remove(struct state *state, struct error **err) {
    static const char *const files[] = {STATE_START_SOCKET, "config.json", ".config.json.new",
                                        "state.json", ".state.json.new"};
    for (size_t index = 0; index < sizeof(files) / sizeof(files[0]); index++) {
        if (unlinkat(state->folder_fd, files[index], 0) < 0 && errno != ENOENT)
            return error_set(err, errno, "remove", state->folder);
    }
    if (rmdir(state->folder) < 0 && errno != ENOENT)
        return error_set(err, errno, "remove", state->folder);
    return 0;
}
