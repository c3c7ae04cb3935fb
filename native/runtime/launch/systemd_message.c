/* Writing and reading of D-Bus messages. See systemd_message.h. */
#define _GNU_SOURCE
#include "systemd_message.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define METHOD_CALL 1
#define NO_REPLY_EXPECTED 1
#define PROTOCOL_VERSION 1
/* Header fields of the specification. */
#define FIELD_PATH 1
#define FIELD_INTERFACE 2
#define FIELD_MEMBER 3
#define FIELD_ERROR_NAME 4
#define FIELD_REPLY_SERIAL 5
#define FIELD_DESTINATION 6
#define FIELD_SIGNATURE 8

static const uint8_t BYTE_ORDER_MARK = BYTE_ORDER == LITTLE_ENDIAN ? 'l' : 'B';

void systemd_put_bytes(struct systemd_message *message, const void *bytes, size_t length) {
    if (message->failed || length == 0)
        return;
    if (message->length + length > message->room) {
        size_t room = (message->length + length) * 2 + 256;
        unsigned char *grown =
            room > 2 * SYSTEMD_MESSAGE_MAX ? NULL : realloc(message->bytes, room);
        if (grown == NULL) {
            message->failed = true;
            return;
        }
        message->bytes = grown;
        message->room = room;
    }
    memcpy(message->bytes + message->length, bytes, length);
    message->length += length;
}

void systemd_put_align(struct systemd_message *message, size_t alignment) {
    static const unsigned char zeros[8];
    systemd_put_bytes(message, zeros, -message->length & (alignment - 1));
}

void systemd_put_byte(struct systemd_message *message, uint8_t value) {
    systemd_put_bytes(message, &value, 1);
}

void systemd_put_u32(struct systemd_message *message, uint32_t value) {
    systemd_put_align(message, 4);
    systemd_put_bytes(message, &value, 4);
}

void systemd_put_flag(struct systemd_message *message, bool value) {
    systemd_put_u32(message, value);
}

void systemd_put_u64(struct systemd_message *message, uint64_t value) {
    systemd_put_align(message, 8);
    systemd_put_bytes(message, &value, 8);
}

void systemd_put_text(struct systemd_message *message, const char *text) {
    size_t length = strlen(text);
    systemd_put_u32(message, (uint32_t)length);
    systemd_put_bytes(message, text, length + 1);
}

void systemd_put_signature(struct systemd_message *message, const char *signature) {
    size_t length = strlen(signature);
    systemd_put_byte(message, (uint8_t)length);
    systemd_put_bytes(message, signature, length + 1);
}

struct systemd_array systemd_begin_array(struct systemd_message *message, size_t alignment) {
    struct systemd_array array;
    systemd_put_u32(message, 0);
    array.length_at = message->length - 4;
    /* Not counted in the array's length. */
    systemd_put_align(message, alignment);
    array.start = message->length;
    return array;
}

void systemd_end_array(struct systemd_message *message, struct systemd_array array) {
    uint32_t length = (uint32_t)(message->length - array.start);
    if (!message->failed)
        memcpy(message->bytes + array.length_at, &length, 4);
}

static void encode_field(struct systemd_message *out, uint8_t field, const char *type,
                         const char *value) {
    if (value == NULL || value[0] == '\0')
        return;
    systemd_put_align(out, 8);
    systemd_put_byte(out, field);
    systemd_put_signature(out, type);
    if (type[0] == 'g')
        systemd_put_signature(out, value);
    else
        systemd_put_text(out, value);
}

void systemd_encode_call(const struct systemd_call *call, uint32_t serial,
                         struct systemd_message *out) {
    *out = (struct systemd_message){0};
    systemd_put_byte(out, BYTE_ORDER_MARK);
    systemd_put_byte(out, METHOD_CALL);
    systemd_put_byte(out, call->one_way ? NO_REPLY_EXPECTED : 0);
    systemd_put_byte(out, PROTOCOL_VERSION);
    systemd_put_u32(out, call->body == NULL ? 0 : (uint32_t)call->body->length);
    systemd_put_u32(out, serial);
    struct systemd_array fields = systemd_begin_array(out, 8);
    encode_field(out, FIELD_PATH, "o", call->path);
    encode_field(out, FIELD_INTERFACE, "s", call->interface);
    encode_field(out, FIELD_MEMBER, "s", call->member);
    encode_field(out, FIELD_DESTINATION, "s", call->destination);
    encode_field(out, FIELD_SIGNATURE, "g", call->signature);
    systemd_end_array(out, fields);
    systemd_put_align(out, 8);
    if (call->body == NULL)
        return;
    systemd_put_bytes(out, call->body->bytes, call->body->length);
    out->failed = out->failed || call->body->failed;
}

