/*
 * The verb `limit` of mydock-runtime: changes the limits of a group by linux.cgroupsPath alone,
 * whichever runtime made it (mydockd's updates; the OCI verb `update` goes by a container's state).
 */
#ifndef MYDOCK_LIMIT_COMMAND_H
#define MYDOCK_LIMIT_COMMAND_H

/* arguments: "limit" and linux.cgroupsPath, "slice:prefix:name" for a scope of systemd.
 * linux.resources comes on stdin. Returns the exit status; the reason of a failure is one line on
 * stderr, and all limits are as they were. */
int limit_command(int count, char **arguments);

#endif
