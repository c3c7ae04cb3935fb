/* See systemd_bus.h. */
#define _GNU_SOURCE
#include "systemd_bus.h"
#include "../../common/cleanup.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PRIVATE_SOCKET "/run/systemd/private"
#define BUS_SOCKET "/run/dbus/system_bus_socket"
#define SYSTEMD_NAME "org.freedesktop.systemd1"
/* A busy systemd (a reload, a machine that boots) takes seconds; beyond that it hangs. */
#define CALL_TIMEOUT_MS 30000
/* Of the authentication's lines. */
#define LINE_MAX_BYTES 256
/* Signals that may come in front of an answer. */
#define SKIPPED_MAX 4096

static long long bus_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until the socket has what is wanted; false, with errno, at the deadline. */
static bool bus_wait(int fd, short events, long long deadline_ms) {
    for (;;) {
        long long left = deadline_ms - bus_now_ms();
        struct pollfd ready = {.fd = fd, .events = events};
        int count = poll(&ready, 1, left < 0 ? 0 : (int)left);
        if (count > 0)
            return true;
        if (count < 0 && errno == EINTR)
            continue;
        if (count == 0)
            errno = ETIMEDOUT;
        return false;
    }
}

static int bus_send(int fd, const void *bytes, size_t length, long long deadline_ms) {
    for (size_t sent = 0; sent < length;) {
        ssize_t got = send(fd, (const char *)bytes + sent, length - sent, MSG_NOSIGNAL);
        if (got >= 0)
            sent += (size_t)got;
        else if (errno == EAGAIN && !bus_wait(fd, POLLOUT, deadline_ms))
            return -1;
        else if (errno != EAGAIN && errno != EINTR)
            return -1;
    }
    return 0;
}

