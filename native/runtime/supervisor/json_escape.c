/*
 * Container output as the inside of a JSON string: see json_escape.h. Output is mostly runs of
 * plain ASCII, so runs are found and copied 16 bytes at a time; only the bytes between them are
 * looked at one by one.
 */
#include "json_escape.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));

enum { BLOCK = 16 };

/* Control characters, quote, backslash, '<', '>', '&' and everything beyond ASCII. */
static bool is_plain(unsigned char byte) {
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\' && byte != '<' &&
           byte != '>' && byte != '&';
}

/* Copies a whole block and returns how many of its first bytes are plain. */
static inline unsigned copy_block(unsigned char *out, const unsigned char *in) {
    bytes16 block;
    memcpy(&block, in, BLOCK);
    memcpy(out, &block, BLOCK);
    bytes16 special = (bytes16)(block < 0x20) | (bytes16)(block >= 0x80) | (bytes16)(block == '"') |
                      (bytes16)(block == '\\') | (bytes16)(block == '<') | (bytes16)(block == '>') |
                      (bytes16)(block == '&');
    words2 words = (words2)special;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (words[0] != 0)
        return (unsigned)__builtin_ctzll(words[0]) / 8;
    if (words[1] != 0)
        return 8 + (unsigned)__builtin_ctzll(words[1]) / 8;
#else
    if (words[0] != 0)
        return (unsigned)__builtin_clzll(words[0]) / 8;
    if (words[1] != 0)
        return 8 + (unsigned)__builtin_clzll(words[1]) / 8;
#endif
    return BLOCK;
}

/* Length of the well-formed UTF-8 sequence at the front (RFC 3629: no overlong forms, no
 * surrogates), or 0. */
static unsigned sequence_length(const unsigned char *in, size_t length) {
    unsigned char lead = in[0];
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    unsigned count = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length < count)
        return 0;
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (in[1] < low || in[1] > high)
        return 0;
    for (unsigned i = 2; i < count; i++)
        if ((in[i] & 0xc0) != 0x80)
            return 0;
    return count;
}

static unsigned char *put(unsigned char *out, const char *text, size_t length) {
    memcpy(out, text, length);
    return out + length;
}

static unsigned char *escape_ascii(unsigned char *out, unsigned char byte) {
    static const char hex[] = "0123456789abcdef";
    switch (byte) {
    case '"':
        return put(out, "\\\"", 2);
    case '\\':
        return put(out, "\\\\", 2);
    case '\n':
        return put(out, "\\n", 2);
    case '\r':
        return put(out, "\\r", 2);
    case '\t':
        return put(out, "\\t", 2);
    default:
        out = put(out, "\\u00", 4);
        *out++ = (unsigned char)hex[byte >> 4];
        *out++ = (unsigned char)hex[byte & 15];
        return out;
    }
}

/* Escapes what stands at the front beyond ASCII; *used: how many bytes of input that was. */
static unsigned char *escape_wide(unsigned char *out, const unsigned char *in, size_t length,
                                  unsigned *used) {
    unsigned count = sequence_length(in, length);
    *used = count == 0 ? 1 : count;
    if (count == 0)
        return put(out, "\\ufffd", 6);
    if (count == 3 && in[0] == 0xe2 && in[1] == 0x80 && (in[2] & 0xfe) == 0xa8)
        return put(out, in[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
    for (unsigned i = 0; i < count; i++)
        *out++ = in[i];
    return out;
}

unsigned char *json_escape(unsigned char *out, const unsigned char *in, size_t length) {
    const unsigned char *end = in + length;
    while (in < end) {
        while (end - in >= BLOCK) {
            unsigned plain = copy_block(out, in);
            out += plain;
            in += plain;
            if (plain < BLOCK)
                break;
        }
        while (in < end && is_plain(*in))
            *out++ = *in++;
        while (in < end && !is_plain(*in)) {
            unsigned used = 1;
            if (*in < 0x80)
                out = escape_ascii(out, *in);
            else
                out = escape_wide(out, in, (size_t)(end - in), &used);
            in += used;
        }
    }
    return out;
}

size_t json_escape_torn(const unsigned char *in, size_t length, unsigned char next) {
    if ((next & 0xc0) != 0x80)
        return 0;
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        unsigned char byte = in[length - back];
        if ((byte & 0xc0) == 0x80)
            continue;
        size_t needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
        return needs > back ? back : 0;
    }
    return 0;
}
