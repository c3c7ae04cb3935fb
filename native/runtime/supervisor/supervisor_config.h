/*
 * supervisor.json: what the supervisor needs to know beyond the OCI bundle. Twin of
 * SupervisorConfig in src/native/supervisor-protocol.ts, where the fields are described.
 */
#ifndef MYDOCK_SUPERVISOR_CONFIG_H
#define MYDOCK_SUPERVISOR_CONFIG_H

#include "../../common/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct supervisor_config {
    char *id;
    char *socket;
    char *exit_record;
    /* False without a log; then the rest of it is empty. */
    bool log_wanted;
    /* NULL where it is forwarded only. */
    char *log_path;
    uint64_t log_max_bytes;
    unsigned log_max_files;
    /* Text of a JSON object, or NULL. */
    char *log_attributes;
    bool log_compress;
    /* NULL where lines are not forwarded. */
    json_t *log_forward;
    bool stdin_open;
    bool stdin_once;
    /* NULL where it is empty. */
    char *seccomp_cache;
    /* linux.cgroupsPath is systemd's. */
    bool systemd_cgroup;
    /* Another runtime: its program, its own arguments (an array of strings, or NULL) and the folder
     * of its state. NULL: mydock-runtime itself. */
    char *runtime_path;
    json_t *runtime_arguments;
    char *runtime_root;
};

/* Reads bundle/supervisor.json. On failure there is nothing to free. */
int supervisor_config_read(const char *bundle, struct supervisor_config *config,
                           struct error **err);
void supervisor_config_free(struct supervisor_config *config);

#endif
