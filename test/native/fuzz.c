/*
 * The fuzz targets as a test: first the inputs in fuzz/inputs/TARGET, which hold seeds and every
 * input that ever broke something, then changes of them by a random number generator whose seed is
 * fixed. One line a target. `fuzz TARGET FILE…` runs files only. Runs from the repository's root.
 */
#define _GNU_SOURCE
#include "fuzz/target.h"
#include <dirent.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    INPUTS_MAX = 512,
    INPUT_BYTES_MAX = 64 * 1024,
    RUNS_MAX = 3000,
    /* Of each target; a slow machine makes fewer runs. */
    BUDGET_MS = 1200,
};

struct input {
    uint8_t *data;
    size_t length;
};

static struct input inputs[INPUTS_MAX];
static size_t input_count;

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void add_file(const char *path) {
    FILE *file = fopen(path, "re");
    FUZZ_HOLDS(file != NULL && input_count < INPUTS_MAX, "%s", path);
    struct input *input = &inputs[input_count++];
    input->data = malloc(INPUT_BYTES_MAX);
    input->length = fread(input->data, 1, INPUT_BYTES_MAX, file);
    fclose(file);
}

static void add_folder(const char *path) {
    struct dirent **entries = NULL;
    /* In the order of their names: the runs are to be the same everywhere. */
    int count = scandir(path, &entries, NULL, alphasort);
    for (int index = 0; index < count; index++) {
        char file[512];
        snprintf(file, sizeof(file), "%s/%s", path, entries[index]->d_name);
        if (entries[index]->d_name[0] != '.')
            add_file(file);
        free(entries[index]);
    }
    free(entries);
}

/* A change of some bytes; returns the new length. */
static size_t mutate_bytes(uint8_t *data, size_t length, size_t room, uint64_t *random) {
    for (uint64_t left = 1 + fuzz_random(random) % 4; left > 0; left--) {
        size_t at = length == 0 ? 0 : fuzz_random(random) % length;
        uint64_t count = 1 + fuzz_random(random) % 8;
        switch (fuzz_random(random) % 5) {
        case 0:
            if (length > 0)
                data[at] ^= (uint8_t)(1U << fuzz_random(random) % 8);
            break;
        case 1:
            if (length > 0)
                data[at] = (uint8_t)fuzz_random(random);
            break;
        case 2:
            if (count < length - at) {
                memmove(data + at, data + at + count, length - at - count);
                length -= count;
            }
            break;
        case 3:
            if (length + count <= room) {
                memmove(data + at + count, data + at, length - at);
                length += count;
                for (uint64_t index = 0; index < count; index++)
                    data[at + index] = (uint8_t)fuzz_random(random);
            }
            break;
        default:
            if (length > 0)
                memmove(data + at, data + fuzz_random(random) % (at + 1), length - at);
        }
    }
    return length;
}

static void run_target(const struct fuzz_target *target) {
    static uint8_t data[INPUT_BYTES_MAX];
    uint64_t random = UINT64_C(88172645463325252);
    unsigned runs = 0;
    for (size_t index = 0; index < input_count; index++)
        target->run(inputs[index].data, inputs[index].length);
    for (int64_t end = now_ms() + BUDGET_MS; runs < RUNS_MAX && now_ms() < end; runs++) {
        const struct input *input =
            input_count == 0 ? NULL : &inputs[fuzz_random(&random) % input_count];
        size_t length = input == NULL ? 0 : input->length, made = 0;
        if (input != NULL)
            memcpy(data, input->data, length);
        if (target->mutate != NULL && fuzz_random(&random) % 8 != 0)
            made = target->mutate(data, length, sizeof(data), fuzz_random(&random));
        length = made != 0 ? made : mutate_bytes(data, length, sizeof(data), &random);
        target->run(data, length);
    }
    printf("ok fuzz %s: %zu inputs, %u changes of them\n", target->name, input_count, runs);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

int main(int count, char **arguments) {
    char folder[] = "/tmp/mydock-fuzz-XXXXXX";
    fuzz_be_quiet();
    FUZZ_HOLDS(mkdtemp(folder) != NULL, "%s", folder);
    for (const struct fuzz_target *const *at = FUZZ_TARGETS; *at != NULL; at++) {
        char own[256], seeds[256];
        if (count > 1 && strcmp(arguments[1], (*at)->name) != 0)
            continue;
        snprintf(own, sizeof(own), "%s/%s", folder, (*at)->name);
        snprintf(seeds, sizeof(seeds), "test/native/fuzz/inputs/%s", (*at)->name);
        FUZZ_HOLDS(mkdir(own, 0700) == 0, "%s", own);
        input_count = 0;
        if ((*at)->begin != NULL)
            (*at)->begin(own);
        for (int index = 2; index < count; index++)
            add_file(arguments[index]);
        if (count < 3)
            add_folder(seeds);
        if (count < 3)
            run_target(*at);
        for (size_t index = 0; index < input_count; index++) {
            if (count >= 3)
                (*at)->run(inputs[index].data, inputs[index].length);
            free(inputs[index].data);
        }
        fflush(stdout);
    }
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
