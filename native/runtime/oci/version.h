/* Versions of this program. */
#ifndef MYDOCK_OCI_VERSION_H
#define MYDOCK_OCI_VERSION_H

/* package.json's; a test compares them. */
#ifndef MYDOCK_VERSION
#define MYDOCK_VERSION "0.1.0"
#endif

#endif
