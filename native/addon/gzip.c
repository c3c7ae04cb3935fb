#include "gzip.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>

/* isal_inflate counts in 32 bits. */
#define STEP_MAX ((size_t)1 << 30)

enum place {
    /* The parts of a member's header, RFC 1952 section 2.3: ten bytes, and what their flags say. */
    IN_FIXED,
    IN_EXTRA_LENGTH,
    IN_EXTRA,
    IN_NAME,
    IN_COMMENT,
    IN_HEADER_CHECKSUM,
    /* A member's data and trailer. */
    IN_DATA,
    /* Behind a member; another one or padding may follow. */
    BETWEEN,
    IN_PADDING,
};

#define FIXED_LENGTH 10
#define FLAG_CHECKSUM 0x02
#define FLAG_EXTRA 0x04
#define FLAG_NAME 0x08
#define FLAG_COMMENT 0x10
#define FLAGS_RESERVED 0xe0

struct gzip_reader {
    enum place place;
    /* Bytes of this part of the header that are here, and of the extra field that are to come. */
    unsigned count;
    unsigned extra_length;
    uint8_t flags;
    /* Of the header so far, and as it says itself. */
    uint32_t checksum;
    unsigned stated;
    struct inflate_state inflate;
};

static void begin_member(struct gzip_reader *reader) {
    reader->place = IN_FIXED;
    reader->count = 0;
    reader->extra_length = 0;
    reader->checksum = 0;
    reader->stated = 0;
}

static void begin_data(struct gzip_reader *reader) {
    isal_inflate_init(&reader->inflate);
    reader->inflate.crc_flag = ISAL_GZIP_NO_HDR_VER;
    reader->place = IN_DATA;
}

/* Goes on to the next part that the flags announce. */
static void next_part(struct gzip_reader *reader) {
    static const struct {
        enum place place;
        uint8_t flag;
    } parts[] = {
        {IN_EXTRA_LENGTH, FLAG_EXTRA},
        {IN_NAME, FLAG_NAME},
        {IN_COMMENT, FLAG_COMMENT},
        {IN_HEADER_CHECKSUM, FLAG_CHECKSUM},
    };
    reader->count = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].place > reader->place && (reader->flags & parts[i].flag) != 0) {
            reader->place = parts[i].place;
            return;
        }
    }
    begin_data(reader);
}

static const char *fixed_byte(struct gzip_reader *reader, uint8_t byte) {
    static const uint8_t magic[2] = {0x1f, 0x8b};
    unsigned at = reader->count++;
    if (at < 2 && byte != magic[at])
        return "incorrect header check";
    if (at == 2 && byte != 8)
        return "unknown compression method";
    if (at == 3) {
        if ((byte & FLAGS_RESERVED) != 0)
            return "unknown header flags set";
        reader->flags = byte;
    }
    if (reader->count == FIXED_LENGTH)
        next_part(reader);
    return NULL;
}

static const char *header_byte(struct gzip_reader *reader, uint8_t byte) {
    if (reader->place != IN_HEADER_CHECKSUM)
        reader->checksum = crc32_gzip_refl(reader->checksum, &byte, 1);
    switch (reader->place) {
    case IN_FIXED:
        return fixed_byte(reader, byte);
    case IN_EXTRA_LENGTH:
        reader->extra_length |= (unsigned)byte << (8 * reader->count++);
        if (reader->count < 2)
            return NULL;
        reader->place = IN_EXTRA;
        reader->count = 0;
        if (reader->extra_length == 0)
            next_part(reader);
        return NULL;
    case IN_EXTRA:
        if (++reader->count == reader->extra_length)
            next_part(reader);
        return NULL;
    case IN_NAME:
    case IN_COMMENT:
        if (byte == 0)
            next_part(reader);
        return NULL;
    default:
        reader->stated |= (unsigned)byte << (8 * reader->count++);
        if (reader->count < 2)
            return NULL;
        if (reader->stated != (reader->checksum & 0xffff))
            return "header crc mismatch";
        next_part(reader);
        return NULL;
    }
}

struct gzip_reader *gzip_reader_new(void) {
    /* Zeroed whole: no byte of the library's buffers is ever read uninitialised. */
    struct gzip_reader *reader = calloc(1, sizeof(*reader));
    if (reader != NULL)
        begin_member(reader);
    return reader;
}

void gzip_reader_free(struct gzip_reader *reader) {
    free(reader);
}

static const char *reason(int code) {
    switch (code) {
    case ISAL_INVALID_BLOCK:
        return "invalid block";
    case ISAL_INVALID_SYMBOL:
        return "invalid code";
    case ISAL_INVALID_LOOKBACK:
        return "invalid distance too far back";
    case ISAL_INCORRECT_CHECKSUM:
        return "incorrect data check";
    default:
        return "not understood";
    }
}

static const char *inflate_data(struct gzip_reader *reader, const uint8_t *input,
                                size_t input_length, uint8_t *output, size_t output_length,
                                struct gzip_step *step) {
    struct inflate_state *state = &reader->inflate;
    /* The library does not write to its input, it only does not say so. */
    state->next_in = (uint8_t *)input;
    state->avail_in = (uint32_t)input_length;
    state->next_out = output;
    state->avail_out = (uint32_t)output_length;
    int result = isal_inflate(state);
    /* Behind an error the counters mean nothing: the library may have counted past the input. */
    if (result < 0)
        return reason(result);
    if (state->avail_in > input_length || state->avail_out > output_length)
        return reason(ISAL_INVALID_BLOCK);
    step->consumed = input_length - state->avail_in;
    step->produced = output_length - state->avail_out;
    if (state->block_state == ISAL_BLOCK_FINISH) {
        reader->place = BETWEEN;
        return NULL;
    }
    bool stuck = state->avail_in > 0 && state->avail_out > 0;
    return stuck || result > ISAL_OUT_OVERFLOW ? reason(result) : NULL;
}

const char *gzip_reader_step(struct gzip_reader *reader, const uint8_t *input, size_t input_length,
                             uint8_t *output, size_t output_length, struct gzip_step *step) {
    *step = (struct gzip_step){0, 0};
    if (input_length > STEP_MAX)
        input_length = STEP_MAX;
    if (output_length > STEP_MAX)
        output_length = STEP_MAX;
    for (;;) {
        size_t rest = input_length - step->consumed;
        if (reader->place == IN_DATA) {
            struct gzip_step taken = {0, 0};
            const char *wrong =
                inflate_data(reader, input + step->consumed, rest, output + step->produced,
                             output_length - step->produced, &taken);
            step->consumed += taken.consumed;
            step->produced += taken.produced;
            if (wrong != NULL || reader->place == IN_DATA)
                return wrong;
            continue;
        }
        if (rest == 0)
            return NULL;
        uint8_t byte = input[step->consumed];
        if (reader->place == BETWEEN && byte == 0)
            reader->place = IN_PADDING;
        if (reader->place == IN_PADDING) {
            if (byte != 0)
                return "data behind the padding at its end";
        } else {
            if (reader->place == BETWEEN)
                begin_member(reader);
            const char *wrong = header_byte(reader, byte);
            if (wrong != NULL)
                return wrong;
        }
        step->consumed++;
    }
}

bool gzip_reader_complete(const struct gzip_reader *reader) {
    return reader->place == BETWEEN || reader->place == IN_PADDING;
}
