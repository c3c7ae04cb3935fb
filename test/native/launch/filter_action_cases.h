/* Every action, operator and architecture of linux.seccomp, by what system calls come to; and what
 * is refused. */
#ifndef MYDOCK_LAUNCH_FILTER_ACTION_CASES_H
#define MYDOCK_LAUNCH_FILTER_ACTION_CASES_H

#include "expect.h"
#include "runtime/launch/filter.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define PROBES_MAX 16
#define KILLED 1000

/* A system call with two arguments, and the errno that it comes to; KILLED: SIGSYS. */
struct probe {
    long number;
    uint64_t first, second;
    int expected;
};

static void probe_run(const struct seccomp_filter *filter, const struct probe *probes) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_load(filter, -1, NULL) < 0)
        _exit(100);
    for (int index = 0; index < PROBES_MAX && probes[index].number != 0; index++) {
        errno = 0;
        long result = syscall(probes[index].number, probes[index].first, probes[index].second, 0);
        if ((result < 0 ? errno : 0) != probes[index].expected)
            _exit(index + 1);
    }
    _exit(0);
}

/* Takes the profile as a text; a probe with KILLED must be the only one. */
static void filter_case(const char *name, const char *text, const struct probe *probes) {
    struct seccomp_filter filter;
    struct error *err = NULL;
    json_t *profile = json_loads(text, 0, NULL);
    bool made = filter_prepare(profile, NULL, &filter, &err) == 0;
    pid_t pid = made ? fork() : -1;
    if (pid == 0)
        probe_run(&filter, probes);
    int code = pid < 0 ? -1 : run_wait(pid);
    int expected = probes[0].expected == KILLED ? 128 + SIGSYS : 0;
    report(name, code == expected, "%s, probe %d", err == NULL ? "" : err->message, code);
    error_free(err);
    if (made)
        filter_free(&filter);
    json_decref(profile);
}

static void filter_refusal(const char *name, const char *text, const char *expected) {
    struct seccomp_filter filter;
    struct error *err = NULL;
    json_t *profile = json_loads(text, 0, NULL);
    int result = filter_prepare(profile, NULL, &filter, &err);
    report(name, result < 0 && err != NULL && strstr(err->message, expected) != NULL, "%s",
           err == NULL ? "no error" : err->message);
    error_free(err);
    if (result == 0)
        filter_free(&filter);
    json_decref(profile);
}

/* A profile that allows all but getppid, for which rule says what happens. */
#define BUT_GETPPID(rule)                                                                          \
    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getppid\"]," rule "}]}"
#define ERRNO_7 "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":7"
#define ARGUMENT(index, op, value)                                                                 \
    "{\"index\":" index ",\"op\":\"SCMP_CMP_" op "\",\"value\":" value "}"

static void test_filter_actions(void) {
    const struct probe killed[PROBES_MAX] = {{SYS_getppid, 0, 0, KILLED}};
    const struct probe missing[PROBES_MAX] = {{SYS_getppid, 0, 0, ENOSYS}};
    const struct probe goes[PROBES_MAX] = {{SYS_getppid, 0, 0, 0}};
    const struct probe seven[PROBES_MAX] = {{SYS_getppid, 0, 0, 7}, {SYS_getuid, 0, 0, 0}};
    filter_case("seccomp KILL", BUT_GETPPID("\"action\":\"SCMP_ACT_KILL\""), killed);
    filter_case("seccomp KILL_THREAD", BUT_GETPPID("\"action\":\"SCMP_ACT_KILL_THREAD\""), killed);
    filter_case("seccomp KILL_PROCESS", BUT_GETPPID("\"action\":\"SCMP_ACT_KILL_PROCESS\""),
                killed);
    filter_case("seccomp TRAP", BUT_GETPPID("\"action\":\"SCMP_ACT_TRAP\""), killed);
    /* Without a tracer. */
    filter_case("seccomp TRACE", BUT_GETPPID("\"action\":\"SCMP_ACT_TRACE\",\"errnoRet\":3"),
                missing);
    filter_case("seccomp LOG", BUT_GETPPID("\"action\":\"SCMP_ACT_LOG\""), goes);
    filter_case("seccomp ERRNO", BUT_GETPPID(ERRNO_7), seven);
}

