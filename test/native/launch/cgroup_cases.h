/* Limits, devices, out-of-memory, namespaces of paths, and what is left behind. */
#ifndef MYDOCK_LAUNCH_CGROUP_CASES_H
#define MYDOCK_LAUNCH_CGROUP_CASES_H

#include "expect.h"
#include "runtime/launch/cgroup.h"
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <time.h>

static json_t *resources_of(json_t *config) {
    return bundle_at(config, "linux.resources");
}

/* Calls visit with the path of a group of ours in each hierarchy; returns how often it said yes. */
static int each_group(const char *path, bool (*visit)(const char *directory)) {
    int count = 0;
    struct cgroup *cgroup = NULL;
    if (cgroup_create(&(struct cgroup_request){.path = "/mydock-test-count"}, &cgroup, NULL) < 0)
        return -1;
    for (size_t index = 0; index < cgroup->count; index++) {
        char directory[PATH_MAX];
        snprintf(directory, sizeof(directory), "%s%s", cgroup->hierarchies[index].mount, path);
        count += visit(directory);
    }
    cgroup_destroy(cgroup);
    return count;
}

static bool group_exists(const char *directory) {
    return access(directory, F_OK) == 0;
}

static bool group_remove(const char *directory) {
    return rmdir(directory) == 0;
}

static int count_groups(void) {
    return each_group(bundle_cgroup, group_exists);
}

/* The group above the containers'. */
static void remove_groups(void) {
    char path[64];
    snprintf(path, sizeof(path), "/mydock-test-%d", (int)getpid());
    each_group(path, group_remove);
}

/* True where the host has a controller: one of v1 by its name, or the v2 file. */
static bool has_controller(const char *name, const char *file) {
    struct cgroup *cgroup = NULL;
    if (cgroup_create(&(struct cgroup_request){.path = "/mydock-test-probe/c"}, &cgroup, NULL) < 0)
        return false;
    struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    bool has = cgroup_find_v1(cgroup, name) != NULL ||
               (v2 != NULL && faccessat(v2->directory_fd, file, F_OK, 0) == 0);
    cgroup_destroy(cgroup);
    each_group("/mydock-test-probe", group_remove);
    if (!has)
        printf("skip cases of the %s controller: this host has none\n", name);
    return has;
}

static void test_pids_limit(void) {
    json_t *config =
        bundle_config("sleep 1 & sleep 1 & sleep 1 & sleep 1 & sleep 1 & echo unlimited");
    json_object_set_new(resources_of(config), "pids", json_pack("{s:i}", "limit", 4));
    struct run *run = run_all(config);
    report("pids limit",
           run->err == NULL && strstr(run->output, "can't fork: Resource") != NULL &&
               strstr(run->output, "unlimited") == NULL,
           "%s, exit code %d, \"%s\"", run_error(run), run->exit_code, run->output);
}

static void test_memory_limit(void) {
    json_t *config = bundle_config("dd if=/dev/zero of=/dev/null bs=64M count=1; echo survived");
    bundle_arguments(config, "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1", NULL);
    json_object_set_new(resources_of(config), "memory",
                        json_pack("{s:i,s:i}", "limit", 16 << 20, "swap", 16 << 20));
    struct run *run = run_all(config);
    report("out of memory", run->err == NULL && run->exit_code == 137 && run->oom_killed,
           "%s, exit code %d, oom %d, \"%s\"", run_error(run), run->exit_code, run->oom_killed,
           run->output);
    run = run_all(bundle_config("kill -9 $$; sh -c 'kill -9 $PPID'; exit 3"));
    report("no out of memory", run->err == NULL && !run->oom_killed, "%s, oom %d", run_error(run),
           run->oom_killed);
    config = bundle_config("true");
    json_object_set_new(resources_of(config), "cpu",
                        json_pack("{s:i,s:i,s:i,s:s,s:s}", "shares", 512, "quota", 50000, "period",
                                  100000, "cpus", "0", "mems", "0"));
    json_object_set_new(resources_of(config), "memory",
                        json_pack("{s:i,s:i}", "limit", 64 << 20, "reservation", 32 << 20));
    expect("cpu and memory limits", config, 0, "");
    config = bundle_config("true");
    json_object_set_new(resources_of(config), "memory", json_pack("{s:i}", "limit", 4096));
    run = run_all(config);
    report("a limit that kills the init is said to",
           run->err != NULL && (strstr(run->err->message, "memory limit") != NULL ||
                                strstr(run->err->message, "memory.") != NULL),
           "%s", run_error(run));
}

