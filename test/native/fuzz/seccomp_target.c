/*
 * Seccomp profiles: random ones over the grammar of linux.seccomp, compiled by filter_compile. The
 * program that comes of it is run (seccomp_machine.h) on random system calls, and its decisions are
 * compared with those of the profile's rules, read one after the other. With MYDOCK_FUZZ_SHOW in
 * the environment each profile is printed.
 */
#define _GNU_SOURCE
#include "runtime/launch/arena.h"
#include "runtime/launch/filter.h"
#include "runtime/launch/filter_table.h"
#include "seccomp_machine.h"
#include "target.h"
#include <errno.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <string.h>

enum { RULES_MAX = 10, NAMES_MAX = 4, ARGUMENTS_MAX = 4, PROBES = 48, ERRNO_MAX = 4094 };
#define X32_BIT 0x40000000U
#define FIRST_COMMON 424

struct condition {
    unsigned index, operation;
    uint64_t value, second;
};

struct rule {
    const char *names[NAMES_MAX];
    unsigned name_count;
    uint32_t action;
    struct condition conditions[ARGUMENTS_MAX];
    unsigned condition_count;
};

struct profile {
    json_t *json;
    uint32_t default_action;
    bool x86, x32;
    struct rule rules[RULES_MAX];
    unsigned rule_count;
};

/* Old and new ones, neighbours in the table, ones that only other machines have, and none. The
 * multiplexed ones of x86 (socketcall, ipc) are two calls each and left out. */
static const char *const NAMES[] = {
    "read",
    "open",
    "close",
    "mmap",
    "clone",
    "personality",
    "ptrace",
    "getpid",
    "setns",
    "io_uring_setup",
    "clone3",
    "openat2",
    "faccessat2",
    "memfd_secret",
    "cachestat",
    "fchmodat2",
    "statmount",
    "mseal",
    "file_setattr",
    "futex_wait",
    "waitpid",
    "name_from_the_future",
    "arm_fadvise64_64",
    "gettid",
};
#define NAME_COUNT (sizeof(NAMES) / sizeof(NAMES[0]))

static const char *const OPERATIONS[] = {
    "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",        "SCMP_CMP_EQ",
    "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ",
};

static const struct {
    const char *name;
    uint32_t action;
    bool takes_number;
} ACTIONS[] = {
    {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true},
    {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, false},
    {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, false},
    {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false},
    {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false},
    {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG, false},
    {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF, false},
};
#define ACTION_COUNT (sizeof(ACTIONS) / sizeof(ACTIONS[0]))

static uint64_t choose_value(struct fuzz_bytes *bytes) {
    static const uint64_t values[] = {0,
                                      1,
                                      8,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000,
                                      0xfffffffe,
                                      0xffffffff,
                                      0x100000000,
                                      0x100000008,
                                      0x7fffffffffffffff,
                                      0x8000000000000000,
                                      0xfffffffffffffffe,
                                      0xffffffffffffffff,
                                      0x7e020000,
                                      0x2080505};
    unsigned choice = fuzz_below(bytes, 20);
    if (choice < sizeof(values) / sizeof(values[0]))
        return values[choice];
    return choice == 19 ? fuzz_word(bytes) : fuzz_byte(bytes);
}

/* --- the profile, as JSON and as rules --- */

static uint32_t choose_action(struct fuzz_bytes *bytes, json_t *object, const char *key,
                              const char *number_key, unsigned count) {
    unsigned choice = fuzz_below(bytes, count);
    unsigned number = EPERM;
    json_object_set_new(object, key, json_string(ACTIONS[choice].name));
    if (!ACTIONS[choice].takes_number)
        return ACTIONS[choice].action;
    if (fuzz_below(bytes, 2) == 1) {
        number = fuzz_below(bytes, fuzz_below(bytes, 8) == 0 ? 0x10000 : ERRNO_MAX + 1);
        json_object_set_new(object, number_key, json_integer(number));
    }
    return ACTIONS[choice].action | number;
}

static json_t *choose_condition(struct fuzz_bytes *bytes, struct condition *condition) {
    condition->index = fuzz_below(bytes, 6);
    condition->operation = fuzz_below(bytes, 7);
    condition->value = choose_value(bytes);
    condition->second = fuzz_below(bytes, 3) == 0 ? 0 : choose_value(bytes);
    return json_pack("{s:i,s:I,s:I,s:s}", "index", (int)condition->index, "value",
                     (json_int_t)condition->value, "valueTwo", (json_int_t)condition->second, "op",
                     OPERATIONS[condition->operation]);
}

