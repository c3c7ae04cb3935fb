/* Capability names and sets (capabilities(7)). */
#ifndef MYDOCK_CAPABILITIES_H
#define MYDOCK_CAPABILITIES_H

#include "../../common/error.h"
#include "config.h"
#include <stdbool.h>
#include <stdint.h>

/* The number of "CAP_CHOWN"; -1 for a name that this runtime does not know. */
int capabilities_number(const char *name);

/* "CAP_CHOWN" for 0; NULL for a number without a name. */
const char *capabilities_name(int number);

/* True where the calling process has the capability in its effective set. */
bool capabilities_has(int number);

/* Takes from the sets what the caller itself lacks and cannot give, with a warning on stderr. */
void capabilities_limit(struct config_capabilities *sets);

/* Drops all others from the bounding set. Needs CAP_SETPCAP. */
int capabilities_bound(const struct config_capabilities *sets, struct error **err);

/* Makes every permitted capability effective again, after a change of user took the effective ones
 * away. */
int capabilities_raise(struct error **err);

/* Sets the final effective, permitted, inheritable and ambient sets of the calling process. */
int capabilities_apply(const struct config_capabilities *sets, struct error **err);

#endif
