/*
 * Bundles for launch_test.c: a root file system of Debian's busybox-static in a temporary folder,
 * and a config.json like the one that the daemon writes for a plain `run` (Docker's defaults), to
 * be changed case by case.
 */
#ifndef MYDOCK_LAUNCH_BUNDLE_H
#define MYDOCK_LAUNCH_BUNDLE_H

#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSYBOX "/bin/busybox"

/* The temporary folder, its bundle_root file system, the folder of compiled seccomp filters, the
 * cgroupsPath. */
static char bundle_directory[PATH_MAX], bundle_root[PATH_MAX], bundle_cache[PATH_MAX];
static char bundle_cgroup[64];

static void bundle_fail(const char *what) {
    perror(what);
    exit(2);
}

static void bundle_copy(const char *from, const char *to) {
    char buffer[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    if (in < 0 || out < 0)
        bundle_fail(to);
    for (ssize_t got; (got = read(in, buffer, sizeof(buffer))) > 0;) {
        if (write(out, buffer, (size_t)got) != got)
            bundle_fail(to);
    }
    close(in);
    close(out);
}

static void bundle_make(const char *name) {
    char path[PATH_MAX * 2];
    snprintf(path, sizeof(path), "%s/%s", bundle_root, name);
    if (mkdir(path, 0755) < 0)
        bundle_fail(path);
}

/* Makes the temporary folder; -1 with a reason on stdout where busybox is missing. */
static int bundle_set_up(void) {
    static const char *const applets[] = {
        "sh",     "cat",   "echo",   "true",     "id",       "ls",   "mount", "stty",
        "sleep",  "touch", "test",   "grep",     "mkdir",    "kill", "stat",  "dd",
        "wc",     "mknod", "pwd",    "hostname", "env",      "tty",  "head",  "ps",
        "umount", "false", "chmod",  "unshare",  "readlink", "ln",   "tr",    "cut",
        "chown",  "rm",    "ionice", "uname",    "awk"};
    static const char *const folders[] = {"bin", "etc", "tmp", "dev",  "proc",
                                          "sys", "usr", "var", "home", "work"};
    char path[PATH_MAX * 2];
    if (access(BUSYBOX, X_OK) < 0) {
        printf("skip all: %s (Debian's busybox-static) is not installed\n", BUSYBOX);
        return -1;
    }
    snprintf(bundle_directory, sizeof(bundle_directory), "%s/mydock-launch-XXXXXX",
             getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
    if (mkdtemp(bundle_directory) == NULL || chmod(bundle_directory, 0755) < 0)
        bundle_fail(bundle_directory);
    snprintf(bundle_root, sizeof(bundle_root), "%.4000s/rootfs", bundle_directory);
    snprintf(bundle_cache, sizeof(bundle_cache), "%.4000s/seccomp", bundle_directory);
    snprintf(bundle_cgroup, sizeof(bundle_cgroup), "/mydock-test-%d/c", (int)getpid());
    if (mkdir(bundle_root, 0755) < 0 || mkdir(bundle_cache, 0700) < 0)
        bundle_fail(bundle_root);
    for (size_t index = 0; index < sizeof(folders) / sizeof(folders[0]); index++)
        bundle_make(folders[index]);
    snprintf(path, sizeof(path), "%s/bin/busybox", bundle_root);
    bundle_copy(BUSYBOX, path);
    for (size_t index = 0; index < sizeof(applets) / sizeof(applets[0]); index++) {
        snprintf(path, sizeof(path), "%s/bin/%s", bundle_root, applets[index]);
        if (symlink("busybox", path) < 0)
            bundle_fail(path);
    }
    return 0;
}

static int bundle_remove_one(const char *path, const struct stat *status, int type,
                             struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

/* Removes it. */
static void bundle_tear_down(void) {
    /* FTW_MOUNT: a mount that leaked would be a host bundle_directory, which must not be emptied.
     */
    if (nftw(bundle_directory, bundle_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) < 0)
        perror(bundle_directory);
}

static json_t *bundle_list(const char *const *items, size_t count) {
    json_t *list = json_array();
    for (size_t index = 0; index < count; index++)
        json_array_append_new(list, json_string(items[index]));
    return list;
}
#define LIST(...)                                                                                  \
    bundle_list((const char *const[]){__VA_ARGS__},                                                \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static json_t *bundle_capabilities(void) {
    return LIST("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD",
                "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP",
                "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE");
}

static json_t *bundle_default_process(const char *script) {
    json_t *capabilities = json_object();
    json_object_set_new(capabilities, "bounding", bundle_capabilities());
    json_object_set_new(capabilities, "effective", bundle_capabilities());
    json_object_set_new(capabilities, "permitted", bundle_capabilities());
    json_t *process = json_object();
    json_object_set_new(process, "user", json_pack("{s:i, s:i}", "uid", 0, "gid", 0));
    json_object_set_new(process, "args", LIST("sh", "-c", script));
    json_object_set_new(
        process, "env",
        LIST("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=box"));
    json_object_set_new(process, "cwd", json_string("/"));
    json_object_set_new(process, "capabilities", capabilities);
    json_object_set_new(process, "oomScoreAdj", json_integer(0));
    return process;
}

/* Appends a mount; options separated by commas. */
static void bundle_mount(json_t *config, const char *destination, const char *type,
                         const char *source, const char *options) {
    json_t *list = json_array();
    char copy[256], *position = NULL;
    snprintf(copy, sizeof(copy), "%s", options);
    for (char *option = strtok_r(copy, ",", &position); option != NULL;
         option = strtok_r(NULL, ",", &position))
        json_array_append_new(list, json_string(option));
    json_array_append_new(json_object_get(config, "mounts"),
                          json_pack("{s:s, s:s, s:s, s:o}", "destination", destination, "type",
                                    type, "source", source, "options", list));
}

/* A short profile in the form of Docker's: an errno by default is not needed to see that rules
 * work, and everything else stays allowed, so that it is the denied ones that tell. */
static json_t *bundle_seccomp(void) {
    json_t *profile = json_pack("{s:s, s:[s,s]}", "defaultAction", "SCMP_ACT_ALLOW",
                                "architectures", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86");
    json_t *denied = json_pack("{s:s, s:i}", "action", "SCMP_ACT_ERRNO", "errnoRet", 1);
    json_object_set_new(denied, "names",
                        LIST("keyctl", "add_key", "unshare", "mount", "reboot", "no_such_syscall"));
    json_t *list = json_array();
    json_array_append_new(list, denied);
    json_object_set_new(profile, "syscalls", list);
    return profile;
}

static json_t *bundle_linux(void) {
    json_t *object = json_object();
    json_t *namespaces = json_array();
    static const char *const types[] = {"mount", "uts", "pid", "ipc", "network", "cgroup"};
    for (size_t index = 0; index < sizeof(types) / sizeof(types[0]); index++)
        json_array_append_new(namespaces, json_pack("{s:s}", "type", types[index]));
    json_object_set_new(object, "namespaces", namespaces);
    json_object_set_new(object, "cgroupsPath", json_string(bundle_cgroup));
    json_object_set_new(object, "maskedPaths",
                        LIST("/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore",
                             "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                             "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
                             "/sys/firmware", "/sys/devices/virtual/powercap"));
    json_object_set_new(
        object, "readonlyPaths",
        LIST("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"));
    json_object_set_new(object, "seccomp", bundle_seccomp());
    json_object_set_new(object, "resources",
                        json_pack("{s:[{s:b,s:s}]}", "devices", "allow", 0, "access", "rwm"));
    return object;
}

/* A new default config that runs `sh -c script`. Owned by the caller. */
static json_t *bundle_config(const char *script) {
    json_t *config =
        json_pack("{s:s, s:s, s:[]}", "ociVersion", "1.2.0", "hostname", "box", "mounts");
    json_object_set_new(config, "process", bundle_default_process(script));
    json_object_set_new(config, "root", json_pack("{s:s}", "path", bundle_root));
    json_object_set_new(config, "linux", bundle_linux());
    bundle_mount(config, "/proc", "proc", "proc", "nosuid,noexec,nodev");
    bundle_mount(config, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
    bundle_mount(config, "/dev/pts", "devpts", "devpts",
                 "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
    bundle_mount(config, "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro");
    bundle_mount(config, "/sys/fs/cgroup", "cgroup", "cgroup", "ro,nosuid,noexec,nodev");
    bundle_mount(config, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
    bundle_mount(config, "/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k");
    return config;
}

/* process.args in place of the shell; up to the NULL. */
static void bundle_arguments(json_t *config, ...) {
    json_t *list = json_array();
    va_list arguments;
    va_start(arguments, config);
    for (const char *argument; (argument = va_arg(arguments, const char *)) != NULL;)
        json_array_append_new(list, json_string(argument));
    va_end(arguments);
    json_object_set_new(json_object_get(config, "process"), "args", list);
}

/* The object at a dotted path ("linux.resources"), made where missing. Borrowed. */
static json_t *bundle_at(json_t *config, const char *path) {
    char copy[128], *position = NULL;
    snprintf(copy, sizeof(copy), "%s", path);
    json_t *at = config;
    for (char *key = strtok_r(copy, ".", &position); key != NULL;
         key = strtok_r(NULL, ".", &position)) {
        if (json_object_get(at, key) == NULL)
            json_object_set_new(at, key, json_object());
        at = json_object_get(at, key);
    }
    return at;
}

/* Removes the namespace of a type, or gives it a path. */
static void bundle_namespace(json_t *config, const char *type, const char *path) {
    json_t *list = json_object_get(bundle_at(config, "linux"), "namespaces");
    size_t index;
    json_t *entry;
    json_array_foreach(list, index, entry) {
        if (strcmp(json_string_value(json_object_get(entry, "type")), type) != 0)
            continue;
        if (path == NULL)
            json_array_remove(list, index);
        else
            json_object_set_new(entry, "path", json_string(path));
        return;
    }
}

/* A process object for exec, with the config's user, capabilities and environment. Owned by the
 * caller. */
static json_t *bundle_process(const json_t *config, const char *script) {
    json_t *process = json_deep_copy(json_object_get(config, "process"));
    json_object_set_new(process, "args", LIST("sh", "-c", script));
    json_object_set_new(process, "terminal", json_false());
    return process;
}

/* Writes config.json. */
static void bundle_write(const json_t *config) {
    char path[PATH_MAX * 2];
    snprintf(path, sizeof(path), "%s/config.json", bundle_directory);
    if (json_dump_file(config, path, JSON_COMPACT) < 0)
        bundle_fail(path);
}

#endif
