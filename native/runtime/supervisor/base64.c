/* Decodes base64: see base64.h. */
#include "base64.h"

static int value_of(char digit) {
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

bool base64_decode(const char *text, size_t length, struct byte_queue *out) {
    if (length % 4 != 0)
        return false;
    for (size_t i = 0; i < length; i += 4) {
        bool last = i + 4 == length;
        unsigned padding = !last || text[i + 3] != '=' ? 0 : text[i + 2] == '=' ? 2 : 1;
        unsigned group = 0;
        for (unsigned digit = 0; digit < 4; digit++) {
            int value = digit >= 4 - padding ? 0 : value_of(text[i + digit]);
            if (value < 0)
                return false;
            group = group << 6 | (unsigned)value;
        }
        unsigned char bytes[3] = {(unsigned char)(group >> 16), (unsigned char)(group >> 8),
                                  (unsigned char)group};
        if (!queue_append(out, bytes, 3 - padding))
            return false;
    }
    return true;
}