static void test_huge_pages(void) {
    json_t *config = bundle_config("cd /sys/fs/cgroup; cat hugetlb.2MB.max 2>/dev/null || "
                                   "cat */hugetlb.2MB.max */hugetlb.2MB.limit_in_bytes");
    json_object_set_new(resources_of(config), "hugepageLimits",
                        json_pack("[{s:s,s:i}]", "pageSize", "2MB", "limit", 4 << 20));
    struct run *run = run_all(config);
    report("huge page limit", run->err == NULL && strstr(run->output, "4194304") != NULL,
           "%s, \"%s\"", run_error(run), run->output);
}

static void test_limits(void) {
    if (has_controller("pids", "pids.max"))
        test_pids_limit();
    if (has_controller("memory", "memory.max"))
        test_memory_limit();
    if (has_controller("hugetlb", "hugetlb.2MB.max"))
        test_huge_pages();
    json_t *config = bundle_config("true");
    json_object_set_new(resources_of(config), "unified", json_pack("{s:s}", "no.such.file", "1"));
    expect_failure("missing controller", config, 125, "no v2 cgroup controller");
    config = bundle_config("true");
    json_object_set_new(resources_of(config), "pids", json_pack("{s:s}", "limit", "many"));
    expect_failure("wrong type is named", config, 125, "linux.resources.pids.limit must be");
}

static void test_device_rules(void) {
    json_t *config = bundle_config("mknod /tmp/fuse c 10 229; mknod /tmp/null c 1 3; "
                                   "(: < /tmp/null) && echo null; (: < /tmp/fuse)");
    json_t *device = json_pack("{s:s,s:s,s:i,s:i,s:i}", "path", "/dev/box", "type", "c", "major", 1,
                               "minor", 5, "fileMode", 384);
    json_t *devices = json_array();
    json_array_append_new(devices, device);
    json_object_set_new(bundle_at(config, "linux"), "devices", devices);
    expect("device denied, device allowed", config, 1,
           "null\nsh: can't open /tmp/fuse: Operation not permitted\n");
    char path[PATH_MAX * 2];
    for (int index = 0; index < 2; index++) {
        snprintf(path, sizeof(path), "%s/tmp/%s", bundle_root, index == 0 ? "fuse" : "null");
        unlink(path);
    }
    config = bundle_config("mknod /dev/f c 10 229; (: < /dev/f) && echo opened");
    json_object_set_new(resources_of(config), "devices",
                        json_pack("[{s:b,s:s}]", "allow", 1, "access", "rwm"));
    expect("all devices allowed", config, 0, "opened\n");
}

