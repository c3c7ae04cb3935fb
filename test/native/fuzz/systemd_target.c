/* What systemd, or who says to be it, answers: any bytes as messages, and as the answer to a call
 * that waits for one. Calls themselves are checked to be what they are said to be. */
#define _GNU_SOURCE
#include "dbus_check.h"
#include "runtime/launch/systemd_bus.h"
#include "target.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LENGTH_MAX = 4096, STEPS = 32 };

/* Whatever a reader gives lies in the message and ends there. */
static void read_values(struct systemd_reader *reader, struct fuzz_bytes *bytes) {
    const char *start = (const char *)reader->bytes, *end = start + reader->length;
    for (int step = 0; step < STEPS && !reader->failed; step++) {
        const char *text = NULL;
        switch (fuzz_below(bytes, 4)) {
        case 0:
            systemd_get_byte(reader);
            break;
        case 1:
            systemd_get_u32(reader);
            break;
        case 2:
            text = systemd_get_text(reader);
            break;
        default:
            text = systemd_get_signature(reader);
        }
        FUZZ_HOLDS(reader->position <= reader->length, "position %zu", reader->position);
        FUZZ_HOLDS(text == NULL || text[0] == '\0' || (text >= start && text + strlen(text) < end),
                   "a text that is not in the message");
    }
}

static void decode(const uint8_t *data, size_t length, struct fuzz_bytes *bytes) {
    struct systemd_incoming message;
    if (!systemd_decode(data, length, &message))
        return;
    FUZZ_HOLDS(systemd_message_length(data) == length, "length");
    FUZZ_HOLDS(strlen(message.error_name) < length && strlen(message.signature) < length, "texts");
    read_values(&message.body, bytes);
}

/* A header over what is there, so that a message gets past its lengths. */
static void put_header(uint8_t *data, size_t length, struct fuzz_bytes *bytes) {
    uint32_t fields = length < 24 ? 0 : (uint32_t)(fuzz_word(bytes) % (length - 16));
    uint32_t padded = (fields + 7) & ~7U;
    uint32_t body = 16 + padded > length ? 0 : (uint32_t)length - 16 - padded;
    data[0] = 'l';
    data[1] = (uint8_t)(1 + fuzz_below(bytes, 4));
    data[3] = 1;
    memcpy(data + 4, &body, 4);
    memcpy(data + 12, &fields, 4);
}

static void call(const uint8_t *data, size_t length, struct fuzz_bytes *bytes) {
    static const struct systemd_call subject = {NULL, "/org/freedesktop/systemd1", "a.b", "Do", "",
                                                NULL};
    int ends[2];
    struct systemd_reply reply;
    struct error *err = NULL;
    FUZZ_HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0,
               "pair");
    struct systemd_bus bus = {.fd = ends[0], .routed = fuzz_below(bytes, 2) == 1};
    FUZZ_HOLDS(write(ends[1], data, length) == (ssize_t)length, "write");
    shutdown(ends[1], SHUT_WR);
    if (systemd_bus_call(&bus, &subject, &reply, &err) == 0) {
        read_values(&reply.message.body, bytes);
        systemd_reply_free(&reply);
    } else {
        FUZZ_HOLDS(err != NULL && err->message[0] != '\0', "an error without a message");
        systemd_is_unknown_unit(err);
    }
    error_free(err);
    close(ends[1]);
    systemd_bus_close(&bus);
}

/* A call of our own, decoded by us, and its body by dbus_check. */
static void encode(const uint8_t *data, size_t length) {
    char text[256];
    size_t used = length < sizeof(text) - 1 ? length : sizeof(text) - 1;
    memcpy(text, data, used);
    text[used] = '\0';
    struct systemd_message body = {0}, out;
    systemd_put_text(&body, text);
    systemd_put_u64(&body, length);
    struct systemd_array array = systemd_begin_array(&body, 8);
    systemd_put_text(&body, text);
    systemd_end_array(&body, array);
    FUZZ_HOLDS(dbus_check(body.bytes, body.length, "sta(s)"), "body");
    struct systemd_call subject = {"a.b", "/a", "c.d", "E", "sta(s)", &body};
    struct systemd_incoming message;
    systemd_encode_call(&subject, 7, &out);
    FUZZ_HOLDS(!out.failed && systemd_decode(out.bytes, out.length, &message), "a call of ours");
    FUZZ_HOLDS(strcmp(message.signature, "sta(s)") == 0 &&
                   strcmp(systemd_get_text(&message.body), text) == 0,
               "what was put is not what is got");
    systemd_message_free(&out);
    systemd_message_free(&body);
}

static void run(const uint8_t *data, size_t length) {
    static uint8_t copy[LENGTH_MAX];
    struct fuzz_bytes bytes = {data, length};
    unsigned how = fuzz_byte(&bytes);
    size_t used = bytes.left < sizeof(copy) ? bytes.left : sizeof(copy);
    if (used < SYSTEMD_FIXED_HEADER)
        return;
    memcpy(copy, bytes.at, used);
    /* Decisions come from the end, the message from the beginning. */
    struct fuzz_bytes tail = {bytes.at + used - 12, 12};
    if ((how & 1) != 0)
        put_header(copy, used, &tail);
    /* As malloc'ed memory: a byte behind it is seen. */
    uint8_t *exact = malloc(used);
    memcpy(exact, copy, used);
    decode(exact, used, &tail);
    call(exact, used, &tail);
    if ((how & 2) != 0)
        encode(exact, used);
    free(exact);
}

const struct fuzz_target fuzz_systemd = {.name = "systemd", .run = run};
