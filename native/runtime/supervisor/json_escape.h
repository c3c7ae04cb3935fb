/*
 * Container output as the inside of a JSON string, as Docker's json-file driver writes it.
 */
#ifndef MYDOCK_JSON_ESCAPE_H
#define MYDOCK_JSON_ESCAPE_H

#include <stddef.h>

/* Room that json_escape may touch behind `out` for `length` bytes of input. */
#define JSON_ESCAPE_ROOM(length) (6 * (length) + 16)

/* Writes `length` bytes escaped, without quotes, and returns the end. The result is valid JSON and
 * valid UTF-8 for any input: each byte that is not part of well-formed UTF-8 becomes U+FFFD. As
 * Docker does, '<', '>', '&', U+2028 and U+2029 are escaped too. */
unsigned char *json_escape(unsigned char *out, const unsigned char *in, size_t length);

/* Bytes at the end of `in` (0 to 3) that start a UTF-8 sequence which the following byte `next`
 * continues: where a text has to be cut, it is cut in front of them. */
size_t json_escape_torn(const unsigned char *in, size_t length, unsigned char next);

#endif
