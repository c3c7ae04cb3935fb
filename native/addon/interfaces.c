/*
 * What rtnetlink cannot do to interfaces: the settings below /proc/sys/net of another network
 * namespace, and frames that are sent as they are.
 */
#define _GNU_SOURCE
#include "interfaces.h"
#include "module.h"
#include "netns.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HARDWARE_ADDRESS_BYTES 6
#define ETHERNET_HEADER_BYTES 14
#define ETHERTYPE_OFFSET 12

/* The longest setting that is compared with what it is to be. */
#define KNOWN_VALUE_BYTES 64
#define NEW_LINKS_WITHOUT_IPV6 "/proc/sys/net/ipv6/conf/default/disable_ipv6"

/* Some settings are written under the kernel's lock of all interfaces, which a writer that does not
 * get it asks for again and again; reading takes no lock. */
static int is_value(int fd, const char *value) {
    char text[KNOWN_VALUE_BYTES];
    ssize_t length = pread(fd, text, sizeof text, 0);
    if (length > 0 && text[length - 1] == '\n')
        length--;
    return length > 0 && (size_t)length == strlen(value) &&
           memcmp(text, value, (size_t)length) == 0;
}

static int open_setting(const char *path) {
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    /* Some can only be written. */
    return fd < 0 && errno == EACCES ? open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW) : fd;
}

/* Returns 0 or an errno value. */
static int write_setting(const char *path, const char *value) {
    cleanup_close int fd = open_setting(path);
    if (fd < 0)
        return errno;
    if (is_value(fd, value))
        return 0;
    size_t length = strlen(value);
    ssize_t written = 0;
    do
        written = write(fd, value, length);
    while (written < 0 && errno == EINTR);
    if (written < 0)
        return errno;
    /* A setting takes a value with one write or not at all. */
    return (size_t)written == length ? 0 : EINVAL;
}

int write_settings(char **paths, char **values, const char **failed) {
    for (size_t i = 0; paths[i] != NULL; i++) {
        int error = write_setting(paths[i], values[i]);
        if (error != 0) {
            *failed = paths[i];
            return error;
        }
    }
    return 0;
}

int without_new_ipv6(const char *netns) {
    int own = enter_netns(netns);
    if (own < 0)
        return -1;
    cleanup_close int fd = open(NEW_LINKS_WITHOUT_IPV6, O_RDWR | O_CLOEXEC);
    leave_netns(own);
    if (fd < 0 || !is_value(fd, "0") || pwrite(fd, "1", 1, 0) != 1)
        return -1;
    return steal_fd(&fd);
}

void with_new_ipv6(int setting) {
    if (setting < 0)
        return;
    /* The number was taken a moment ago, and the file goes away with nothing less than its
     * namespace. */
    while (pwrite(setting, "0", 1, 0) < 0 && errno == EINTR)
        continue;
    close(setting);
}

/* Which namespace a path below /proc/sys/net belongs to is decided when the thread opens it. */
static int write_settings_in(const char *netns, char **paths, char **values, const char **failed) {
    if (netns == NULL)
        return write_settings(paths, values, failed);
    int own = enter_netns(netns);
    if (own < 0) {
        *failed = netns;
        return errno;
    }
    int error = write_settings(paths, values, failed);
    leave_netns(own);
    return error;
}

static napi_value write_sysctls(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    cleanup_free char *netns = call_absent(&call, 0) ? NULL : call_string(&call, 0, "netnsPath");
    size_t path_count = 0;
    size_t value_count = 0;
    cleanup_strings char **paths =
        call_value_strings(&call, call.arguments[1], "paths", &path_count);
    cleanup_strings char **values =
        call_value_strings(&call, call.arguments[2], "values", &value_count);
    if (!call.failed && path_count != value_count)
        call_type_error(&call, "values", "as many as paths");
    if (call.failed)
        return NULL;
    const char *failed = NULL;
    int error = write_settings_in(netns, paths, values, &failed);
    return error == 0 ? make_undefined(env) : throw_errno(env, error, "write", failed);
}

/* Of protocol 0, so that it never receives anything. */
static napi_value packet_open(napi_env env, napi_callback_info info) {
    (void)info;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? throw_errno(env, errno, "socket", NULL) : make_int32(env, fd);
}

static napi_value packet_send(napi_env env, napi_callback_info info) {
    struct call call = call_begin(env, info);
    int fd = call_int32(&call, 0, "fd");
    int interface = call_int32(&call, 1, "interfaceIndex");
    struct bytes frame = call_bytes(&call, 2, "frame");
    if (!call.failed && frame.length < ETHERNET_HEADER_BYTES)
        call_type_error(&call, "frame", "an Ethernet frame");
    if (call.failed)
        return NULL;
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_ifindex = interface, .sll_halen = HARDWARE_ADDRESS_BYTES};
    memcpy(address.sll_addr, frame.data, HARDWARE_ADDRESS_BYTES);
    memcpy(&address.sll_protocol, frame.data + ETHERTYPE_OFFSET, sizeof address.sll_protocol);
    if (sendto(fd, frame.data, frame.length, MSG_NOSIGNAL, (struct sockaddr *)&address,
               sizeof address) < 0)
        return throw_errno(env, errno, "sendto", NULL);
    return make_undefined(env);
}

napi_status register_interfaces(napi_env env, napi_value exports) {
    static const struct addon_function functions[] = {
        {"writeSysctls", write_sysctls},
        {"packetOpen", packet_open},
        {"packetSend", packet_send},
    };
    return addon_export(env, exports, functions, sizeof functions / sizeof functions[0]);
}
