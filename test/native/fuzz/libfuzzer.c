/*
 * A target under libFuzzer, which keeps inputs that reach code nothing reached before. The
 * environment names the target (MYDOCK_FUZZ_TARGET) and a folder for its files
 * (MYDOCK_FUZZ_FOLDER).
 */
#include "target.h"
#include <string.h>

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t length, size_t room, unsigned seed);
/* libFuzzer's own. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t length, size_t room);

static const struct fuzz_target *target;

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    const char *name = getenv("MYDOCK_FUZZ_TARGET"), *folder = getenv("MYDOCK_FUZZ_FOLDER");
    for (const struct fuzz_target *const *at = FUZZ_TARGETS; name != NULL && *at != NULL; at++) {
        if (strcmp((*at)->name, name) == 0)
            target = *at;
    }
    FUZZ_HOLDS(target != NULL && folder != NULL, "MYDOCK_FUZZ_TARGET and MYDOCK_FUZZ_FOLDER");
    fuzz_be_quiet();
    if (target->begin != NULL)
        target->begin(folder);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    target->run(data, length);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t length, size_t room, unsigned seed) {
    uint64_t random = seed + UINT64_C(0x9e3779b97f4a7c15);
    size_t made = 0;
    /* One time in eight the bytes themselves, so that what is no JSON any more is tried too. */
    if (target->mutate != NULL && fuzz_random(&random) % 8 != 0)
        made = target->mutate(data, length, room, fuzz_random(&random));
    return made != 0 ? made : LLVMFuzzerMutate(data, length, room);
}
