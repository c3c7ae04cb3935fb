/* Settings below /proc/sys/net of the calling thread's network namespace. */
#ifndef MYDOCK_ADDON_INTERFACES_H
#define MYDOCK_ADDON_INTERFACES_H

/* All values in turn, each with one write; none where it is that already. Returns 0, or an errno
 * value with *failed the path that it belongs to. */
int write_settings(char **paths, char **values, const char **failed);

/* From here to `with_new_ipv6` links of a namespace are born with IPv6 off (disable_ipv6), which
 * costs nothing, where setting it afterwards needs the kernel's lock of all interfaces (Linux 6.9;
 * older ones take it for both). Returns what `with_new_ipv6` needs, or -1 where it is as before:
 * the kernel has no IPv6, or the namespace has its links born without it anyway. */
int without_new_ipv6(const char *netns);
void with_new_ipv6(int setting);

#endif
