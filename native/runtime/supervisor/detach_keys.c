/* The detach sequence: see detach_keys.h. */
#include "detach_keys.h"
#include <string.h>

bool detach_keys_pass(const struct detach_keys *keys, const unsigned char *in, size_t length) {
    return keys->count == 0 || (keys->matched == 0 && memchr(in, keys->keys[0], length) == NULL);
}

/* The held bytes do not go on with `byte`: lets go of the fewest of them after which the rest is
 * still a beginning. */
static void let_go(struct detach_keys *keys, struct byte_queue *out) {
    size_t shift = 1;
    while (shift < keys->matched &&
           memcmp(keys->keys, keys->keys + shift, keys->matched - shift) != 0)
        shift++;
    queue_append(out, keys->keys, shift);
    keys->matched -= shift;
}

bool detach_keys_filter(struct detach_keys *keys, const unsigned char *in, size_t length,
                        struct byte_queue *out) {
    for (size_t i = 0; i < length; i++) {
        while (keys->matched > 0 && keys->keys[keys->matched] != in[i])
            let_go(keys, out);
        if (keys->count == 0 || keys->keys[keys->matched] != in[i])
            queue_append(out, &in[i], 1);
        else if (++keys->matched == keys->count)
            return true;
    }
    return false;
}
