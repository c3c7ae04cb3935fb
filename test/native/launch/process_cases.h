/* What the process object asks for: user, limits, capabilities, seccomp, and programs that cannot
 * be run. */
#ifndef MYDOCK_LAUNCH_PROCESS_CASES_H
#define MYDOCK_LAUNCH_PROCESS_CASES_H

#include "expect.h"
#include <dirent.h>

/* What /proc/self/stat says from the 39th field on: processor, real-time priority, policy; and the
 * 19th, nice. */
#define SCHEDULING_SCRIPT                                                                          \
    "set -- $(cut -d ' ' -f 19,40,41 /proc/self/stat); echo nice $1 priority $2 policy $3"

static void test_scheduling(void) {
    json_t *config = bundle_config(SCHEDULING_SCRIPT "; ionice");
    json_object_set_new(process_of(config), "scheduler",
                        json_pack("{s:s,s:i}", "policy", "SCHED_BATCH", "nice", 5));
    json_object_set_new(process_of(config), "ioPriority",
                        json_pack("{s:s,s:i}", "class", "IOPRIO_CLASS_BE", "priority", 6));
    expect("scheduler and I/O priority", config, 0,
           "nice 5 priority 0 policy 3\nbest-effort: prio 6\n");
    config = bundle_config(SCHEDULING_SCRIPT);
    json_object_set_new(process_of(config), "scheduler",
                        json_pack("{s:s,s:i,s:[s]}", "policy", "SCHED_RR", "priority", 7, "flags",
                                  "SCHED_FLAG_RESET_ON_FORK"));
    bundle_arguments(config, "cut", "-d", " ", "-f", "19,40,41", "/proc/self/stat", NULL);
    struct run *run = run_all(config);
    /* A kernel with RT_GROUP_SCHED on v1 gives new groups no real-time share. */
    report("real-time scheduler",
           (run->err == NULL && strcmp(run->output, "0 7 2\n") == 0) ||
               (run->err != NULL && strstr(run->err->message, "process.scheduler to SCHED_RR")),
           "%s \"%s\"", run_error(run), run->output);
    config = bundle_config("");
    bundle_arguments(config, "cut", "-d", " ", "-f", "41", "/proc/self/stat", NULL);
    json_object_set_new(process_of(config), "scheduler",
                        json_pack("{s:s,s:i,s:i,s:i}", "policy", "SCHED_DEADLINE", "runtime",
                                  5000000, "deadline", 50000000, "period", 100000000));
    run = run_all(config);
    /* EBUSY, EPERM: no room among the deadlines of this machine, or processors that are not all of
     * it. */
    report("deadline scheduler",
           (run->err == NULL && strcmp(run->output, "6\n") == 0) ||
               (run->err != NULL && strstr(run->err->message, "scheduler to SCHED_DEADLINE")),
           "%s \"%s\"", run_error(run), run->output);
    config = bundle_config("uname -m");
    json_object_set_new(bundle_at(config, "linux"), "personality",
                        json_pack("{s:s}", "domain", "LINUX32"));
    run = run_all(config);
    report("personality",
           run->err == NULL && strstr(run->output, "64") == NULL && run->output[0] != '\0',
           "%s \"%s\"", run_error(run), run->output);
}

static bool kernel_has_apparmor(void) {
    char enabled = 'N';
    int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t count = read(fd, &enabled, 1);
    close(fd);
    return count == 1 && enabled == 'Y';
}