static int bus_receive(int fd, void *bytes, size_t length, long long deadline_ms) {
    for (size_t filled = 0; filled < length;) {
        if (!bus_wait(fd, POLLIN, deadline_ms))
            return -1;
        ssize_t got = recv(fd, (char *)bytes + filled, length - filled, 0);
        if (got == 0) {
            errno = ECONNRESET;
            return -1;
        }
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return -1;
        filled += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int bus_connect(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    return steal_fd(&fd);
}

/* EXTERNAL: the kernel tells the other end who we are; the number only has to agree. */
static int bus_authenticate(int fd, const char *path, struct error **err) {
    char text[LINE_MAX_BYTES], user[24];
    long long deadline = bus_now_ms() + CALL_TIMEOUT_MS;
    int digits = snprintf(user, sizeof(user), "%u", (unsigned)geteuid());
    size_t length = 0;
    text[length++] = '\0';
    length += (size_t)sprintf(text + length, "AUTH EXTERNAL ");
    for (int index = 0; index < digits; index++)
        length += (size_t)sprintf(text + length, "%02x", (unsigned char)user[index]);
    length += (size_t)sprintf(text + length, "\r\n");
    if (bus_send(fd, text, length, deadline) < 0)
        return error_set(err, errno, "authenticate at", path);
    /* Byte by byte: nothing behind the line may be taken away from what reads on. */
    size_t filled = 0;
    do {
        if (bus_receive(fd, text + filled, 1, deadline) < 0)
            return error_set(err, errno, "authenticate at", path);
    } while (text[filled++] != '\n' && filled + 1 < sizeof(text));
    text[filled] = '\0';
    if (strncmp(text, "OK ", 3) != 0 || text[filled - 1] != '\n')
        return error_setf(err, EACCES, "authenticate", path, "%s refuses us", path);
    if (bus_send(fd, "BEGIN\r\n", 7, deadline) < 0)
        return error_set(err, errno, "authenticate at", path);
    return 0;
}

static int bus_hello(struct systemd_bus *bus, struct error **err) {
    const struct systemd_call hello = {
        "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", "", NULL};
    return systemd_bus_call(bus, &hello, NULL, err);
}

int systemd_bus_open(struct systemd_bus *out, struct error **err) {
    char wanted[108] = "";
    const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS"), *path = PRIVATE_SOCKET;
    *out = (struct systemd_bus){.fd = -1};
    if (address != NULL && strncmp(address, "unix:path=", 10) == 0) {
        snprintf(wanted, sizeof(wanted), "%.*s", (int)strcspn(address + 10, ",;"), address + 10);
        path = wanted;
        out->routed = true;
    }
    out->fd = bus_connect(path);
    if (out->fd < 0 && !out->routed && errno != EMFILE && errno != ENFILE) {
        path = BUS_SOCKET;
        out->routed = true;
        out->fd = bus_connect(path);
    }
    if (out->fd < 0)
        return error_setf(err, errno, "connect", path,
                          "cannot reach systemd, which the systemd cgroup driver needs: %s: %s",
                          path, strerror(errno));
    if (bus_authenticate(out->fd, path, err) < 0 || (out->routed && bus_hello(out, err) < 0)) {
        systemd_bus_close(out);
        return -1;
    }
    return 0;
}

void systemd_bus_close(struct systemd_bus *bus) {
    if (bus->fd >= 0)
        close(bus->fd);
    bus->fd = -1;
}

/* The next message, whatever it is; the caller frees the bytes. */
static unsigned char *bus_next(int fd, size_t *length, long long deadline) {
    unsigned char header[SYSTEMD_FIXED_HEADER];
    if (bus_receive(fd, header, sizeof(header), deadline) < 0)
        return NULL;
    *length = systemd_message_length(header);
    if (*length == 0) {
        errno = EBADMSG;
        return NULL;
    }
    cleanup_free unsigned char *bytes = malloc(*length);
    if (bytes == NULL)
        return NULL;
    memcpy(bytes, header, sizeof(header));
    if (bus_receive(fd, bytes + sizeof(header), *length - sizeof(header), deadline) < 0)
        return NULL;
    unsigned char *result = bytes;
    bytes = NULL;
    return result;
}

static int bus_answer(const struct systemd_call *call, const struct systemd_incoming *message,
                      struct error **err) {
    if (message->type == SYSTEMD_METHOD_RETURN)
        return 0;
    struct systemd_reader body = message->body;
    const char *text = message->signature[0] == 's' ? systemd_get_text(&body) : "";
    return error_setf(err, 0, "systemd", message->error_name, "systemd refuses %s: %.300s (%.100s)",
                      call->member, text, message->error_name);
}

int systemd_bus_call(struct systemd_bus *bus, const struct systemd_call *call,
                     struct systemd_reply *reply, struct error **err) {
    long long deadline = bus_now_ms() + CALL_TIMEOUT_MS;
    struct systemd_message out;
    struct systemd_call routed = *call;
    uint32_t serial = ++bus->serial;
    if (!bus->routed)
        routed.destination = NULL;
    else if (routed.destination == NULL)
        routed.destination = SYSTEMD_NAME;
    systemd_encode_call(&routed, serial, &out);
    int result = out.failed ? -1 : bus_send(bus->fd, out.bytes, out.length, deadline);
    if (out.failed)
        errno = ENOMEM;
    systemd_message_free(&out);
    if (result == 0 && call->one_way)
        return 0;
    for (int skipped = 0; result == 0 && skipped < SKIPPED_MAX; skipped++) {
        size_t length;
        cleanup_free unsigned char *bytes = bus_next(bus->fd, &length, deadline);
        struct systemd_incoming message;
        if (bytes == NULL)
            return error_set(err, errno, "wait for systemd's answer to", call->member);
        if (!systemd_decode(bytes, length, &message))
            return error_set(err, EBADMSG, "read systemd's answer to", call->member);
        bool answer = message.type == SYSTEMD_METHOD_RETURN || message.type == SYSTEMD_ERROR;
        if (!answer || message.reply_serial != serial)
            continue;
        if (bus_answer(call, &message, err) < 0)
            return -1;
        if (reply != NULL) {
            *reply = (struct systemd_reply){bytes, message};
            bytes = NULL;
        }
        return 0;
    }
    return error_set(err, result < 0 ? errno : EBADMSG, "call systemd's", call->member);
}

void systemd_reply_free(struct systemd_reply *reply) {
    free(reply->bytes);
    reply->bytes = NULL;
}

bool systemd_is_unknown_unit(const struct error *err) {
    return err != NULL && (strcmp(err->object, "org.freedesktop.systemd1.NoSuchUnit") == 0 ||
                           strcmp(err->object, "org.freedesktop.DBus.Error.UnknownObject") == 0);
}

bool systemd_is_loaded_unit(const struct error *err) {
    return err != NULL && strcmp(err->object, "org.freedesktop.systemd1.UnitExists") == 0;
}