static json_t *choose_rule(struct fuzz_bytes *bytes, struct rule *rule) {
    json_t *object = json_object(), *names = json_array(), *conditions = json_array();
    rule->name_count = 1 + fuzz_below(bytes, NAMES_MAX);
    for (unsigned index = 0; index < rule->name_count; index++) {
        rule->names[index] = NAMES[fuzz_below(bytes, NAME_COUNT)];
        json_array_append_new(names, json_string(rule->names[index]));
    }
    rule->action = choose_action(bytes, object, "action", "errnoRet", ACTION_COUNT);
    unsigned many = fuzz_below(bytes, 8);
    rule->condition_count = many < 4 ? 0 : many - 3;
    for (unsigned index = 0; index < rule->condition_count; index++)
        json_array_append_new(conditions, choose_condition(bytes, &rule->conditions[index]));
    json_object_set_new(object, "names", names);
    json_object_set_new(object, "args", conditions);
    return object;
}

static void choose_profile(struct fuzz_bytes *bytes, struct profile *profile) {
    json_t *rules = json_array(), *machines = json_array();
    *profile = (struct profile){.json = json_object()};
    unsigned flags = fuzz_byte(bytes);
    profile->x86 = (flags & 1) != 0;
    profile->x32 = (flags & 2) != 0;
    if ((flags & 4) != 0)
        json_array_append_new(machines, json_string("SCMP_ARCH_X86_64"));
    if (profile->x86)
        json_array_append_new(machines, json_string("SCMP_ARCH_X86"));
    if (profile->x32)
        json_array_append_new(machines, json_string("SCMP_ARCH_X32"));
    if ((flags & 8) != 0)
        json_array_append_new(machines, json_string("SCMP_ARCH_NEVER_HEARD_OF"));
    /* All but NOTIFY, which is none for a default. */
    profile->default_action =
        choose_action(bytes, profile->json, "defaultAction", "defaultErrnoRet", ACTION_COUNT - 1);
    profile->rule_count = fuzz_below(bytes, RULES_MAX + 1);
    for (unsigned index = 0; index < profile->rule_count; index++)
        json_array_append_new(rules, choose_rule(bytes, &profile->rules[index]));
    json_object_set_new(profile->json, "architectures", machines);
    json_object_set_new(profile->json, "syscalls", rules);
}

/* --- what the rules say --- */

/* A machine of 32 bits has arguments of 32 bits, and libseccomp compares them as such. */
static bool condition_holds(const struct condition *condition, const struct seccomp_data *call,
                            bool wide) {
    uint64_t mask = wide ? UINT64_MAX : UINT32_MAX;
    uint64_t have = call->args[condition->index] & mask, want = condition->value & mask;
    uint64_t second = condition->second & mask;
    switch (condition->operation) {
    case 0:
        return have != want;
    case 1:
        return have < want;
    case 2:
        return have <= want;
    case 3:
        return have == want;
    case 4:
        return have >= want;
    case 5:
        return have > want;
    default:
        return (have & want) == (second & want);
    }
}

/* Two of its conditions speak of one argument: then any condition suffices. */
static bool rule_repeats(const struct rule *rule) {
    unsigned seen = 0;
    for (unsigned index = 0; index < rule->condition_count; index++) {
        unsigned bit = 1U << rule->conditions[index].index;
        if ((seen & bit) != 0)
            return true;
        seen |= bit;
    }
    return false;
}

static bool rule_holds(const struct rule *rule, const struct seccomp_data *call, bool wide) {
    unsigned held = 0;
    for (unsigned index = 0; index < rule->condition_count; index++)
        held += condition_holds(&rule->conditions[index], call, wide);
    return rule_repeats(rule) ? held > 0 : held == rule->condition_count;
}

static bool rule_names(const struct rule *rule, const char *name) {
    for (unsigned index = 0; index < rule->name_count; index++) {
        if (strcmp(rule->names[index], name) == 0)
            return true;
    }
    return false;
}

static int last_known(const struct profile *profile) {
    int last = 0;
    for (unsigned index = 0; index < profile->rule_count; index++) {
        const struct rule *rule = &profile->rules[index];
        for (unsigned name = 0; name < rule->name_count; name++) {
            int number = seccomp_syscall_resolve_name(rule->names[name]);
            bool unknown = number == __NR_SCMP_ERROR;
            if (unknown)
                number = filter_table_number(rule->names[name]);
            /* A rule that allows under a condition is left out where libseccomp cannot help. */
            if (unknown && rule->condition_count > 0 && rule->action == SECCOMP_RET_ALLOW &&
                rule->action != profile->default_action)
                continue;
            last = number > last ? number : last;
        }
    }
    return last;
}

static bool lets_through(uint32_t action) {
    uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
    return kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE;
}

