/* Changes of JSON that keep it JSON: members that go, come twice, change places, or hold something
 * that somebody could have written. */
#ifndef MYDOCK_FUZZ_JSON_MUTATE_H
#define MYDOCK_FUZZ_JSON_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* As fuzz_target.mutate (target.h); words: what strings may be replaced by, NULL behind the last.
 */
size_t json_mutate(uint8_t *data, size_t length, size_t room, uint64_t random,
                   const char *const *words);

#endif
