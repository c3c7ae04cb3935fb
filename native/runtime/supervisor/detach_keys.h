/*
 * Finds a detach sequence (ctrl-p ctrl-q by default) in a terminal's input, also when it is split
 * over reads. Bytes that may be its beginning are held back until the next ones decide.
 */
#ifndef MYDOCK_DETACH_KEYS_H
#define MYDOCK_DETACH_KEYS_H

#include "byte_queue.h"

#define DETACH_KEYS_MAX 64

/* All zero: no sequence, everything passes. */
struct detach_keys {
    unsigned char keys[DETACH_KEYS_MAX];
    size_t count;
    /* How many of the keys have been seen and held back. */
    size_t matched;
};

/* True where all of `in` may pass as it is: nothing is held back and nothing in it begins the
 * sequence. */
bool detach_keys_pass(const struct detach_keys *keys, const unsigned char *in, size_t length);

/* Appends to `out` what is to be forwarded of the bytes held back and of `in`. True where the
 * sequence is complete: what follows it is dropped. */
bool detach_keys_filter(struct detach_keys *keys, const unsigned char *in, size_t length,
                        struct byte_queue *out);

#endif
