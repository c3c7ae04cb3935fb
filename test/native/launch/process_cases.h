/* What the process object asks for: user, limits, capabilities, seccomp, and programs that cannot
 * be run. */
#ifndef MYDOCK_LAUNCH_PROCESS_CASES_H
#define MYDOCK_LAUNCH_PROCESS_CASES_H

#include "expect.h"
#include <dirent.h>

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
    expect("open descriptors",
           bundle_config("ls /proc/self/fd | wc -l; ls -l /proc/1/fd | grep -c mydock"), 1,
           "4\n0\n");
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
