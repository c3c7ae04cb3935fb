/* See arena.h. */
#define _GNU_SOURCE
#include "arena.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_block {
    struct arena_block *next;
    _Alignas(max_align_t) char bytes[];
};

void *arena_array(struct arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct arena_block), &bytes))
        return NULL;
    struct arena_block *block = calloc(1, bytes);
    if (block == NULL)
        return NULL;
    block->next = arena->first;
    arena->first = block;
    return block->bytes;
}

char *arena_format(struct arena *arena, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return NULL;
    char *text = arena_array(arena, (size_t)length + 1, 1);
    if (text == NULL)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

void arena_free(struct arena *arena) {
    while (arena->first != NULL) {
        struct arena_block *block = arena->first;
        arena->first = block->next;
        free(block);
    }
}