void systemd_message_free(struct systemd_message *message) {
    free(message->bytes);
    *message = (struct systemd_message){0};
}

/* The next `length` bytes behind padding; NULL, and failed, where there are not so many. */
static const unsigned char *get_bytes(struct systemd_reader *reader, size_t alignment,
                                      size_t length) {
    size_t padding = -reader->position & (alignment - 1);
    size_t left = reader->length - reader->position;
    if (reader->failed || padding > left || length > left - padding) {
        reader->failed = true;
        return NULL;
    }
    const unsigned char *found = reader->bytes + reader->position + padding;
    reader->position += padding + length;
    return found;
}

uint8_t systemd_get_byte(struct systemd_reader *reader) {
    const unsigned char *found = get_bytes(reader, 1, 1);
    return found == NULL ? 0 : *found;
}

uint32_t systemd_get_u32(struct systemd_reader *reader) {
    uint32_t value = 0;
    const unsigned char *found = get_bytes(reader, 4, 4);
    if (found != NULL)
        memcpy(&value, found, 4);
    return value;
}

static const char *get_terminated(struct systemd_reader *reader, size_t length) {
    const unsigned char *found =
        length < SYSTEMD_MESSAGE_MAX ? get_bytes(reader, 1, length + 1) : NULL;
    if (found == NULL || found[length] != '\0' || memchr(found, '\0', length) != NULL) {
        reader->failed = true;
        return "";
    }
    return (const char *)found;
}

const char *systemd_get_text(struct systemd_reader *reader) {
    uint32_t length = systemd_get_u32(reader);
    return get_terminated(reader, length);
}

const char *systemd_get_signature(struct systemd_reader *reader) {
    uint8_t length = systemd_get_byte(reader);
    return get_terminated(reader, length);
}

static uint32_t header_number(const unsigned char *header, size_t offset) {
    uint32_t value;
    memcpy(&value, header + offset, 4);
    return value;
}

size_t systemd_message_length(const unsigned char *header) {
    uint64_t body = header_number(header, 4), fields = header_number(header, 12);
    uint64_t length = SYSTEMD_FIXED_HEADER + ((fields + 7) & ~(uint64_t)7) + body;
    /* The answer has the byte order of the call's sender, which is this machine's. */
    if (header[0] != BYTE_ORDER_MARK || header[3] != PROTOCOL_VERSION ||
        length > SYSTEMD_MESSAGE_MAX)
        return 0;
    return (size_t)length;
}

/* All fields that the specification has are strings or numbers of four bytes. */
static void decode_field(struct systemd_reader *reader, struct systemd_incoming *out) {
    get_bytes(reader, 8, 0);
    uint8_t field = systemd_get_byte(reader);
    const char *type = systemd_get_signature(reader);
    const char *text = "";
    uint32_t number = 0;
    if (strcmp(type, "s") == 0 || strcmp(type, "o") == 0)
        text = systemd_get_text(reader);
    else if (strcmp(type, "g") == 0)
        text = systemd_get_signature(reader);
    else if (strcmp(type, "u") == 0)
        number = systemd_get_u32(reader);
    else
        reader->failed = true;
    if (field == FIELD_ERROR_NAME)
        out->error_name = text;
    else if (field == FIELD_SIGNATURE)
        out->signature = text;
    else if (field == FIELD_REPLY_SERIAL)
        out->reply_serial = number;
}

bool systemd_decode(const unsigned char *bytes, size_t length, struct systemd_incoming *out) {
    if (length < SYSTEMD_FIXED_HEADER || systemd_message_length(bytes) != length)
        return false;
    *out = (struct systemd_incoming){.type = bytes[1], .error_name = "", .signature = ""};
    size_t end = SYSTEMD_FIXED_HEADER + header_number(bytes, 12);
    struct systemd_reader fields = {bytes, end, SYSTEMD_FIXED_HEADER, false};
    while (!fields.failed && fields.position < end)
        decode_field(&fields, out);
    /* The body's alignment counts from its own start, which lies on a multiple of eight. */
    size_t body = (end + 7) & ~(size_t)7;
    out->body = (struct systemd_reader){bytes + body, length - body, 0, false};
    return !fields.failed;
}
