/* Who a process is: limits, user, groups, capabilities, and where it stands. */
#ifndef MYDOCK_IDENTITY_H
#define MYDOCK_IDENTITY_H

#include "../../common/error.h"
#include "config.h"

/* Raises hard limits to those of process.rlimits, as far as may be; soft ones stay. For a process
 * that is about to lose the power to, in front of identity_limits. */
void identity_raise_limits(const struct config_process *process);

/* linux.personality, of the caller and what it executes. */
int identity_personality(const struct config *config, struct error **err);

/* process.rlimits; one that cannot be raised so far is a warning, and becomes the nearest that can.
 */
int identity_limits(const struct config_process *process, struct error **err);

/* Gives the standard descriptors that are pipes, sockets or terminals to the process's user, so
 * that it can open them again through /dev/stdout. */
void identity_own_stdio(const struct config_process *process);

/* Bounding set, umask, groups and user. Capabilities stay permitted and effective until
 * capabilities_apply. */
int identity_become(const struct config_process *process, struct error **err);

/* Goes to process.cwd and makes sure that this is inside the root. */
int identity_enter_directory(const struct config_process *process, struct error **err);

#endif
