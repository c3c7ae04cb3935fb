/*
 * The container's user namespace (user_namespaces(7); OCI runtime-spec, config-linux.md,
 * "User namespace mappings"): made, opened and entered.
 *
 * Whoever enters one keeps no power outside. What takes the host's root is therefore done before
 * (opening mounts and devices, control groups, limits that rise), and what should belong to the
 * namespace after (all other new namespaces).
 */
#ifndef MYDOCK_USER_NAMESPACE_H
#define MYDOCK_USER_NAMESPACE_H

#include "../../common/error.h"
#include "config.h"
#include "id_map.h"
#include "launch.h"

/* Makes a user namespace with these maps (lines of /proc/PID/uid_map and gid_map), in which nobody
 * lives; returns a descriptor. object: whom it is for, in messages. Needs the host's /proc. */
int user_namespace_make(const char *uid_map, const char *gid_map, const char *object,
                        struct error **err);

/* True where path is the user namespace that the caller is in already, which cannot be joined. */
bool user_namespace_is_own(const char *path);

/* Lets go of the caller's supplementary groups: inside they could be kept without a trace, where
 * the namespace denies setgroups(2). In front of the setns. */
int user_namespace_leave_groups(struct error **err);

/* After the setns: becomes the namespace's root, or, where that is not mapped, its lowest IDs, with
 * all capabilities in it, and undumpable still. proc_fd: the host's procfs. */
int user_namespace_settle(int proc_fd, struct error **err);

/* On the parent's side. pid: a process in the namespace. The mappings that config.json has beside a
 * namespace of a path must be those that this has. */
int user_namespace_check(const struct config *config, const struct id_maps *maps,
                         struct error **err);

/* Gives the pipes, sockets and terminals among the standard descriptors to the process's user, who
 * could not open them again through /dev/stdout otherwise. */
void user_namespace_own_stdio(const struct launch_stdio *stdio,
                              const struct config_process *process, const struct id_maps *maps);

#endif
