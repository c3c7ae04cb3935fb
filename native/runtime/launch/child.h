/* What every child does between its fork and its exec, be it an init or an exec'ed process. */
#ifndef MYDOCK_CHILD_H
#define MYDOCK_CHILD_H

#include "../../common/error.h"
#include "config.h"
#include "console.h"
#include "launch.h"

/* Closes the door behind the fork: default signals, own session, not dumpable, gone with its
 * parent. */
int child_begin(struct error **err);

/* Takes a new, empty session keyring: keys that the daemon's session holds are not the container's,
 * and what one container keeps there another does not see (session-keyring(7)). */
int child_leave_keyring(struct error **err);

/* Moves the given descriptors out of the way of 0, 1 and 2. */
int child_hold_stdio(const struct launch_stdio *stdio, struct launch_stdio *held,
                     struct error **err);

/* Makes the held descriptors, or the terminal's slave where there is one, 0, 1 and 2. */
int child_install_stdio(const struct launch_stdio *held, const struct console *console,
                        struct error **err);

/* Closes all descriptors from first on but count others (-1: none). */
int child_close_others(unsigned first, const int *keep, size_t count, struct error **err);

/* Lets descriptors 3 to 2 + count, which are open, stay open over exec. */
int child_hand_down(unsigned count, struct error **err);

/* Takes back the parent-death signal that child_begin and child_become set. */
int child_outlive(struct error **err);

/* Inside the container's root, with standard descriptors in place: takes the host's /dev/null off
 * them and becomes the process's user in its directory; then it is ready for exec_program. */
int child_become(const struct config_process *process, struct error **err);

#endif
