/* From linux.seccomp (runtime-spec, config-linux.md) to BPF, through libseccomp. See filter.h. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "filter.h"
#include "filter_prefix.h"
#include "filter_table.h"
#include <ctype.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGUMENTS_MAX 6
/* Above, libseccomp takes the action for an unknown one. */
#define ERRNO_MAX 4094

struct compilation {
    scmp_filter_ctx context;
    uint32_t default_action;
    struct filter_prefix prefix;
};

/* Actions that take errnoRet; for the others it is an error (config-linux.md, "seccomp"). */
static bool compile_takes_number(const char *name) {
    return strcmp(name, "SCMP_ACT_ERRNO") == 0 || strcmp(name, "SCMP_ACT_TRACE") == 0;
}

static int compile_action(const struct fields *from, const char *key, const char *errno_key,
                          uint32_t *out, struct error **err) {
    const char *name = NULL;
    int64_t number = EPERM;
    if (fields_text(from, key, &name, err) < 0 ||
        fields_number(from, errno_key, 0, 0xffff, &number, err) < 0)
        return -1;
    const struct {
        const char *name;
        uint32_t action;
    } actions[] = {
        {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
        {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
        {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
        {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
        {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO((uint32_t)number)},
        {"SCMP_ACT_TRACE", SCMP_ACT_TRACE((uint32_t)number)},
        {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
        {"SCMP_ACT_LOG", SCMP_ACT_LOG},
        {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
    };
    for (size_t index = 0; name != NULL && index < sizeof(actions) / sizeof(actions[0]); index++) {
        if (strcmp(actions[index].name, name) != 0)
            continue;
        if (fields_has(from, errno_key) && !compile_takes_number(name))
            return fields_refuse(from, errno_key, "does not go with the action", err);
        if (strcmp(name, "SCMP_ACT_ERRNO") == 0 && number > ERRNO_MAX)
            return fields_refuse(from, errno_key, "must be an errno, from 0 to 4094", err);
        *out = actions[index].action;
        return 0;
    }
    return fields_refuse(from, key, "is not a supported seccomp action", err);
}

/* Architectures that this libseccomp or this machine cannot have are left out: no process can use
 * them. */
static int compile_architectures(const struct fields *profile, struct compilation *work,
                                 struct error **err) {
    struct text_list names;
    if (fields_texts(profile, "architectures", &names, err) < 0)
        return -1;
    for (size_t index = 0; index < names.count; index++) {
        char name[32];
        if (strncmp(names.items[index], "SCMP_ARCH_", 10) != 0)
            return fields_refuse(profile, "architectures", "must hold SCMP_ARCH_ names", err);
        snprintf(name, sizeof(name), "%s", names.items[index] + 10);
        for (char *letter = name; *letter != '\0'; letter++)
            *letter = (char)tolower((unsigned char)*letter);
        uint32_t token = seccomp_arch_resolve_name(name);
        int result = token == 0 ? 0 : seccomp_arch_add(work->context, token);
        if (result < 0 && result != -EEXIST && result != -EDOM)
            return error_set(err, -result, "add the seccomp architecture", names.items[index]);
        if (token == SCMP_ARCH_X86 || token == SCMP_ARCH_ARM)
            work->prefix.compat = result != -EDOM;
    }
    return 0;
}

static int compile_argument(const struct fields *entry, struct scmp_arg_cmp *out,
                            struct error **err) {
    static const struct {
        const char *name;
        enum scmp_compare operation;
    } operations[] = {
        {"SCMP_CMP_NE", SCMP_CMP_NE},
        {"SCMP_CMP_LT", SCMP_CMP_LT},
        {"SCMP_CMP_LE", SCMP_CMP_LE},
        {"SCMP_CMP_EQ", SCMP_CMP_EQ},
        {"SCMP_CMP_GE", SCMP_CMP_GE},
        {"SCMP_CMP_GT", SCMP_CMP_GT},
        {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
    };
    int64_t index = -1, value = 0, second = 0;
    const char *name = NULL;
    if (fields_number(entry, "index", 0, ARGUMENTS_MAX - 1, &index, err) < 0 ||
        fields_number(entry, "value", INT64_MIN, INT64_MAX, &value, err) < 0 ||
        fields_number(entry, "valueTwo", INT64_MIN, INT64_MAX, &second, err) < 0 ||
        fields_text(entry, "op", &name, err) < 0)
        return -1;
    if (index < 0)
        return fields_refuse(entry, "index", "is missing", err);
    for (size_t other = 0; name != NULL && other < sizeof(operations) / sizeof(operations[0]);
         other++) {
        if (strcmp(operations[other].name, name) == 0) {
            *out = (struct scmp_arg_cmp){(unsigned)index, operations[other].operation,
                                         (uint64_t)value, (uint64_t)second};
            return 0;
        }
    }
    return fields_refuse(entry, "op", "is not a seccomp comparison", err);
}

/* A syscall that libseccomp does not know: left out where nobody knows it, as in other runtimes. A
 * condition cannot be told without libseccomp: such a rule is left out where it allows, and holds
 * for all arguments where it does not. */
static int compile_unknown(struct compilation *work, const char *name, uint32_t action,
                           unsigned count, struct error **err) {
    struct filter_prefix *prefix = &work->prefix;
    int number = filter_table_number(name);
    if (number < 0 || (count > 0 && action == SCMP_ACT_ALLOW))
        return 0;
    if (number > prefix->last_known)
        prefix->last_known = number;
    for (size_t index = 0; index < prefix->extra_count; index++) {
        if (prefix->extra[index].number == (uint32_t)number)
            return 0;
    }
    if (prefix->extra_count == FILTER_EXTRA_MAX)
        return error_set(err, E2BIG, "add the seccomp rule for", name);
    prefix->extra[prefix->extra_count].number = (uint32_t)number;
    prefix->extra[prefix->extra_count++].action = action;
    return 0;
}

/* One syscall. Two conditions on one argument cannot stand in one rule of libseccomp: each becomes
 * a rule of its own then, any of which suffices, as in other runtimes. */
static int compile_rule(struct compilation *work, const char *name, uint32_t action,
                        const struct scmp_arg_cmp *arguments, unsigned count, struct error **err) {
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR)
        return compile_unknown(work, name, action, count, err);
    if (number > work->prefix.last_known)
        work->prefix.last_known = number;
    bool repeated = false;
    for (unsigned index = 0; index < count; index++) {
        for (unsigned other = 0; other < index; other++)
            repeated = repeated || arguments[index].arg == arguments[other].arg;
    }
    int result = 0;
    for (unsigned index = 0; result == 0 && repeated && index < count; index++)
        result = seccomp_rule_add_array(work->context, action, number, 1, &arguments[index]);
    if (!repeated)
        result = seccomp_rule_add_array(work->context, action, number, count, arguments);
    return result < 0 ? error_set(err, -result, "add the seccomp rule for", name) : 0;
}

static void compile_know(struct compilation *work, const char *name) {
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR)
        number = filter_table_number(name);
    if (number > work->prefix.last_known)
        work->prefix.last_known = number;
}

static int compile_entry(const struct fields *entry, struct compilation *work, struct error **err) {
    struct text_list names;
    const json_t *array = NULL;
    uint32_t action;
    struct scmp_arg_cmp arguments[ARGUMENTS_MAX * 2];
    if (fields_texts(entry, "names", &names, err) < 0 ||
        fields_array(entry, "args", &array, err) < 0 ||
        compile_action(entry, "action", "errnoRet", &action, err) < 0)
        return -1;
    size_t count = array == NULL ? 0 : json_array_size(array);
    if (count > sizeof(arguments) / sizeof(arguments[0]))
        return fields_refuse(entry, "args", "are too many", err);
    for (size_t index = 0; index < count; index++) {
        struct fields argument;
        if (fields_element(entry, "args", array, index, &argument, err) < 0 ||
            compile_argument(&argument, &arguments[index], err) < 0)
            return -1;
    }
    for (size_t index = 0; index < names.count; index++) {
        /* A process hands its listener over with a write, which could not be answered then. */
        if (action == SCMP_ACT_NOTIFY && strcmp(names.items[index], "write") == 0)
            return fields_refuse(entry, "action",
                                 "SCMP_ACT_NOTIFY cannot be used for the write syscall", err);
        /* libseccomp refuses a rule that says what happens anyway; it makes the syscall known. */
        if (action == work->default_action) {
            compile_know(work, names.items[index]);
            continue;
        }
        if (compile_rule(work, names.items[index], action, arguments, (unsigned)count, err) < 0)
            return -1;
    }
    return 0;
}

static int compile_syscalls(const struct fields *profile, struct compilation *work,
                            struct error **err) {
    const json_t *array = NULL;
    if (fields_array(profile, "syscalls", &array, err) < 0)
        return -1;
    for (size_t index = 0; index < json_array_size(array); index++) {
        struct fields entry;
        if (fields_element(profile, "syscalls", array, index, &entry, err) < 0 ||
            compile_entry(&entry, work, err) < 0)
            return -1;
    }
    return 0;
}

/* A tracer, like an action that allows, is to see syscalls of the future itself. */
static bool compile_lets_through(uint32_t action) {
    uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
    return kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE;
}

static int compile_export(struct compilation *work, void **code, size_t *bytes,
                          struct error **err) {
    cleanup_close int fd = memfd_create("seccomp", MFD_CLOEXEC);
    struct stat status;
    int result = fd < 0 ? -errno : seccomp_export_bpf(work->context, fd);
    if (result < 0 || fstat(fd, &status) < 0)
        return error_set(err, result < 0 ? -result : errno, "export", "the seccomp filter");
    struct sock_filter prefix[FILTER_PREFIX_MAX];
    work->prefix.refuse_unknown = !compile_lets_through(work->default_action);
    size_t prefix_bytes = filter_prefix_write(&work->prefix, prefix) * sizeof(prefix[0]);
    size_t size = (size_t)status.st_size;
    if ((prefix_bytes + size) / sizeof(prefix[0]) > BPF_MAXINSNS)
        return error_setf(err, E2BIG, "compile", "the seccomp filter",
                          "the seccomp filter has %zu instructions, and the kernel takes %d",
                          (prefix_bytes + size) / sizeof(prefix[0]), BPF_MAXINSNS);
    cleanup_free char *made = malloc(prefix_bytes + size);
    if (made == NULL)
        return fields_no_memory(err);
    memcpy(made, prefix, prefix_bytes);
    if (pread(fd, made + prefix_bytes, size, 0) != (ssize_t)size)
        return error_set(err, EIO, "export", "the seccomp filter");
    *bytes = prefix_bytes + size;
    *code = steal_pointer(&made);
    return 0;
}

static int compile_all(const struct fields *profile, struct compilation *work, void **code,
                       size_t *bytes, struct error **err) {
    /* A search tree instead of a list of hundreds of comparisons; a libseccomp without it makes the
     * list. */
    seccomp_attr_set(work->context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (compile_architectures(profile, work, err) < 0 || compile_syscalls(profile, work, err) < 0)
        return -1;
    return compile_export(work, code, bytes, err);
}

int filter_compile(const struct fields *profile, void **code, size_t *bytes, struct error **err) {
    struct compilation work = {.default_action = 0};
    if (compile_action(profile, "defaultAction", "defaultErrnoRet", &work.default_action, err) < 0)
        return -1;
    if (work.default_action == SCMP_ACT_NOTIFY)
        return fields_refuse(profile, "defaultAction", "cannot be SCMP_ACT_NOTIFY", err);
    work.context = seccomp_init(work.default_action);
    if (work.context == NULL)
        return error_set(err, ENOMEM, "start", "libseccomp");
    int result = compile_all(profile, &work, code, bytes, err);
    seccomp_release(work.context);
    return result;
}
