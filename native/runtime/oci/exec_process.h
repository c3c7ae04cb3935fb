/* The process object (config.md, "process") of an exec: from a file, or the container's own with
 * what the command line changes. */
#ifndef MYDOCK_OCI_EXEC_PROCESS_H
#define MYDOCK_OCI_EXEC_PROCESS_H

#include "../../common/error.h"
#include "arguments.h"
#include <jansson.h>
#include <stdbool.h>

struct exec_request {
    /* The container's ID, then the command. */
    struct operands operands;
    /* NULL: not given. */
    const char *process_file, *cwd, *user, *selinux, *apparmor;
    struct argument_list env, groups, capabilities;
    bool terminal, no_new_privileges;
};

/* config: the container's config.json. The caller owns *out. */
int exec_process_make(const struct exec_request *request, const json_t *config, json_t **out,
                      struct error **err);

#endif