static void test_filter_operators(void) {
    const struct {
        const char *name, *text;
        struct probe probes[PROBES_MAX];
    } cases[] = {
        {"seccomp NE",
         BUT_GETPPID(ERRNO_7 ",\"args\":[" ARGUMENT("0", "NE", "5") "]"),
         {{SYS_getppid, 5, 0, 0}, {SYS_getppid, 4, 0, 7}, {SYS_getppid, 5ULL << 32 | 5, 0, 7}}},
        {"seccomp LT",
         BUT_GETPPID(ERRNO_7 ",\"args\":[" ARGUMENT("0", "LT", "4294967298") "]"),
         {{SYS_getppid, 4294967297, 0, 7},
          {SYS_getppid, 4294967298, 0, 0},
          {SYS_getppid, 3, 0, 7}}},
        {"seccomp LE",
         BUT_GETPPID(ERRNO_7 ",\"args\":[" ARGUMENT("1", "LE", "2") "]"),
         {{SYS_getppid, 0, 2, 7}, {SYS_getppid, 0, 3, 0}}},
        {"seccomp EQ",
         BUT_GETPPID(ERRNO_7 ",\"args\":[" ARGUMENT("0", "EQ", "-1") "]"),
         {{SYS_getppid, UINT64_MAX, 0, 7}, {SYS_getppid, UINT32_MAX, 0, 0}}},
        {"seccomp GE",
         BUT_GETPPID(ERRNO_7 ",\"args\":[" ARGUMENT("0", "GE", "9") "]"),
         {{SYS_getppid, 9, 0, 7}, {SYS_getppid, 8, 0, 0}, {SYS_getppid, 1ULL << 63, 0, 7}}},
        {"seccomp GT",
         BUT_GETPPID(ERRNO_7 ",\"args\":[" ARGUMENT("0", "GT", "9") "]"),
         {{SYS_getppid, 9, 0, 0}, {SYS_getppid, 10, 0, 7}}},
        {"seccomp MASKED_EQ over 64 bits",
         BUT_GETPPID(ERRNO_7 ",\"args\":[{\"index\":0,\"op\":\"SCMP_CMP_MASKED_EQ\",\"value\":"
                             "-4294967296,\"valueTwo\":21474836480}]"),
         {{SYS_getppid, 5ULL << 32 | 77, 0, 7}, {SYS_getppid, 77, 0, 0}}},
        {"seccomp with two arguments, both of which must hold",
         BUT_GETPPID(ERRNO_7
                     ",\"args\":[" ARGUMENT("0", "EQ", "1") "," ARGUMENT("1", "EQ", "2") "]"),
         {{SYS_getppid, 1, 2, 7}, {SYS_getppid, 1, 3, 0}, {SYS_getppid, 2, 2, 0}}},
        {"seccomp with an argument twice, either of which suffices",
         BUT_GETPPID(ERRNO_7
                     ",\"args\":[" ARGUMENT("0", "EQ", "1") "," ARGUMENT("0", "EQ", "2") "]"),
         {{SYS_getppid, 1, 0, 7}, {SYS_getppid, 2, 0, 7}, {SYS_getppid, 3, 0, 0}}},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++)
        filter_case(cases[index].name, cases[index].text, cases[index].probes);
}

/* mseal (462) and file_setattr (469) are newer than many a libseccomp. */
static void test_filter_newer(void) {
    const struct probe newer[PROBES_MAX] = {{469, 0, 0, 7}, {462, 0, 0, 0}, {900, 0, 0, ENOSYS}};
    filter_case("seccomp denies what libseccomp does not know",
                "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"file_setattr\","
                "\"of_the_future\"]," ERRNO_7 "}]}",
                newer);
    const struct probe older[PROBES_MAX] = {
        {SYS_clone3, 0, 0, ENOSYS}, {SYS_getuid, 0, 0, EPERM}, {SYS_getppid, 0, 0, 0}};
    filter_case("a profile older than a syscall answers ENOSYS",
                "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"getppid\","
                "\"exit_group\",\"sigaltstack\"],\"action\":\"SCMP_ACT_ALLOW\"}]}",
                older);
}