static void test_process_refused(void) {
    static const struct {
        const char *name, *process, *text;
    } cases[] = {
        {"scheduler without a policy", "{\"scheduler\":{}}", "process.scheduler.policy"},
        {"an unknown policy", "{\"scheduler\":{\"policy\":\"SCHED_X\"}}",
         "process.scheduler.policy must be one of"},
        {"a policy that Linux lacks", "{\"scheduler\":{\"policy\":\"SCHED_ISO\"}}", "SCHED_ISO"},
        {"nice out of range", "{\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":20}}",
         "process.scheduler.nice must be a whole number from -20 to 19"},
        {"a priority of an ordinary policy",
         "{\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"priority\":1}}",
         "process.scheduler.priority goes with"},
        {"a runtime of an ordinary policy",
         "{\"scheduler\":{\"policy\":\"SCHED_FIFO\",\"runtime\":1}}", "scheduler.runtime"},
        {"an unknown scheduler flag",
         "{\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"flags\":[\"X\"]}}", "scheduler.flags"},
        {"an unknown I/O class", "{\"ioPriority\":{\"class\":\"X\"}}", "ioPriority.class"},
        {"an I/O priority out of range",
         "{\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":8}}", "ioPriority.priority"},
        {"processors that are none", "{\"execCPUAffinity\":{\"initial\":\"0-\"}}",
         "execCPUAffinity.initial must be a list"},
        {"processors past the last", "{\"execCPUAffinity\":{\"final\":\"99999999999999\"}}",
         "execCPUAffinity.final must be a list"},
        {"a command line", "{\"commandLine\":\"cmd\"}", "process.commandLine is for Windows"},
        {"an AppArmor profile without AppArmor", "{\"apparmorProfile\":\"x\"}", "AppArmor"},
        {"an SELinux label without SELinux", "{\"selinuxLabel\":\"x\"}", "SELinux"},
        {"an rlimit that is none", "{\"rlimits\":[{\"type\":\"RLIMIT_X\",\"soft\":1,\"hard\":1}]}",
         "process.rlimits[0].type"},
        {"a umask out of range", "{\"user\":{\"umask\":512}}", "process.user.umask"},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        bool apparmor = strstr(cases[index].process, "apparmor") != NULL && kernel_has_apparmor();
        bool selinux =
            strstr(cases[index].process, "selinux") != NULL && access("/sys/fs/selinux", F_OK) == 0;
        if (selinux)
            continue;
        json_t *config = bundle_config("true");
        json_object_update_new(process_of(config), json_loads(cases[index].process, 0, NULL));
        expect_failure(cases[index].name, config, 125,
                       apparmor ? "profile x is not loaded" : cases[index].text);
    }
    static const struct {
        const char *name, *object, *text;
    } fields[] = {
        {"a personality of another system", "{\"personality\":{\"domain\":\"SVR4\"}}",
         "linux.personality.domain"},
        {"a personality flag", "{\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"X\"]}}",
         "linux.personality.flags"},
        {"Intel RDT", "{\"intelRdt\":{\"closID\":\"x\"}}", "linux.intelRdt is not supported"},
        {"network devices", "{\"netDevices\":{\"eth0\":{}}}", "linux.netDevices is not supported"},
        {"a memory policy", "{\"memoryPolicy\":{\"mode\":\"x\"}}",
         "linux.memoryPolicy is not supported"},
        {"a propagation that is none", "{\"rootfsPropagation\":\"x\"}", "rootfsPropagation"},
    };
    for (size_t index = 0; index < sizeof(fields) / sizeof(fields[0]); index++) {
        json_t *config = bundle_config("true");
        json_object_update_new(bundle_at(config, "linux"),
                               json_loads(fields[index].object, 0, NULL));
        expect_failure(fields[index].name, config, 125, fields[index].text);
    }
}

static void test_process(void) {
    expect("exit code", bundle_config("exit 42"), 42, "");
    json_t *config = bundle_config("echo $FOO-$PATH");
    json_object_set_new(process_of(config), "env", json_pack("[s,s]", "FOO=b a r", "PATH=/bin"));
    expect("env", config, 0, "b a r-/bin\n");
    config = bundle_config("pwd");
    json_object_set_new(process_of(config), "cwd", json_string("/work"));
    expect("cwd", config, 0, "/work\n");
    config = bundle_config("true");
    json_object_set_new(process_of(config), "cwd", json_string("/nowhere"));
    expect_failure("missing cwd", config, 126, "chdir to cwd (\"/nowhere\")");
    config = bundle_config("id; umask");
    json_object_set_new(process_of(config), "user",
                        json_pack("{s:i,s:i,s:[i,i],s:i}", "uid", 1000, "gid", 1001,
                                  "additionalGids", 7, 8, "umask", 63));
    expect("user, groups, umask", config, 0, "uid=1000 gid=1001 groups=7,8\n0077\n");
    config = bundle_config("echo hello > /dev/stdout");
    json_object_set_new(process_of(config), "user", json_pack("{s:i,s:i}", "uid", 1000, "gid", 1));
    expect("stdout reopens for its user", config, 0, "hello\n");
    expect(
        "open descriptors",
        bundle_config("ls /proc/self/fd | wc -l; ls -l /proc/1/fd 2> /dev/null | grep -c mydock"),
        1, "4\n0\n");
    expect("pid 1", bundle_config("echo $$; hostname"), 0, "1\nbox\n");
    config = bundle_config("cat /proc/self/oom_score_adj");
    json_object_set_new(process_of(config), "oomScoreAdj", json_integer(300));
    expect("oom score", config, 0, "300\n");
    config = bundle_config("cat /proc/self/oom_score_adj >/dev/null");
    json_object_set_new(process_of(config), "oomScoreAdj", json_integer(-900));
    expect("oom score that may not be lowered", config, 0, "");
    config = bundle_config("ulimit -n; ulimit -c");
    json_object_set_new(process_of(config), "rlimits",
                        json_pack("[{s:s,s:i,s:i},{s:s,s:i,s:i}]", "type", "RLIMIT_NOFILE", "soft",
                                  100, "hard", 200, "type", "RLIMIT_CORE", "soft", 0, "hard", 0));
    expect("rlimits", config, 0, "100\n0\n");
    config = bundle_config("ulimit -n >/dev/null");
    json_object_set_new(process_of(config), "rlimits",
                        json_pack("[{s:s,s:I,s:I}]", "type", "RLIMIT_NOFILE", "soft",
                                  (json_int_t)2000000000, "hard", (json_int_t)2000000000));
    expect("rlimit that cannot be raised", config, 0, "");
    test_scheduling();
    test_process_refused();
}