/* A syscall that only our own table knows: the first rule that says something, for all arguments.
 * 0 where there is none. */
static uint32_t table_action(const struct profile *profile, int number) {
    for (unsigned index = 0; index < profile->rule_count; index++) {
        const struct rule *rule = &profile->rules[index];
        if (rule->action == profile->default_action ||
            (rule->condition_count > 0 && rule->action == SECCOMP_RET_ALLOW))
            continue;
        for (unsigned name = 0; name < rule->name_count; name++) {
            if (seccomp_syscall_resolve_name(rule->names[name]) == __NR_SCMP_ERROR &&
                filter_table_number(rule->names[name]) == number)
                return rule->action == SECCOMP_RET_KILL_THREAD ? UINT32_MAX : rule->action;
        }
    }
    return 0;
}

/* Where rules of different actions hold at once, libseccomp picks one of them. And where several
 * sets of conditions stand for one syscall, 2.5.4 at least joins their tests wrongly: it leaves the
 * first set that it has begun without a look at the others (of "a3 <= 5" and "a3 <= 2^63" that
 * deny, 6 is let through), or takes the action of a set that does not hold. Then any action that
 * the profile has for the syscall is granted to it, and the default. */
static bool rules_permit(const struct profile *profile, const struct seccomp_data *call,
                         uint32_t decision) {
    bool wide = call->arch == AUDIT_ARCH_X86_64, any = false, found = false, named = false;
    unsigned sets = 0;
    uint32_t token = wide ? SCMP_ARCH_X86_64 : SCMP_ARCH_X86;
    char *name = seccomp_syscall_resolve_num_arch(token, call->nr);
    for (unsigned index = 0; name != NULL && index < profile->rule_count; index++) {
        const struct rule *rule = &profile->rules[index];
        if (rule->action == profile->default_action || !rule_names(rule, name))
            continue;
        sets += rule_repeats(rule) ? rule->condition_count : rule->condition_count > 0;
        named = named || rule->action == decision;
        if (!rule_holds(rule, call, wide))
            continue;
        any = true;
        found = found || rule->action == decision;
    }
    free(name);
    if (sets > 1)
        return named || decision == profile->default_action;
    return any ? found : decision == profile->default_action;
}

static bool profile_permits(const struct profile *profile, const struct seccomp_data *call,
                            uint32_t decision) {
    bool native = call->arch == AUDIT_ARCH_X86_64;
    uint32_t number = (uint32_t)call->nr;
    if (!native && !(call->arch == AUDIT_ARCH_I386 && profile->x86))
        return decision == SECCOMP_RET_KILL_THREAD;
    /* x32 is libseccomp's alone. */
    if (number >= X32_BIT)
        return !native || profile->x32 || number == UINT32_MAX ||
               decision == SECCOMP_RET_KILL_THREAD;
    if (number >= FIRST_COMMON) {
        uint32_t action = table_action(profile, call->nr);
        if (action != 0)
            return decision == (action == UINT32_MAX ? SECCOMP_RET_KILL_THREAD : action);
        if (!lets_through(profile->default_action) && call->nr > last_known(profile))
            return decision == (SECCOMP_RET_ERRNO | ENOSYS);
    }
    return rules_permit(profile, call, decision);
}

/* --- runs --- */

static void choose_call(struct fuzz_bytes *bytes, uint64_t *random, const struct profile *profile,
                        struct seccomp_data *call) {
    static const uint32_t machines[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_X86_64, AUDIT_ARCH_X86_64,
                                        AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64};
    *call = (struct seccomp_data){.arch = machines[fuzz_random(random) % 5]};
    const char *name = NAMES[fuzz_random(random) % NAME_COUNT];
    int number = seccomp_syscall_resolve_name_arch(
        call->arch == AUDIT_ARCH_I386 ? SCMP_ARCH_X86 : SCMP_ARCH_X86_64, name);
    if (number == __NR_SCMP_ERROR || number < 0)
        number = filter_table_number(name);
    call->nr = number < 0 ? 500 : number;
    unsigned shift = (unsigned)(fuzz_random(random) % 16);
    if (shift == 0)
        call->nr = (int)(fuzz_random(random) % 600);
    if (shift == 1)
        call->nr |= (int)X32_BIT;
    const struct rule *rule = profile->rule_count == 0
                                  ? NULL
                                  : &profile->rules[fuzz_random(random) % profile->rule_count];
    for (unsigned index = 0; index < 6; index++) {
        struct fuzz_bytes more = {(const uint8_t *)random, 8};
        fuzz_random(random);
        call->args[index] = choose_value(bytes->left > 0 ? bytes : &more);
    }
    /* Around the values that the profile speaks of. */
    for (unsigned index = 0; rule != NULL && index < rule->condition_count; index++) {
        const struct condition *condition = &rule->conditions[index];
        uint64_t value = condition->operation == 6 && fuzz_random(random) % 2 == 0
                             ? condition->second
                             : condition->value;
        if (fuzz_random(random) % 4 != 0)
            call->args[condition->index] = value + fuzz_random(random) % 3 - 1;
    }
}

