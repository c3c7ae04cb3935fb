/*
 * Cleanup attributes: an owner marked with one frees what it holds when it goes out of scope;
 * steal_* hands it over. errno is kept, so that they can stand between a failure and its report.
 */
#ifndef MYDOCK_CLEANUP_H
#define MYDOCK_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_run(void *owner) {
    int saved = errno;
    free(*(void **)owner);
    errno = saved;
}

static inline void cleanup_close_run(const int *owner) {
    int saved = errno;
    if (*owner >= 0)
        close(*owner);
    errno = saved;
}

static inline void cleanup_directory_run(DIR **owner) {
    int saved = errno;
    if (*owner != NULL)
        closedir(*owner);
    errno = saved;
}

#define cleanup_free __attribute__((cleanup(cleanup_free_run)))
#define cleanup_close __attribute__((cleanup(cleanup_close_run)))
#define cleanup_directory __attribute__((cleanup(cleanup_directory_run)))

static inline int steal_fd(int *owner) {
    int fd = *owner;
    *owner = -1;
    return fd;
}

static inline void *steal_pointer(void *owner) {
    void *held = *(void **)owner;
    *(void **)owner = NULL;
    return held;
}

#endif
