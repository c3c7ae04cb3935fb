/* Text of any bytes as a JSON string: see json_text.h. */
#include "json_text.h"
#include "../../common/cleanup.h"
#include <string.h>

json_t *json_text(const char *text) {
    json_t *value = json_string(text);
    if (value != NULL)
        return value;
    cleanup_free char *copy = strdup(text);
    for (char *at = copy; at != NULL && *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return copy == NULL ? NULL : json_string(copy);
}