static void check(struct fuzz_bytes *bytes, const struct profile *profile, const void *code,
                  size_t length) {
    uint64_t random = UINT64_C(0x9e3779b97f4a7c15) ^ length;
    for (int probe = 0; probe < PROBES; probe++) {
        struct seccomp_data call;
        choose_call(bytes, &random, profile, &call);
        uint32_t decision = seccomp_machine_run(code, length / sizeof(struct sock_filter), &call);
        if (profile_permits(profile, &call, decision))
            continue;
        json_dumpf(profile->json, stderr, JSON_COMPACT);
        FUZZ_HOLDS(false, "\nmachine %x call %d (%llx %llx %llx %llx %llx %llx): decided %08x",
                   call.arch, call.nr, (unsigned long long)call.args[0],
                   (unsigned long long)call.args[1], (unsigned long long)call.args[2],
                   (unsigned long long)call.args[3], (unsigned long long)call.args[4],
                   (unsigned long long)call.args[5], decision);
    }
}

/* No two rules speak of one syscall, and no conditions of one argument: libseccomp has no reason
 * to refuse. */
static bool is_plain(const struct profile *profile) {
    for (size_t name = 0; name < NAME_COUNT; name++) {
        unsigned seen = 0;
        for (unsigned index = 0; index < profile->rule_count; index++) {
            const struct rule *rule = &profile->rules[index];
            for (unsigned own = 0; own < rule->name_count; own++)
                seen += strcmp(rule->names[own], NAMES[name]) == 0;
        }
        if (seen > 1)
            return false;
    }
    return true;
}

/* Numbers that are no errno are refused by name. */
static bool has_wild_errno(const struct profile *profile) {
    uint32_t action = profile->default_action;
    bool wild = (action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO &&
                (action & SECCOMP_RET_DATA) > ERRNO_MAX;
    for (unsigned index = 0; index < profile->rule_count; index++) {
        action = profile->rules[index].action;
        wild = wild || ((action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO &&
                        (action & SECCOMP_RET_DATA) > ERRNO_MAX);
    }
    return wild;
}

static bool refuses_rule(const struct error *err) {
    return err != NULL && strstr(err->message, "add the seccomp rule") != NULL;
}

/* libseccomp may not come back from what is said twice of several arguments (filter_bounded.h). */
static bool may_never_end(const struct profile *profile) {
    for (size_t name = 0; name < NAME_COUNT; name++) {
        unsigned sets = 0, most = 0;
        for (unsigned index = 0; index < profile->rule_count; index++) {
            const struct rule *rule = &profile->rules[index];
            if (rule->condition_count == 0 || !rule_names(rule, NAMES[name]))
                continue;
            sets++;
            if (!rule_repeats(rule) && rule->condition_count > most)
                most = rule->condition_count;
        }
        if (sets > 1 && most > 1)
            return true;
    }
    return false;
}

static void run(const uint8_t *data, size_t length) {
    struct fuzz_bytes bytes = {data, length};
    struct profile profile;
    choose_profile(&bytes, &profile);
    if (may_never_end(&profile)) {
        json_decref(profile.json);
        return;
    }
    if (getenv("MYDOCK_FUZZ_SHOW") != NULL)
        json_dumpf(profile.json, stderr, JSON_COMPACT);
    struct arena arena = {NULL};
    struct fields from = {profile.json, "linux.seccomp", &arena};
    void *code = NULL;
    size_t size = 0;
    struct error *err = NULL;
    if (filter_compile(&from, &code, &size, &err) == 0) {
        /* The rules are read as this machine has them. */
        if (seccomp_arch_native() == SCMP_ARCH_X86_64)
            check(&bytes, &profile, code, size);
    } else {
        const char *message = err == NULL ? "out of memory" : err->message;
        bool expected = (has_wild_errno(&profile) && strstr(message, "rrnoRet must be") != NULL) ||
                        (refuses_rule(err) && !is_plain(&profile));
        if (!expected)
            json_dumpf(profile.json, stderr, JSON_COMPACT);
        FUZZ_HOLDS(expected, "\n%s", message);
    }
    error_free(err);
    free(code);
    arena_free(&arena);
    json_decref(profile.json);
}

const struct fuzz_target fuzz_seccomp = {.name = "seccomp", .run = run};
