/*
 * What a fuzzer feeds: targets that take any bytes, act on them as the runtime would, without
 * touching the machine, and abort where what comes of it contradicts the contract. The same targets
 * run under libFuzzer (libfuzzer.c, `make fuzz`) and under the driver of the native tests
 * (../fuzz.c), which has a seed and a budget instead of a compiler's feedback.
 */
#ifndef MYDOCK_FUZZ_TARGET_H
#define MYDOCK_FUZZ_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct fuzz_target {
    const char *name;
    /* Called once, before the first run; may be NULL. folder: an empty one of the target's own. */
    void (*begin)(const char *folder);
    void (*run)(const uint8_t *data, size_t length);
    /* Changes data, of which `length` bytes are used and `room` are there, by a random number;
     * returns the new length, 0 where it has no idea. NULL: bytes are as good as any. */
    size_t (*mutate)(uint8_t *data, size_t length, size_t room, uint64_t random);
};

/* All of them, NULL behind the last. */
extern const struct fuzz_target *const FUZZ_TARGETS[];
extern const struct fuzz_target fuzz_config, fuzz_seccomp, fuzz_supervisor, fuzz_systemd, fuzz_oci;

/* What must hold whatever the input. */
#define FUZZ_HOLDS(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The input as a source of decisions: zeros once it is used up. */
struct fuzz_bytes {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t fuzz_byte(struct fuzz_bytes *bytes) {
    if (bytes->left == 0)
        return 0;
    bytes->left--;
    return *bytes->at++;
}

/* 0 to bound - 1. */
static inline unsigned fuzz_below(struct fuzz_bytes *bytes, unsigned bound) {
    unsigned value = fuzz_byte(bytes);
    if (bound > 256)
        value = value << 8 | fuzz_byte(bytes);
    return value % bound;
}

static inline uint64_t fuzz_word(struct fuzz_bytes *bytes) {
    uint64_t value = 0;
    for (int index = 0; index < 8; index++)
        value = value << 8 | fuzz_byte(bytes);
    return value;
}

/* xorshift64*: the state must not be 0. */
static inline uint64_t fuzz_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Warnings of the code under test are of no use here. */
void fuzz_be_quiet(void);
/* Writes a file of a folder anew. */
void fuzz_write_file(const char *folder, const char *name, const void *data, size_t length);
/* How many of the first 256 descriptors are open. */
int fuzz_count_fds(void);

#endif
