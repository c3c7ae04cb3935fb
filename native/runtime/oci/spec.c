/* The verb spec: a config.json to begin with, the one that runc and crun write as well in all that
 * matters. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "arguments.h"
#include "oci.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* An array of texts; words separated by spaces. */
static json_t *spec_words(const char *words) {
    json_t *list = json_array();
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        json_array_append_new(list, json_stringn(words, length));
        words += length + strspn(words + length, " ");
    }
    return list;
}

static json_t *spec_process(void) {
    static const char capabilities[] = "CAP_AUDIT_WRITE CAP_KILL CAP_NET_BIND_SERVICE";
    return json_pack(
        "{s:b, s:{s:i, s:i}, s:o, s:o, s:s, s:{s:o, s:o, s:o}, s:[{s:s, s:i, s:i}], s:b}",
        "terminal", 1, "user", "uid", 0, "gid", 0, "args", spec_words("sh"), "env",
        spec_words("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=xterm"),
        "cwd", "/", "capabilities", "bounding", spec_words(capabilities), "effective",
        spec_words(capabilities), "permitted", spec_words(capabilities), "rlimits", "type",
        "RLIMIT_NOFILE", "hard", 1024, "soft", 1024, "noNewPrivileges", 1);
}

static json_t *spec_mounts(void) {
    static const struct {
        const char *destination, *type, *source, *options;
    } mounts[] = {
        {"/proc", "proc", "proc", "nosuid noexec nodev"},
        {"/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"},
        {"/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"},
        {"/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"},
        {"/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"},
        {"/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"},
        {"/sys/fs/cgroup", "cgroup", "cgroup", "nosuid noexec nodev relatime ro"},
    };
    json_t *list = json_array();
    for (size_t index = 0; index < sizeof(mounts) / sizeof(mounts[0]); index++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "destination",
                                              mounts[index].destination, "type", mounts[index].type,
                                              "source", mounts[index].source, "options",
                                              spec_words(mounts[index].options)));
    return list;
}

static json_t *spec_linux(void) {
    static const char *const kinds[] = {"pid", "network", "ipc", "uts", "mount", "cgroup"};
    json_t *namespaces = json_array();
    for (size_t index = 0; index < sizeof(kinds) / sizeof(kinds[0]); index++)
        json_array_append_new(namespaces, json_pack("{s:s}", "type", kinds[index]));
    return json_pack(
        "{s:{s:[{s:b, s:s}]}, s:o, s:o, s:o}", "resources", "devices", "allow", 0, "access", "rwm",
        "namespaces", namespaces, "maskedPaths",
        spec_words("/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys "
                   "/proc/latency_stats /proc/timer_list /proc/timer_stats /proc/sched_debug "
                   "/proc/scsi /sys/firmware /sys/devices/virtual/powercap"),
        "readonlyPaths", spec_words("/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger"));
}

int oci_spec(const struct oci_global *global, char **arguments, struct error **err) {
    bool help = false, rootless = false;
    const char *bundle = ".";
    struct operands operands;
    cleanup_free char *path = NULL;
    const struct argument table[] = {
        {"bundle", 'b', ARGUMENT_TEXT, &bundle, "DIR", "where to write it (.)"},
        {"rootless", 0, ARGUMENT_FLAG, &rootless, NULL, "refused: this runtime needs root"},
        {"help", 'h', ARGUMENT_FLAG, &help, NULL, "show this"},
        {NULL, 0, ARGUMENT_FLAG, NULL, NULL, NULL},
    };
    (void)global;
    if (arguments_read(arguments, table, -1, &operands, err) < 0)
        return -1;
    if (help) {
        printf("usage: mydock-runtime spec [options]\n");
        arguments_print_help(table);
        return 0;
    }
    if (operands.count != 0)
        return oci_usage("spec [options]", err);
    if (rootless)
        return error_setf(err, ENOTSUP, "spec", "--rootless",
                          "--rootless is not supported: this runtime needs root");
    if (asprintf(&path, "%s/config.json", bundle) < 0) {
        path = NULL;
        return error_set(err, ENOMEM, "spec", bundle);
    }
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return error_set(err, errno, "create", path);
    json_t *spec = json_pack("{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:o}", "ociVersion", "1.2.0",
                             "process", spec_process(), "root", "path", "rootfs", "readonly", 1,
                             "hostname", "mydock", "mounts", spec_mounts(), "linux", spec_linux());
    int result = spec == NULL ? -1 : json_dumpfd(spec, fd, JSON_INDENT(4));
    json_decref(spec);
    return result < 0 ? error_set(err, EIO, "write", path) : 0;
}
