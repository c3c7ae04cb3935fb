/*
 * Makes the supervisor independent of the daemon that spawned it: signals, descriptors, cgroups,
 * the OOM killer.
 */
#ifndef MYDOCK_LEAVE_DAEMON_H
#define MYDOCK_LEAVE_DAEMON_H

/* Blocks all signals (those that matter are read from a signalfd; launch gives its children an
 * empty mask), closes all inherited descriptors but 0 to 3, becomes a subreaper, sets umask 022
 * and, where the kernel permits it, an oom_score_adj of -900. Never fails: each step makes the
 * supervisor safer, none is needed. */
void leave_daemon(void);

/* Moves the process to the cgroup /mydock-supervisors of each hierarchy in which it is not at the
 * root, so that stopping the daemon's service does not reach it. What does not work is a warning.
 */
void leave_daemon_cgroups(void);

#endif
