/* linux.seccomp: compiled by libseccomp once, cached as BPF, loaded in each process of the
 * container. */
#ifndef MYDOCK_FILTER_H
#define MYDOCK_FILTER_H

#include "../../common/error.h"
#include "fields.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct seccomp_filter {
    /* struct sock_filter instructions, as bytes; NULL: no filter. */
    void *code;
    size_t bytes;
    /* SECCOMP_FILTER_FLAG_*. */
    unsigned flags;
    /* An action is SCMP_ACT_NOTIFY: loading it makes a listener, which goes to the agent at
     * listener_path. Both texts are borrowed from the profile; metadata may be NULL. */
    bool listens;
    const char *listener_path, *listener_metadata;
};

/* Compiles a profile, or takes it from the folder cache (NULL: none). profile NULL: no filter. */
int filter_prepare(const json_t *profile, const char *cache, struct seccomp_filter *out,
                   struct error **err);
/* Loads the filter into the calling process. sync_fd: the channel to the parent, which a filter
 * that listens hands its listener over (filter_listener.h); else unused. */
int filter_load(const struct seccomp_filter *filter, int sync_fd, struct error **err);
void filter_free(struct seccomp_filter *filter);

/* filter_compile.c: libseccomp's work, which may have no end (filter_bounded.h). */
int filter_compile(const struct fields *profile, void **code, size_t *bytes, struct error **err);

#endif