/* The eBPF program, which v2 hosts need, on whatever v2 hierarchy there is. */
static void test_device_program(void) {
    struct resources_device_rule rules[] = {
        {false, 'a', -1, -1, true, true, true},
        {true, 'c', 1, -1, true, false, false},
        {false, 'c', 1, 5, true, false, false},
    };
    struct cgroup *cgroup = NULL;
    struct error *err = NULL;
    if (cgroup_create(&(struct cgroup_request){.path = "/mydock-test-bpf"}, &cgroup, &err) < 0) {
        report("eBPF device rules", false, "%s", err->message);
        error_free(err);
        return;
    }
    struct cgroup_hierarchy *v2 = cgroup_find_v2(cgroup);
    if (v2 == NULL) {
        printf("skip eBPF device rules: this host has no v2 hierarchy\n");
        cgroup_destroy(cgroup);
        return;
    }
    bool attached = cgroup_devices_attach(v2->directory_fd, rules, 3, &err) == 0;
    pid_t pid = fork();
    if (pid == 0) {
        bool joined = cgroup_write_number(v2, "cgroup.procs", getpid(), NULL) == 0;
        bool null = open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0;
        bool write = open("/dev/null", O_WRONLY | O_CLOEXEC) < 0 && errno == EPERM;
        bool zero = open("/dev/zero", O_RDONLY | O_CLOEXEC) < 0 && errno == EPERM;
        bool tty = open("/dev/ptmx", O_RDWR | O_CLOEXEC | O_NOCTTY) < 0 && errno == EPERM;
        _exit(joined && null && write && zero && tty
                  ? 0
                  : 1 + joined + 2 * null + 4 * write + 8 * zero + 16 * tty);
    }
    int code = run_wait(pid);
    report("eBPF device rules", attached && code == 0, "%s, code %d",
           err == NULL ? "attached" : err->message, code);
    error_free(err);
    cgroup_destroy(cgroup);
}

/* A network namespace that is bound to a file, made by a child. */
static bool make_network_namespace(const char *path) {
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(CLONE_NEWNET) == 0 &&
                      mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) == 0
                  ? 0
                  : 1);
    return run_wait(pid) == 0;
}

static void test_namespaces(void) {
    char path[PATH_MAX * 2], expected[64], own[64];
    struct stat status;
    snprintf(path, sizeof(path), "%s/netns", bundle_directory);
    if (!make_network_namespace(path) || stat(path, &status) < 0)
        bundle_fail(path);
    snprintf(expected, sizeof(expected), "net:[%lu]\n", (unsigned long)status.st_ino);
    json_t *config = bundle_config("readlink /proc/self/ns/net");
    bundle_namespace(config, "network", path);
    expect("network namespace of a path", config, 0, expected);
    umount2(path, MNT_DETACH);
    unlink(path);
    ssize_t length = readlink("/proc/self/ns/net", own, sizeof(own) - 2);
    own[length] = '\n';
    own[length + 1] = '\0';
    config = bundle_config("readlink /proc/self/ns/net");
    bundle_namespace(config, "network", NULL);
    expect("the host's network", config, 0, own);
    expect("loopback is up", bundle_config("cat /sys/class/net/lo/flags"), 0, "0x9\n");
    config = bundle_config("test $$ -ne 1 && echo visible");
    bundle_namespace(config, "pid", NULL);
    expect("the host's processes", config, 0, "visible\n");
    config = bundle_config("sleep 1000 & sleep 1000 & echo started");
    bundle_namespace(config, "pid", NULL);
    struct run run;
    bool begun = run_begin(&run, config);
    report("owns no pids", begun && !launch_owns_pids(run.container), "owned");
    /* The background processes hold the output: only the end of all of them ends it. */
    usleep(100000);
    bool killed = launch_kill_all(run.container, SIGKILL, NULL) == 0;
    run_finish(&run);
    json_decref(config);
    report("kill all without a pid namespace", killed && strcmp(run.output, "started\n") == 0,
           "\"%s\"", run.output);
    config = bundle_config("cat /proc/self/timens_offsets | grep -c ' 1000 '");
    json_array_append_new(json_object_get(bundle_at(config, "linux"), "namespaces"),
                          json_pack("{s:s}", "type", "time"));
    json_object_set_new(bundle_at(config, "linux"), "timeOffsets",
                        json_pack("{s:{s:i,s:i}}", "boottime", "secs", 1000, "nanosecs", 0));
    expect("time namespace", config, 0, "1\n");
}

#endif
