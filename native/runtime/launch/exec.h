/* The last step: finding the program and becoming it. */
#ifndef MYDOCK_EXEC_H
#define MYDOCK_EXEC_H

#include "../../common/error.h"
#include "config.h"
#include "filter.h"

/* Finds args[0] (in PATH of process.env, if it has no slash), loads the seccomp filter, drops to
 * the final capabilities, and executes. sync_fd: see filter_load. Returns only on failure:
 * exit_code 127 not found, 126 cannot be executed. */
int exec_program(const struct config_process *process, const struct seccomp_filter *filter,
                 int sync_fd, struct error **err);

/* Only finds the program, with the errors of exec_program. */
int exec_look(const struct config_process *process, struct error **err);

/* The two halves of exec_program, for a caller that does something in between: loads the seccomp
 * filter and drops to the final capabilities; finds the program and executes it. */
int exec_confine(const struct config_process *process, const struct seccomp_filter *filter,
                 int sync_fd, struct error **err);
int exec_confined(const struct config_process *process, struct error **err);

#endif
