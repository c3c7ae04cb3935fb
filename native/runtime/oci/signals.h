/* Names of signals. */
#ifndef MYDOCK_OCI_SIGNALS_H
#define MYDOCK_OCI_SIGNALS_H

/* "TERM", "SIGTERM", "sigterm", "RTMIN+3" or "15"; -1 for what is no signal. 0 is one: it only asks
 * whether the process is there. */
int signals_number(const char *text);

#endif