static void test_programs(void) {
    json_t *config = bundle_config("");
    bundle_arguments(config, "foo", NULL);
    expect_failure("127: not in PATH", config, 127,
                   "exec: \"foo\": executable file not found in $PATH");
    config = bundle_config("");
    bundle_arguments(config, "/x/foo", NULL);
    expect_failure("127: no such path", config, 127,
                   "exec: \"/x/foo\": stat /x/foo: no such file or directory");
    config = bundle_config("");
    bundle_arguments(config, "/etc", NULL);
    expect_failure("126: directory", config, 126, "exec: \"/etc\": is a directory");
    char path[4200];
    snprintf(path, sizeof(path), "%s/etc/data", bundle_root);
    FILE *file = fopen(path, "w");
    fputs("no program\n", file);
    fclose(file);
    config = bundle_config("");
    bundle_arguments(config, "/etc/data", NULL);
    expect_failure("126: not executable", config, 126, "exec: \"/etc/data\": permission denied");
    chmod(path, 0755);
    config = bundle_config("");
    bundle_arguments(config, "/etc/data", NULL);
    expect_failure("126: no format", config, 126, "exec: \"/etc/data\": exec format error");
    file = fopen(path, "w");
    fputs("#!/no/interpreter\n", file);
    fclose(file);
    config = bundle_config("");
    bundle_arguments(config, "/etc/data", NULL);
    expect_failure("127: interpreter missing", config, 127, "no such file or directory");
    unlink(path);
}

static void test_capabilities(void) {
    expect("capabilities", bundle_config("grep ^Cap /proc/self/status"), 0,
           "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
           "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n");
    json_t *config = bundle_config("grep -E '^(CapPrm|CapEff|CapBnd|NoNew)' /proc/self/status");
    json_object_set_new(process_of(config), "user", json_pack("{s:i,s:i}", "uid", 5, "gid", 5));
    json_object_set_new(process_of(config), "noNewPrivileges", json_true());
    expect("no capabilities for a user", config, 0,
           "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n"
           "NoNewPrivs:\t1\n");
    config = bundle_config("grep -E '^(CapEff|CapAmb)' /proc/self/status");
    json_object_set_new(process_of(config), "user", json_pack("{s:i,s:i}", "uid", 5, "gid", 5));
    json_t *sets = json_object_get(process_of(config), "capabilities");
    json_object_set_new(sets, "inheritable", json_pack("[s]", "CAP_NET_RAW"));
    json_object_set_new(sets, "ambient", json_pack("[s]", "CAP_NET_RAW"));
    expect("ambient capability for a user", config, 0,
           "CapEff:\t0000000000002000\nCapAmb:\t0000000000002000\n");
    config = bundle_config("true");
    sets = json_object_get(process_of(config), "capabilities");
    json_array_append_new(json_object_get(sets, "bounding"), json_string("CAP_SYS_RESOURCE"));
    json_array_append_new(json_object_get(sets, "effective"), json_string("CAP_FROM_THE_FUTURE"));
    expect("capability that the host lacks", config, 0, "");
}

static void test_seccomp(void) {
    expect("seccomp denies",
           bundle_config("grep ^Seccomp: /proc/self/status; unshare -u true; echo $?"), 0,
           "Seccomp:\t2\nunshare: unshare(0x4000000): Operation not permitted\n1\n");
    json_t *config = bundle_config("unshare -u true; echo $?");
    json_object_set_new(process_of(config), "noNewPrivileges", json_true());
    expect("seccomp denies, with noNewPrivileges", config, 0,
           "unshare: unshare(0x4000000): Operation not permitted\n1\n");
    config = bundle_config("true");
    json_object_set_new(json_object_get(bundle_at(config, "linux"), "seccomp"), "defaultAction",
                        json_string("SCMP_ACT_NOTIFY"));
    expect_failure("seccomp action refused", config, 125, "linux.seccomp.defaultAction");
    DIR *directory = opendir(bundle_cache);
    int files = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        files += strstr(entry->d_name, ".bpf") != NULL && entry->d_name[0] != '.';
    closedir(directory);
    report("seccomp cache", files == 1, "%d files", files);
}

#endif
