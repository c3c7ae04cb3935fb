/*
 * Contents of files in a tree that others may change: a file is read only while it is what was
 * listed, one at a time or many of a directory with one call. Links are never followed.
 */
#define _GNU_SOURCE
#include "module.h"
#include "tree.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether a file still is what `state` says: the numbers of a listing from TREE_STATE_FROM on. */
static bool is_unchanged(int fd, const double *state) {
    struct stat st;
    double fields[TREE_COUNT];
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    tree_fields(&st, fields);
    return memcmp(fields + TREE_STATE_FROM, state, TREE_STATE_COUNT * sizeof *fields) == 0;
}

/* The states of one or more files; how many in *count, where that is not NULL. */
static const double *state_argument(struct call *call, size_t index, size_t *count) {
    void *data = NULL;
    size_t length = 0;
    napi_typedarray_type type = napi_int8_array;
    if (!call->failed &&
        napi_get_typedarray_info(call->env, call->arguments[index], &type, &length, &data, NULL,
                                 NULL) == napi_ok &&
        type == napi_float64_array && length >= TREE_STATE_COUNT) {
        if (count != NULL)
            *count = length / TREE_STATE_COUNT;
        return data;
    }
    call_type_error(call, "state", "a Float64Array of a file's state");
    return NULL;
}

static bool fits(double size, size_t room) {
    return size >= 0 && size <= (double)room;
}

/*
 * Reads the whole of a file of `size` bytes. 0, or an errno value with the call that failed in
 * *step: ESTALE where it is not, or no longer, what `state` says. O_NONBLOCK: what took the file's
 * place may be a FIFO.
 */
static int read_whole(int root, const char *path, const double *state, uint8_t *data, size_t size,
                      const char **step) {
    cleanup_close int fd = tree_open(root, path, O_RDONLY | O_NONBLOCK);
    *step = "openat2";
    if (fd < 0)
        return errno;
    *step = "read";
    if (!is_unchanged(fd, state))
        return ESTALE;
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(fd, data + done, size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return done < size || !is_unchanged(fd, state) ? ESTALE : 0;
}

/* treeRead(rootFd, path, state, buffer): the whole of a file that fits; its length. */
napi_value tree_read(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int root = call_int32(&call, 0, "rootFd");
    cleanup_free char *path = call_string(&call, 1, "path");
    const double *state = state_argument(&call, 2, NULL);
    struct bytes buffer = call_bytes(&call, 3, "buffer");
    if (call.failed)
        return NULL;
    if (!fits(state[0], buffer.length))
        return throw_errno(env, EFBIG, "read", path);
    const char *step;
    size_t size = (size_t)state[0];
    int error = read_whole(root, path, state, (uint8_t *)(uintptr_t)buffer.data, size, &step);
    return error == 0 ? make_int32(env, (int32_t)size) : throw_errno(env, error, step, path);
}

/*
 * treeReadFiles(rootFd, directory, names, states, from, buffer): contents of files of one
 * directory, one behind the other, from the file of number `from` on as many as fit; their number.
 * Each name ends in a NUL. Empty files are not opened. The error's path is the name of the file
 * that could not be read; it has none where the directory could not be opened.
 */
napi_value tree_read_files(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int root = call_int32(&call, 0, "rootFd");
    cleanup_free char *path = call_string(&call, 1, "directory");
    struct bytes names = call_bytes(&call, 2, "names");
    size_t count = 0;
    const double *states = state_argument(&call, 3, &count);
    int32_t from = call_int32(&call, 4, "from");
    struct bytes buffer = call_bytes(&call, 5, "buffer");
    if (call.failed)
        return NULL;
    cleanup_close int directory = tree_open(root, path, O_PATH | O_DIRECTORY);
    if (directory < 0)
        return throw_errno(env, errno, "openat2", NULL);
    const char *name = (const char *)names.data;
    const char *end = name + names.length;
    size_t used = 0;
    int32_t done = 0;
    for (size_t i = 0; i < count; i++) {
        const char *terminator = name == end ? NULL : memchr(name, '\0', (size_t)(end - name));
        if (terminator == NULL)
            return throw_errno(env, EINVAL, "read", path);
        const double *state = states + i * TREE_STATE_COUNT;
        if (i >= (size_t)from) {
            if (!fits(state[0], buffer.length - used))
                break;
            const char *step;
            size_t size = (size_t)state[0];
            uint8_t *data = (uint8_t *)(uintptr_t)buffer.data + used;
            int error = size == 0 ? 0 : read_whole(directory, name, state, data, size, &step);
            if (error != 0)
                return throw_errno(env, error, step, name);
            used += size;
            done++;
        }
        name = terminator + 1;
    }
    return make_int32(env, done);
}

/* treeOpen(rootFd, path, state): a descriptor of a file, at its start. */
napi_value tree_open_file(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int root = call_int32(&call, 0, "rootFd");
    cleanup_free char *path = call_string(&call, 1, "path");
    const double *state = state_argument(&call, 2, NULL);
    if (call.failed)
        return NULL;
    cleanup_close int fd = tree_open(root, path, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return throw_errno(env, errno, "openat2", path);
    if (!is_unchanged(fd, state))
        return throw_errno(env, ESTALE, "open", path);
    return make_int32(env, steal_fd(&fd));
}

/* treeUnchanged(fd, state) */
napi_value tree_unchanged(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    const double *state = state_argument(&call, 1, NULL);
    if (call.failed)
        return NULL;
    return make_bool(env, is_unchanged(fd, state));
}
