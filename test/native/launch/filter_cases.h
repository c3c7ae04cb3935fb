/* Compiled seccomp filters themselves, loaded in a child that then makes system calls by number. */
#ifndef MYDOCK_LAUNCH_FILTER_CASES_H
#define MYDOCK_LAUNCH_FILTER_CASES_H

#include "expect.h"
#include "runtime/launch/filter.h"
#include "runtime/launch/filter_bounded.h"
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* A profile that allows by name all that this libseccomp knows except keyctl, and of the newer ones
 * mseal alone; and personality with either of two arguments. */
static json_t *filter_profile(void) {
    json_t *names = json_pack("[s,s]", "mseal", "name_from_the_future");
    for (int number = 0; number < 600; number++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
        if (name != NULL && strcmp(name, "keyctl") != 0 && strcmp(name, "personality") != 0 &&
            strcmp(name, "statmount") != 0)
            json_array_append_new(names, json_string(name));
        free(name);
    }
    json_t *all = json_pack("{s:s,s:o}", "action", "SCMP_ACT_ALLOW", "names", names);
    json_t *some =
        json_pack("{s:s,s:[s],s:[{s:i,s:i,s:s},{s:i,s:I,s:s}]}", "action", "SCMP_ACT_ALLOW",
                  "names", "personality", "args", "index", 0, "value", 8, "op", "SCMP_CMP_EQ",
                  "index", 0, "value", (json_int_t)0xffffffff, "op", "SCMP_CMP_EQ");
    return json_pack("{s:s,s:i,s:[o,o]}", "defaultAction", "SCMP_ACT_ERRNO", "defaultErrnoRet", 1,
                     "syscalls", all, some);
}

/* errno of a system call with one argument; 0 where it did something. */
static int filter_try(long number, long argument) {
    errno = 0;
    return syscall(number, argument, 0, 0, 0, 0, 0) < 0 ? errno : 0;
}

/* Bits of what was not as it should be. */
static int filter_child(const struct seccomp_filter *filter) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_load(filter, -1, NULL) < 0)
        return 64;
    return (filter_try(SYS_keyctl, 0) == EPERM ? 0 : 1) | (filter_try(1000, 0) == ENOSYS ? 0 : 2) |
           (filter_try(462, 1) != EPERM ? 0 : 4) | (filter_try(457, 0) == EPERM ? 0 : 8) |
           (filter_try(SYS_personality, 0xffffffff) == 0 ? 0 : 16) |
           (filter_try(SYS_personality, 4) == EPERM ? 0 : 32);
}

static void test_filter(void) {
    json_t *profile = filter_profile();
    for (int round = 0; round < 2; round++) {
        struct seccomp_filter filter;
        struct error *err = NULL;
        bool made = filter_prepare(profile, bundle_cache, &filter, &err) == 0;
        pid_t pid = fork();
        if (pid == 0)
            _exit(made ? filter_child(&filter) : 65);
        int code = run_wait(pid);
        report(round == 0 ? "seccomp by number, compiled" : "seccomp by number, cached", code == 0,
               "%s, bits %d", err == NULL ? "" : err->message, code);
        error_free(err);
        filter_free(&filter);
    }
    json_decref(profile);
}

/* A profile that libseccomp 2.5.4 never ends on: it is given up, and says so. A libseccomp that is
 * mended compiles it. */
static void test_filter_without_end(void) {
    json_t *profile = json_pack(
        "{s:s,s:[{s:[s],s:s,s:[{s:i,s:I,s:s},{s:i,s:I,s:s}]},"
        "{s:[s],s:s,s:[{s:i,s:I,s:s},{s:i,s:i,s:s}]}]}",
        "defaultAction", "SCMP_ACT_ERRNO", "syscalls", "names", "close", "action", "SCMP_ACT_ALLOW",
        "args", "index", 3, "value", (json_int_t)2114060288, "op", "SCMP_CMP_GT", "index", 5,
        "value", (json_int_t)4294967304, "op", "SCMP_CMP_GT", "names", "close", "action",
        "SCMP_ACT_ALLOW", "args", "index", 3, "value", (json_int_t)2114060288, "op", "SCMP_CMP_GT",
        "index", 5, "value", 0, "op", "SCMP_CMP_LE");
    struct arena arena = {NULL};
    struct fields from = {profile, "linux.seccomp", &arena};
    struct error *err = NULL;
    void *code = NULL;
    size_t bytes = 0;
    int result = filter_compile_bounded(&from, 300, &code, &bytes, &err);
    report("seccomp profile without end",
           profile != NULL && (result == 0 ? code != NULL
                                           : err != NULL && err->number == ETIMEDOUT &&
                                                 strstr(err->message, "was not compiled") != NULL),
           "%d: %s", result, err == NULL ? "" : err->message);
    error_free(err);
    free(code);
    arena_free(&arena);
    json_decref(profile);
}

#endif
