/* See dbus_check.h. */
#include "dbus_check.h"
#include <stdint.h>
#include <string.h>

struct values {
    const unsigned char *bytes;
    size_t length, at;
};

static bool take(struct values *values, size_t alignment, size_t count) {
    for (; values->at % alignment != 0; values->at++) {
        if (values->at >= values->length || values->bytes[values->at] != 0)
            return false;
    }
    if (count > values->length - values->at)
        return false;
    values->at += count;
    return true;
}

static bool take_number(struct values *values, uint32_t *out) {
    if (!take(values, 4, 4))
        return false;
    memcpy(out, values->bytes + values->at - 4, 4);
    return true;
}

/* length bytes without a zero, and a zero. */
static bool take_text(struct values *values, size_t length) {
    const unsigned char *text = values->bytes + values->at;
    return take(values, 1, length) && take(values, 1, 1) && memchr(text, 0, length) == NULL &&
           text[length] == 0;
}

/* Behind the first whole type. */
static const char *type_end(const char *type) {
    if (*type == 'a')
        return type_end(type + 1);
    if (*type != '(')
        return type + 1;
    for (type++; *type != ')' && *type != '\0';)
        type = type_end(type);
    return *type == '\0' ? type : type + 1;
}

static size_t type_alignment(char type) {
    if (type == '(' || type == 't')
        return 8;
    return type == 'y' || type == 'g' || type == 'v' ? 1 : 4;
}

static bool check_one(struct values *values, const char *type);

static bool check_array(struct values *values, const char *element) {
    uint32_t length;
    if (!take_number(values, &length) || !take(values, type_alignment(*element), 0) ||
        length > values->length - values->at)
        return false;
    for (size_t end = values->at + length; values->at < end;) {
        if (!check_one(values, element) || values->at > end)
            return false;
    }
    return true;
}

static bool check_variant(struct values *values) {
    if (!take(values, 1, 1))
        return false;
    size_t length = values->bytes[values->at - 1];
    const char *type = (const char *)values->bytes + values->at;
    return take_text(values, length) && length > 0 && *type_end(type) == '\0' &&
           check_one(values, type);
}

static bool check_one(struct values *values, const char *type) {
    uint32_t number;
    switch (*type) {
    case 'y':
        return take(values, 1, 1);
    case 'u':
        return take(values, 4, 4);
    case 'b':
        return take_number(values, &number) && number <= 1;
    case 't':
        return take(values, 8, 8);
    case 's':
    case 'o':
        return take_number(values, &number) && take_text(values, number);
    case 'g':
        return take(values, 1, 1) && take_text(values, values->bytes[values->at - 1]);
    case 'v':
        return check_variant(values);
    case 'a':
        return check_array(values, type + 1);
    case '(':
        if (!take(values, 8, 0))
            return false;
        for (type++; *type != ')'; type = type_end(type)) {
            if (*type == '\0' || !check_one(values, type))
                return false;
        }
        return true;
    default:
        return false;
    }
}

bool dbus_check(const unsigned char *bytes, size_t length, const char *signature) {
    struct values values = {bytes, length, 0};
    for (; *signature != '\0'; signature = type_end(signature)) {
        if (!check_one(&values, signature))
            return false;
    }
    return values.at == length;
}
