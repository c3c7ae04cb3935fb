/* Whether bytes are D-Bus values of a signature (its specification, "Marshaling"), alignment, zero
 * padding and terminating zeros included. */
#ifndef MYDOCK_FUZZ_DBUS_CHECK_H
#define MYDOCK_FUZZ_DBUS_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* True where the bytes are exactly the values. */
bool dbus_check(const unsigned char *bytes, size_t length, const char *signature);

#endif
