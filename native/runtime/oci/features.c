/* The verb features (runtime-spec, features.md): what this runtime can do at all, not what this
 * host lets it. */
#define _GNU_SOURCE
#include "../launch/capabilities.h"
#include "../launch/config.h"
#include "arguments.h"
#include "oci.h"
#include "version.h"
#include <jansson.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>

/* config.md's table and runc's: those of them that the reader of mounts knows are listed. */
static const char *const MOUNT_OPTIONS[] = {
    "acl",
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noacl",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
};

static json_t *features_words(const char *const *words) {
    json_t *list = json_array();
    for (; *words != NULL; words++)
        json_array_append_new(list, json_string(*words));
    return list;
}
#define WORDS(...) features_words((const char *const[]){__VA_ARGS__, NULL})

static json_t *features_seccomp(void) {
    json_t *actions = WORDS("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL",
                            "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
                            "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP");
    json_t *operators = WORDS("SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE",
                              "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE");
    json_t *architectures = WORDS(
        "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64",
        "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
        "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_RISCV64",
        "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64");
    json_t *flags =
        WORDS("SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
              "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
    return json_pack("{s:b, s:o, s:o, s:o, s:O, s:o}", "enabled", 1, "actions", actions,
                     "operators", operators, "archs", architectures, "knownFlags", flags,
                     "supportedFlags", flags);
}

static json_t *features_linux(void) {
    json_t *capabilities = json_array(), *namespaces = json_array();
    for (int number = 0; capabilities_name(number) != NULL; number++)
        json_array_append_new(capabilities, json_string(capabilities_name(number)));
    for (size_t index = 0; config_namespace_name(index) != NULL; index++)
        json_array_append_new(namespaces, json_string(config_namespace_name(index)));
    json_t *cgroup = json_pack("{s:b, s:b, s:b, s:b, s:b}", "v1", 1, "v2", 1, "systemd", 1,
                               "systemdUser", 0, "rdma", 1);
    return json_pack("{s:o, s:o, s:o, s:o, s:{s:b}, s:{s:b}, s:{s:b}, s:{s:{s:b}}}", "namespaces",
                     namespaces, "capabilities", capabilities, "cgroup", cgroup, "seccomp",
                     features_seccomp(), "apparmor", "enabled", 1, "selinux", "enabled", 1,
                     "intelRdt", "enabled", 0, "mountExtensions", "idmap", "enabled", 1);
}

int oci_features(const struct oci_global *global, char **arguments, struct error **err) {
    struct operands operands;
    char libseccomp[32];
    bool help = false;
    const struct argument table[] = {{"help", 'h', ARGUMENT_FLAG, &help, NULL, "show this"},
                                     {NULL, 0, ARGUMENT_FLAG, NULL, NULL, NULL}};
    (void)global;
    if (arguments_read(arguments, table, -1, &operands, err) < 0)
        return -1;
    if (help) {
        printf("usage: mydock-runtime features\n");
        arguments_print_help(table);
        return 0;
    }
    if (operands.count != 0)
        return oci_usage("features", err);
    json_t *options = json_array();
    for (size_t index = 0; index < sizeof(MOUNT_OPTIONS) / sizeof(MOUNT_OPTIONS[0]); index++) {
        if (config_is_mount_option(MOUNT_OPTIONS[index]))
            json_array_append_new(options, json_string(MOUNT_OPTIONS[index]));
    }
    const struct scmp_version *version = seccomp_version();
    snprintf(libseccomp, sizeof(libseccomp), "%u.%u.%u", version->major, version->minor,
             version->micro);
    json_t *features =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:{s:s, s:s}, s:o}", "ociVersionMin", "1.0.0",
                  "ociVersionMax", "1.2.0", "hooks",
                  WORDS("prestart", "createRuntime", "createContainer", "startContainer",
                        "poststart", "poststop"),
                  "mountOptions", options, "linux", features_linux(), "annotations",
                  "io.github.seccomp.libseccomp.version", libseccomp, "mydock.runtime.version",
                  MYDOCK_VERSION, "potentiallyUnsafeConfigAnnotations", json_array());
    json_dumpf(features, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(features);
    return 0;
}
