/* linux.seccomp: compiled by libseccomp once, cached as BPF, loaded in each process of the
 * container. */
#ifndef MYDOCK_FILTER_H
#define MYDOCK_FILTER_H

#include "../../common/error.h"
#include "fields.h"
#include <jansson.h>
#include <stddef.h>

struct seccomp_filter {
    /* struct sock_filter instructions, as bytes; NULL: no filter. */
    void *code;
    size_t bytes;
    /* SECCOMP_FILTER_FLAG_*. */
    unsigned flags;
};

/* Compiles a profile, or takes it from the folder cache (NULL: none). profile NULL: no filter. */
int filter_prepare(const json_t *profile, const char *cache, struct seccomp_filter *out,
                   struct error **err);
/* Loads the filter into the calling process. */
int filter_load(const struct seccomp_filter *filter, struct error **err);
void filter_free(struct seccomp_filter *filter);

/* filter_compile.c: libseccomp's work. */
int filter_compile(const struct fields *profile, void **code, size_t *bytes, struct error **err);

#endif
