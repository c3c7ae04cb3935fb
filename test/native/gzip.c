/* The gzip reader against zlib: every split of input and output, members, padding, cuts, and data
 * that were broken at random. Input and output end at a page that cannot be touched, because the
 * library below is not built with the sanitizers. MYDOCK_FUZZ_CASES sets the number of cases. */
#define _GNU_SOURCE
#include "addon/gzip.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define ROOM ((size_t)1 << 20)

static uint32_t seed = 1;
static uint32_t next_random(void) {
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

/* Memory whose last byte is followed by a page without access. */
static uint8_t *guarded(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *start =
        mmap(NULL, ROOM + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(start != MAP_FAILED);
    CHECK(mprotect(start + ROOM, page, PROT_NONE) == 0);
    return start;
}

static uint8_t *input_room, *output_room;

struct outcome {
    const char *wrong;
    bool complete;
    size_t length;
};

/* Inflates in pieces of at most these sizes (0: random ones) into `out`, which has ROOM bytes. */
static struct outcome inflate_pieces(const uint8_t *data, size_t length, size_t in_piece,
                                     size_t out_piece, uint8_t *out) {
    struct gzip_reader *reader = gzip_reader_new();
    struct outcome outcome = {NULL, false, 0};
    CHECK(reader != NULL);
    for (size_t at = 0; at < length && outcome.wrong == NULL;) {
        size_t take = in_piece == 0 ? 1 + next_random() % 3000 : in_piece;
        if (take > length - at)
            take = length - at;
        uint8_t *piece = input_room + ROOM - take;
        memcpy(piece, data + at, take);
        at += take;
        for (size_t used = 0;;) {
            size_t room = out_piece == 0 ? 1 + next_random() % 5000 : out_piece;
            uint8_t *target = output_room + ROOM - room;
            struct gzip_step step;
            outcome.wrong =
                gzip_reader_step(reader, piece + used, take - used, target, room, &step);
            CHECK(step.consumed <= take - used && step.produced <= room);
            used += step.consumed;
            size_t kept =
                step.produced > ROOM - outcome.length ? ROOM - outcome.length : step.produced;
            memcpy(out + outcome.length, target, kept);
            outcome.length += kept;
            if (outcome.wrong != NULL || (used == take && step.produced < room))
                break;
            CHECK(step.consumed > 0 || step.produced > 0);
            if (outcome.length == ROOM)
                break;
        }
        if (outcome.length == ROOM)
            break;
    }
    outcome.complete = gzip_reader_complete(reader);
    gzip_reader_free(reader);
    return outcome;
}

/* What zlib says of one member: the length of its content, or -1. */
static long zlib_inflate(const uint8_t *data, size_t length, uint8_t *out) {
    z_stream stream = {.next_in = (uint8_t *)data, .avail_in = (uInt)length};
    CHECK(inflateInit2(&stream, 31) == Z_OK);
    stream.next_out = out;
    stream.avail_out = ROOM;
    int result = inflate(&stream, Z_FINISH);
    long produced = (long)(ROOM - stream.avail_out);
    bool whole = result == Z_STREAM_END && stream.avail_in == 0;
    inflateEnd(&stream);
    return whole ? produced : -1;
}

static size_t compress_member(const uint8_t *data, size_t length, int level, int strategy,
                              uint8_t *out) {
    z_stream stream = {.next_in = (uint8_t *)data, .avail_in = (uInt)length};
    CHECK(deflateInit2(&stream, level, Z_DEFLATED, 31, 9, strategy) == Z_OK);
    stream.next_out = out;
    stream.avail_out = ROOM;
    CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    size_t made = ROOM - stream.avail_out;
    deflateEnd(&stream);
    return made;
}

/* Gives a member a header with an extra field, a name, a comment and a checksum. */
static size_t add_header(uint8_t *member, size_t length, uint8_t flags) {
    static uint8_t copy[ROOM];
    uint8_t head[64] = {0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 5, 6};
    size_t at = 10;
    if (flags & 4) {
        memcpy(head + 10,
               "\x05\x00"
               "extra",
               7);
        at = 17;
    }
    if (flags & 8)
        at += (size_t)sprintf((char *)head + at, "layer.tar") + 1;
    if (flags & 16)
        at += (size_t)sprintf((char *)head + at, "a comment") + 1;
    if (flags & 2) {
        unsigned long sum = crc32(0, head, (uInt)at);
        head[at++] = (uint8_t)sum;
        head[at++] = (uint8_t)(sum >> 8);
    }
    memcpy(copy, member + 10, length - 10);
    memcpy(member, head, at);
    memcpy(member + at, copy, length - 10);
    return at + length - 10;
}

/* Text-like, repeating at many distances, or noise. */
static size_t make_content(uint8_t *data, size_t limit) {
    size_t length = next_random() % (limit + 1);
    unsigned kind = next_random() % 4;
    for (size_t i = 0; i < length; i++) {
        uint32_t value = next_random();
        if (kind == 0)
            data[i] = (uint8_t)value;
        else if (kind == 1)
            data[i] = (uint8_t)("etaoin shrdlu\n"[value % 14]);
        else if (kind == 2)
            data[i] = i > 40000 && value % 8 != 0 ? data[i - 1 - value % 33000] : (uint8_t)value;
        else
            data[i] = 0;
    }
    return length;
}

static uint8_t content[ROOM], packed[2 * ROOM], expected[ROOM], result[ROOM];

static void test_round_trips(int cases) {
    for (int i = 0; i < cases; i++) {
        size_t length = make_content(content, 120000);
        int level = (int)(next_random() % 10);
        size_t made = compress_member(content, length, level, (int)(next_random() % 5), packed);
        if (i % 2 == 0)
            made = add_header(packed, made, (uint8_t)(next_random() & 0x1f));
        size_t parts = 1 + next_random() % 3, total = length, whole = made;
        for (size_t part = 1; part < parts; part++) {
            memcpy(packed + whole, packed, made);
            memcpy(content + total, content, length);
            whole += made;
            total += length;
        }
        size_t zeros = next_random() % 3 == 0 ? next_random() % 2000 : 0;
        memset(packed + whole, 0, zeros);
        struct outcome outcome = inflate_pieces(packed, whole + zeros, 0, 0, result);
        CHECK(outcome.wrong == NULL && outcome.complete && outcome.length == total);
        CHECK(memcmp(result, content, total) == 0);
        outcome = inflate_pieces(packed, whole + zeros, ROOM / 2, ROOM / 2, result);
        CHECK(outcome.wrong == NULL && outcome.complete && outcome.length == total);
        CHECK(memcmp(result, content, total) == 0);
    }
}

static void test_small_pieces(void) {
    size_t length = make_content(content, 3000) + 1;
    size_t made = compress_member(content, length, 6, Z_DEFAULT_STRATEGY, packed);
    made = add_header(packed, made, 0x1e);
    for (size_t in = 1; in < 20; in++) {
        for (size_t out = 1; out < 12; out++) {
            struct outcome outcome = inflate_pieces(packed, made, in, out, result);
            CHECK(outcome.wrong == NULL && outcome.complete && outcome.length == length);
            CHECK(memcmp(result, content, length) == 0);
        }
    }
    /* A cut is never taken for the end, and never for broken data. */
    for (size_t cut = 0; cut < made; cut++) {
        struct outcome outcome = inflate_pieces(packed, cut, 0, 0, result);
        CHECK(outcome.wrong == NULL && !outcome.complete);
    }
    /* Every bit of the trailer counts. */
    for (size_t bit = 0; bit < 64; bit++) {
        packed[made - 8 + bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK(inflate_pieces(packed, made, 0, 0, result).wrong != NULL);
        packed[made - 8 + bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    /* Behind the padding there is nothing. */
    memset(packed + made, 0, 10);
    packed[made + 10] = 0x1f;
    CHECK(inflate_pieces(packed, made + 11, 0, 0, result).wrong != NULL);
    memcpy(packed + made, "no gzip member", 14);
    CHECK(inflate_pieces(packed, made + 14, 0, 0, result).wrong != NULL);
}

static void test_broken(int cases) {
    for (int i = 0; i < cases; i++) {
        size_t length = make_content(content, i % 20 == 0 ? 100000 : 2000);
        int level = (int)(next_random() % 10);
        size_t made = compress_member(content, length, level, (int)(next_random() % 5), packed);
        if (i % 4 == 0)
            made = add_header(packed, made, (uint8_t)(next_random() & 0x1f));
        for (unsigned change = 1 + next_random() % 4; change > 0; change--) {
            size_t at = next_random() % made;
            if (next_random() % 4 == 0)
                packed[at] = (uint8_t)next_random();
            else
                packed[at] ^= (uint8_t)(1 << next_random() % 8);
        }
        struct outcome outcome = inflate_pieces(packed, made, 0, 0, result);
        bool accepted = outcome.wrong == NULL && outcome.complete;
        long wanted = zlib_inflate(packed, made, expected);
        /* ISA-L takes some sets of codes that zlib finds incomplete; the content is right then too,
         * for its checksum is. */
        if (wanted >= 0) {
            CHECK(accepted && outcome.length == (size_t)wanted);
            CHECK(memcmp(result, expected, outcome.length) == 0);
        } else if (accepted) {
            CHECK(outcome.length == length && memcmp(result, content, length) == 0);
        }
    }
}

/* Noise behind a valid header: blocks of every kind that mean nothing. */
static void test_noise(int cases) {
    static const uint8_t header[10] = {0x1f, 0x8b, 8};
    for (int i = 0; i < cases; i++) {
        size_t length = 10 + next_random() % 3000;
        memcpy(packed, header, sizeof header);
        for (size_t at = 10; at < length; at++)
            packed[at] = (uint8_t)next_random();
        inflate_pieces(packed, length, 0, 0, result);
    }
}

int main(void) {
    const char *text = getenv("MYDOCK_FUZZ_CASES");
    int cases = text == NULL ? 3000 : atoi(text);
    const char *first = getenv("MYDOCK_FUZZ_SEED");
    if (first != NULL)
        seed = (uint32_t)atoi(first) | 1;
    input_room = guarded();
    output_room = guarded();
    test_small_pieces();
    test_round_trips(cases / 30);
    test_broken(cases);
    test_noise(cases);
    return 0;
}