#if defined(__x86_64__)
/* getpid of i386. */
static int filter_call_compat(void) {
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    return result;
}

static void filter_compat_case(const char *name, const char *text, int expected) {
    struct seccomp_filter filter;
    json_t *profile = json_loads(text, 0, NULL);
    bool made = filter_prepare(profile, NULL, &filter, NULL) == 0;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (!made || filter_load(&filter, -1, NULL) < 0)
            _exit(100);
        _exit(filter_call_compat() == -9 ? 9 : 1);
    }
    int code = run_wait(pid);
    report(name, code == expected, "exit code %d", code);
    if (made)
        filter_free(&filter);
    json_decref(profile);
}

static void test_filter_architectures(void) {
#define COMPAT(architectures)                                                                      \
    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[" architectures                      \
    "],\"syscalls\":[{\"names\":[\"getpid\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":9}]}"
    pid_t pid = fork();
    if (pid == 0)
        _exit(filter_call_compat() > 0 ? 0 : 1);
    if (run_wait(pid) != 0) {
        report("i386 system calls # skip: this kernel has none", true, "");
        return;
    }
    filter_compat_case("a rule holds for i386 as well",
                       COMPAT("\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\""), 9);
    filter_compat_case("an architecture that is not named is killed",
                       COMPAT("\"SCMP_ARCH_X86_64\""), 128 + SIGSYS);
}
#else
static void test_filter_architectures(void) {
}
#endif

static void test_filter_refusals(void) {
    filter_refusal("SCMP_ACT_NOTIFY for all", "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}",
                   "linux.seccomp.defaultAction cannot be SCMP_ACT_NOTIFY");
    filter_refusal("SCMP_ACT_NOTIFY for write",
                   "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/x\",\"syscalls\":[{"
                   "\"names\":[\"write\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}",
                   "cannot be used for the write syscall");
    filter_refusal("SCMP_ACT_NOTIFY without an agent",
                   BUT_GETPPID("\"action\":\"SCMP_ACT_NOTIFY\""),
                   "linux.seccomp.listenerPath must be absolute");
    filter_refusal("listenerMetadata without an agent",
                   "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerMetadata\":\"x\"}",
                   "linux.seccomp.listenerMetadata needs a listenerPath");
    filter_refusal("errnoRet with an action that has none",
                   BUT_GETPPID("\"action\":\"SCMP_ACT_KILL\",\"errnoRet\":1"),
                   "linux.seccomp.syscalls[0].errnoRet does not go with the action");
    filter_refusal("an unknown flag",
                   "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_X\"]}",
                   "linux.seccomp.flags holds an unknown flag");
    filter_refusal("an unknown operator",
                   BUT_GETPPID(ERRNO_7 ",\"args\":[" ARGUMENT("0", "XX", "1") "]"),
                   "linux.seccomp.syscalls[0].args[0].op");
    filter_refusal("a seventh argument",
                   BUT_GETPPID(ERRNO_7 ",\"args\":[" ARGUMENT("6", "EQ", "1") "]"),
                   "linux.seccomp.syscalls[0].args[0].index");
}

/* One rule a value, each of several instructions. */
static void test_filter_size(void) {
    json_t *rules = json_array();
    for (int value = 0; value < 5000; value++)
        json_array_append_new(rules, json_pack("{s:[s],s:s,s:[{s:i,s:i,s:s}]}", "names", "getppid",
                                               "action", "SCMP_ACT_ERRNO", "args", "index", 0,
                                               "value", value * 2, "op", "SCMP_CMP_EQ"));
    json_t *profile = json_pack("{s:s,s:o}", "defaultAction", "SCMP_ACT_ALLOW", "syscalls", rules);
    char *text = json_dumps(profile, 0);
    filter_refusal("a filter that the kernel would not take", text, "and the kernel takes 4096");
    free(text);
    json_decref(profile);
}

static void test_filters(void) {
    test_filter_actions();
    test_filter_operators();
    test_filter_newer();
    test_filter_architectures();
    test_filter_refusals();
    test_filter_size();
}

#endif
