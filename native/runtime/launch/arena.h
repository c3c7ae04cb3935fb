/* Memory that lives and dies together: what a parsed config.json points to. Not for anything that
 * is freed alone. */
#ifndef MYDOCK_ARENA_H
#define MYDOCK_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *first;
};

/* Zeroed memory for count elements of size bytes; NULL where there is none, or the product
 * overflows. */
void *arena_array(struct arena *arena, size_t count, size_t size);
char *arena_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *arena);

#endif
