/*
 * Messages of D-Bus (its specification, "Type System" and "Message Protocol"), as far as calls to
 * systemd need it: values are appended to a growing buffer in the machine's byte order, and read
 * back from a reply whose every length is judged before it is believed.
 *
 * Errors stick: once memory or a reply's bytes have run out, `failed` is set and everything that
 * follows does nothing, so that only the end needs a check.
 */
#ifndef MYDOCK_SYSTEMD_MESSAGE_H
#define MYDOCK_SYSTEMD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Far longer than any answer of systemd to what is asked here. */
#define SYSTEMD_MESSAGE_MAX (1U << 20)

struct systemd_message {
    unsigned char *bytes;
    size_t length, room;
    bool failed;
};

/* Values. Each is aligned as its type wants it (counted from the message's first byte). */
void systemd_put_byte(struct systemd_message *message, uint8_t value);
void systemd_put_flag(struct systemd_message *message, bool value);
void systemd_put_u32(struct systemd_message *message, uint32_t value);
void systemd_put_u64(struct systemd_message *message, uint64_t value);
/* A string or object path. */
void systemd_put_text(struct systemd_message *message, const char *text);
void systemd_put_signature(struct systemd_message *message, const char *signature);
void systemd_put_align(struct systemd_message *message, size_t alignment);
void systemd_put_bytes(struct systemd_message *message, const void *bytes, size_t length);

/* An array: what is put between begin and end is in it. */
struct systemd_array {
    size_t length_at, start;
};
struct systemd_array systemd_begin_array(struct systemd_message *message, size_t alignment);
void systemd_end_array(struct systemd_message *message, struct systemd_array array);

/* A call with its body, ready to send. destination may be NULL. Freed by systemd_message_free. */
struct systemd_call {
    const char *destination, *path, *interface, *member;
    /* Of the body; "" without one. */
    const char *signature;
    const struct systemd_message *body;
    /* The other end need not answer. */
    bool one_way;
};
void systemd_encode_call(const struct systemd_call *call, uint32_t serial,
                         struct systemd_message *out);
void systemd_message_free(struct systemd_message *message);

struct systemd_reader {
    const unsigned char *bytes;
    size_t length, position;
    bool failed;
};

uint8_t systemd_get_byte(struct systemd_reader *reader);
uint32_t systemd_get_u32(struct systemd_reader *reader);
/* Lie in the message, with their terminating 0; "" after a failure. */
const char *systemd_get_text(struct systemd_reader *reader);
const char *systemd_get_signature(struct systemd_reader *reader);

/* What came: its header's fields that matter, and a reader that stands in front of the body. */
struct systemd_incoming {
    uint8_t type;
    uint32_t reply_serial;
    const char *error_name, *signature;
    struct systemd_reader body;
};
#define SYSTEMD_METHOD_RETURN 2
#define SYSTEMD_ERROR 3

#define SYSTEMD_FIXED_HEADER 16
/* The length of a whole message, from its first SYSTEMD_FIXED_HEADER bytes; 0: it is none, or
 * longer than SYSTEMD_MESSAGE_MAX. */
size_t systemd_message_length(const unsigned char *header);
/* False for what is no message. bytes must live as long as out. */
bool systemd_decode(const unsigned char *bytes, size_t length, struct systemd_incoming *out);

#endif
