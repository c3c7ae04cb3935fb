/*
 * Where errors and warnings go: with --log into that file, as the lines of text or JSON that
 * podman, containerd and Docker read ({"level":"error","msg":"...","time":"..."}); errors on stderr
 * as well.
 */
#ifndef MYDOCK_OCI_REPORT_H
#define MYDOCK_OCI_REPORT_H

#include "../../common/error.h"
#include <stdbool.h>

/* path NULL: no file. From here on warn() (common/warn.h) writes there, not to stderr, which may be
 * the container's. */
int report_open(const char *path, bool json, struct error **err);

/* One line that says what failed. verb may be NULL. */
void report_error(const char *verb, const struct error *err);

#endif
