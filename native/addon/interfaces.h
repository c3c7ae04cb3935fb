/* Settings below /proc/sys/net of the calling thread's network namespace. */
#ifndef MYDOCK_ADDON_INTERFACES_H
#define MYDOCK_ADDON_INTERFACES_H

/* All values in turn, each with one write. Returns 0, or an errno value with *failed the path that
 * it belongs to. */
int write_settings(char **paths, char **values, const char **failed);

#endif
