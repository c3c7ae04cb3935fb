/*
 * Reading gzip (RFC 1952) as it comes, any number of members, on top of ISA-L's isal_inflate: this
 * file owns what stands between members and what the end of the input means. Checksums and lengths
 * of all members are verified. Knows nothing of Node.
 */
#ifndef MYDOCK_ADDON_GZIP_H
#define MYDOCK_ADDON_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gzip_reader;

/* NULL where there is no memory. */
struct gzip_reader *gzip_reader_new(void);
void gzip_reader_free(struct gzip_reader *reader);

/* What a step took and gave. */
struct gzip_step {
    size_t consumed;
    size_t produced;
};

/*
 * Inflates from input to output until one of them is used up. Call again while all of the output is
 * filled: there may be more without new input. NULL, or what is wrong with the data; the reader is
 * of no use after that. Zeros behind a member are padding, and nothing but zeros may follow them.
 */
const char *gzip_reader_step(struct gzip_reader *reader, const uint8_t *input, size_t input_length,
                             uint8_t *output, size_t output_length, struct gzip_step *step);

/* Whether the input may end here: behind a whole member. */
bool gzip_reader_complete(const struct gzip_reader *reader);

#endif
