/* Containers with a user namespace: made or joined, what they may and what they may not. */
#ifndef MYDOCK_LAUNCH_USER_CASES_H
#define MYDOCK_LAUNCH_USER_CASES_H

#include "exec_cases.h"
#include "expect.h"
#include <sched.h>
#include <sys/mount.h>

#define USER_BASE 300000

static json_t *user_range(int inside, int outside, int size) {
    return json_pack("{s:i,s:i,s:i}", "containerID", inside, "hostID", outside, "size", size);
}

static void user_maps(json_t *config, json_t *uids, json_t *gids) {
    json_object_set_new(bundle_at(config, "linux"), "uidMappings", uids);
    json_object_set_new(bundle_at(config, "linux"), "gidMappings", gids);
}

static void user_namespace_of(json_t *config, const char *path) {
    json_t *list = json_object_get(bundle_at(config, "linux"), "namespaces");
    json_t *entry = json_pack("{s:s}", "type", "user");
    if (path != NULL)
        json_object_set_new(entry, "path", json_string(path));
    json_array_append_new(list, entry);
}

/* The default container in a new user namespace with two ranges. */
static json_t *user_config(const char *script) {
    json_t *config = bundle_config(script);
    user_namespace_of(config, NULL);
    user_maps(config,
              json_pack("[o,o]", user_range(0, USER_BASE, 1000),
                        user_range(1000, USER_BASE + 5000, 64536)),
              json_pack("[o]", user_range(0, USER_BASE, 65536)));
    return config;
}

static int user_own_one(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return lchown(path, USER_BASE, USER_BASE);
}

static int user_disown_one(const char *path, const struct stat *status, int type,
                           struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return lchown(path, 0, 0);
}

static void test_user_basics(void) {
    expect("user namespace: made",
           user_config("cat /proc/self/uid_map | tr -s ' '; id; touch /tmp/mine && "
                       "stat -c %u /tmp/mine; rm /tmp/mine; hostname; echo $$; "
                       "stat -c %u /proc/1 /dev/null /dev/shm"),
           0, " 0 300000 1000\n 1000 305000 64536\nuid=0 gid=0\n0\nbox\n1\n0\n65534\n0\n");
    json_t *config = user_config("id; echo hello > /dev/stdout; umask; stat -c %u /proc/self/fd/1");
    json_object_set_new(
        process_of(config), "user",
        json_pack("{s:i,s:i,s:[i],s:i}", "uid", 1001, "gid", 7, "additionalGids", 9, "umask", 63));
    expect("user namespace: a user's stdout reopens", config, 0,
           "uid=1001 gid=7 groups=9\nhello\n0077\n1001\n");
    expect("user namespace: root's stdout reopens", user_config("echo hello > /dev/stdout"), 0,
           "hello\n");
    expect("user namespace: capabilities",
           user_config("grep ^Cap /proc/self/status; grep ^Seccomp: /proc/self/status"), 0,
           "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
           "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nSeccomp:\t2\n");
    expect("user namespace: what is mounted",
           user_config("grep -o -E '^[a-z]+ /(proc|dev|dev/pts|sys|dev/mqueue) [a-z]+' "
                       "/proc/mounts; ls /sys/class/net; cat /proc/keys; "
                       "touch /sys/fs/cgroup/x 2>/dev/null || echo ro; "
                       "echo x > /dev/null; head -c 2 /dev/zero | wc -c; "
                       "readlink /dev/ptmx; mknod /tmp/n c 1 3"),
           1,
           "proc /proc proc\ntmpfs /dev tmpfs\ndevpts /dev/pts devpts\nsysfs /sys sysfs\n"
           "mqueue /dev/mqueue mqueue\nlo\nro\n2\npts/ptmx\n"
           "mknod: /tmp/n: Operation not permitted\n");
    config = user_config("cat /proc/sys/net/ipv4/ip_unprivileged_port_start; "
                         "cat /proc/sys/kernel/msgmax; cat /proc/self/oom_score_adj; ulimit -n");
    json_object_set_new(bundle_at(config, "linux"), "sysctl",
                        json_pack("{s:s,s:s}", "net.ipv4.ip_unprivileged_port_start", "77",
                                  "kernel.msgmax", "9999"));
    json_object_set_new(process_of(config), "oomScoreAdj", json_integer(300));
    json_object_set_new(
        process_of(config), "rlimits",
        json_pack("[{s:s,s:i,s:i}]", "type", "RLIMIT_NOFILE", "soft", 100, "hard", 200));
    expect("user namespace: sysctls and limits", config, 0, "77\n9999\n300\n100\n");
    config = user_config("tty; stty size; stat -c %u /dev/pts/0 /dev/console; echo hi > /dev/tty");
    terminal_size(process_of(config));
    json_object_set_new(process_of(config), "user", json_pack("{s:i,s:i}", "uid", 9, "gid", 9));
    expect("user namespace: terminal", config, 0, "/dev/pts/0\r\n33 99\r\n9\r\n9\r\nhi\r\n");
    config = user_config("readlink /proc/self/ns/time > /tmp/a; cut -d. -f1 /proc/uptime | "
                         "grep -c '^[0-9]\\{6,\\}$'; rm /tmp/a");
    json_array_append_new(json_object_get(bundle_at(config, "linux"), "namespaces"),
                          json_pack("{s:s}", "type", "time"));
    json_object_set_new(bundle_at(config, "linux"), "timeOffsets",
                        json_pack("{s:{s:i,s:i}}", "boottime", "secs", 900000000, "nanosecs", 1));
    expect("user namespace: time offsets", config, 0, "1\n");
}

static void test_user_binds(void) {
    char closed[4200], inside[4300], file[4400];
    snprintf(closed, sizeof(closed), "%s/closed", bundle_directory);
    snprintf(inside, sizeof(inside), "%s/inside", closed);
    snprintf(file, sizeof(file), "%s/secret", inside);
    mkdir(closed, 0700);
    mkdir(inside, 0755);
    close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    json_t *config = user_config("stat -c %u /b; touch /b/x; cat /b/secret; chown 0 /b/secret");
    bundle_mount(config, "/b", "bind", inside, "rbind,rprivate");
    expect("user namespace: a bind below a closed folder, and no power over it", config, 1,
           "65534\ntouch: /b/x: Permission denied\ncat: can't open '/b/secret': Permission "
           "denied\nchown: /b/secret: Operation not permitted\n");
    config = user_config("stat -c %u /b/secret; touch /b/x && stat -c %u /b/x");
    bundle_mount(config, "/b", "bind", inside, "rbind,rprivate,idmap");
    expect("user namespace: a bind mapped as the container is", config, 0, "0\n0\n");
    struct stat status = {0};
    snprintf(file, sizeof(file), "%s/x", inside);
    report("user namespace: what is made there is unmapped on disk",
           stat(file, &status) == 0 && status.st_uid == 0, "%s belongs to %u", file, status.st_uid);
    unlink(file);
    snprintf(file, sizeof(file), "%s/secret", inside);
    unlink(file);

    /* Mounts made in the container must not appear on the host. */
    if (mount("tmpfs", inside, "tmpfs", 0, "mode=777") < 0 ||
        mount(NULL, inside, NULL, MS_SHARED, NULL) < 0)
        bundle_fail(inside);
    snprintf(file, sizeof(file), "%s/at", inside);
    mkdir(file, 0777);
    config = user_config("mount -t tmpfs tmpfs /b/at && touch /b/at/new && echo mounted");
    json_object_del(bundle_at(config, "linux"), "seccomp");
    json_t *sets = json_object_get(process_of(config), "capabilities");
    const char *set;
    json_t *list;
    json_object_foreach(sets, set, list) json_array_append_new(list, json_string("CAP_SYS_ADMIN"));
    bundle_mount(config, "/b", "bind", inside, "rbind,rshared");
    struct run *run = run_all(config);
    snprintf(file, sizeof(file), "%s/at/new", inside);
    report("user namespace: what it mounts stays inside",
           strcmp(run->output, "mounted\n") == 0 && access(file, F_OK) < 0, "%s \"%s\"",
           run_error(run), run->output);
    umount2(inside, MNT_DETACH);
    rmdir(inside);
    rmdir(closed);
}

static void test_user_refused(void) {
    json_t *config = bundle_config("true");
    user_namespace_of(config, NULL);
    expect_failure("user namespace without mappings", config, 125, "linux.uidMappings are missing");
    config = bundle_config("true");
    user_maps(config, json_pack("[o]", user_range(0, 1, 1)), json_array());
    expect_failure("mappings without a user namespace", config, 125,
                   "linux.uidMappings need a user namespace");
    config = user_config("true");
    user_maps(config, json_pack("[o,o]", user_range(0, 1000, 10), user_range(9, 2000, 10)),
              json_pack("[o]", user_range(0, 1, 1)));
    expect_failure("mappings that overlap inside", config, 125,
                   "linux.uidMappings[1].containerID is in an earlier range");
    config = user_config("true");
    user_maps(config, json_pack("[o]", user_range(0, 1, 1)),
              json_pack("[o,o]", user_range(0, 1000, 10), user_range(50, 1009, 10)));
    expect_failure("mappings that overlap outside", config, 125,
                   "linux.gidMappings[1].hostID is in an earlier range");
    config = user_config("true");
    user_maps(config, json_pack("[o]", user_range(0, 1, 0)), json_pack("[o]", user_range(0, 1, 1)));
    expect_failure("a mapping of nothing", config, 125, "linux.uidMappings[0].size");
    config = user_config("true");
    json_object_set_new(process_of(config), "user",
                        json_pack("{s:i,s:i}", "uid", 100000, "gid", 0));
    expect_failure("a user that is not mapped", config, 125, "process.user.uid 100000");
    config = user_config("true");
    json_object_set_new(
        process_of(config), "user",
        json_pack("{s:i,s:i,s:[i,i]}", "uid", 0, "gid", 0, "additionalGids", 5, 70000));
    expect_failure("a group that is not mapped", config, 125, "process.user.additionalGids 70000");
    config = user_config("true");
    bundle_mount(config, "/m", "tmpfs", "tmpfs", "uid=99999");
    expect_failure("a tmpfs of an unmapped user", config, 125, "uid");
    config = user_config("true");
    bundle_namespace(config, "ipc", NULL);
    expect_failure("mqueue of a foreign ipc namespace", config, 125, "ipc namespace");
    config = bundle_config("true");
    bundle_namespace(config, "ipc", "/proc/self/ns/uts");
    expect_failure("a namespace of another kind", config, 125,
                   "/proc/self/ns/uts is not a ipc namespace");
    config = bundle_config("true");
    bundle_namespace(config, "ipc", "/dev/null");
    expect_failure("a namespace that is none", config, 125, "/dev/null is not a ipc namespace");
    config = bundle_config("true");
    bundle_namespace(config, "mount", "/proc/self/ns/mnt");
    expect_failure("the runtime's own mount namespace by path", config, 125,
                   "/proc/self/ns/mnt is the mount namespace of the runtime");
    config = bundle_config("cat /proc/self/uid_map | tr -s ' '");
    user_namespace_of(config, "/proc/self/ns/user");
    expect("the caller's own user namespace", config, 0, " 0 0 4294967295\n");
}

static void test_user_single(void) {
    json_t *config = user_config("id; touch /tmp/x; grep ^CapEff /proc/self/status");
    user_maps(config, json_pack("[o]", user_range(1000, USER_BASE, 1)),
              json_pack("[o]", user_range(1000, USER_BASE, 1)));
    json_object_set_new(process_of(config), "user",
                        json_pack("{s:i,s:i}", "uid", 1000, "gid", 1000));
    json_t *mounts = json_object_get(config, "mounts");
    json_t *options = json_object_get(json_array_get(mounts, 2), "options");
    json_array_remove(options, json_array_size(options) - 1);
    bundle_mount(config, "/tmp", "tmpfs", "tmpfs", "mode=777");
    expect("a single ID that is not root", config, 0,
           "uid=1000 gid=1000\nCapEff:\t0000000000000000\n");
    config = user_config("true");
    user_maps(config, json_pack("[o]", user_range(1000, USER_BASE, 1)),
              json_pack("[o]", user_range(1000, USER_BASE, 1)));
    /* The kernel's words, or, from kernels that have none, the mount's options. */
    struct run *run = run_all(config);
    const char *message = run_error(run);
    report("root that is not mapped",
           run->err != NULL && run->err->exit_code == 125 &&
               (strstr(message, "gid '5'") != NULL || strstr(message, "gid=5") != NULL),
           "%s", message);
}

/* A holder of a user namespace, as an engine pins one. */
static pid_t user_hold(char path[64], const char *map) {
    int ready[2];
    char byte = 0, maps[2][64];
    if (pipe2(ready, O_CLOEXEC) < 0)
        bundle_fail("pipe2");
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWUSER) == 0 && write(ready[1], "r", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        bundle_fail("unshare");
    close(ready[0]);
    snprintf(maps[0], 64, "/proc/%d/uid_map", (int)pid);
    snprintf(maps[1], 64, "/proc/%d/gid_map", (int)pid);
    for (int index = 0; index < 2; index++) {
        int fd = open(maps[index], O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, map, strlen(map)) < 0)
            bundle_fail(maps[index]);
        close(fd);
    }
    snprintf(path, 64, "/proc/%d/ns/user", (int)pid);
    return pid;
}

static void test_user_path(void) {
    char path[64];
    pid_t holder = user_hold(path, "0 300000 65536\n");
    json_t *config = bundle_config("cat /proc/self/uid_map | tr -s ' '; id");
    user_namespace_of(config, path);
    expect("user namespace of a path", config, 0, " 0 300000 65536\nuid=0 gid=0\n");
    config = bundle_config("cat /proc/self/uid_map | tr -s ' '");
    user_namespace_of(config, path);
    user_maps(config,
              json_pack("[o,o]", user_range(100, 300100, 65436), user_range(0, 300000, 100)),
              json_pack("[o]", user_range(0, 300000, 65536)));
    expect("user namespace of a path, and its mappings", config, 0, " 0 300000 65536\n");
    config = bundle_config("true");
    user_namespace_of(config, path);
    user_maps(config, json_pack("[o]", user_range(0, 300001, 65535)),
              json_pack("[o]", user_range(0, 300000, 65536)));
    expect_failure("user namespace of a path, and other mappings", config, 125,
                   "linux.uidMappings differ from those of");
    config = bundle_config("true");
    user_namespace_of(config, "/proc/self/ns/net");
    expect_failure("a user namespace of another kind", config, 125,
                   "/proc/self/ns/net is not a user namespace");
    config = bundle_config("ls /sys/class/net | wc -l | grep -v '^1$' | wc -l; "
                           "touch /sys/fs/cgroup/x 2>/dev/null || echo ro; "
                           "grep ' /sys sysfs' /proc/mounts | grep -c ro");
    user_namespace_of(config, path);
    bundle_namespace(config, "network", "/proc/self/ns/net");
    struct run *run = run_all(config);
    report("the host's network in a user namespace: its /sys, read-only",
           run->err == NULL && strstr(run->output, "ro\n1\n") != NULL, "%s \"%s\"", run_error(run),
           run->output);
    kill(holder, SIGKILL);
    run_wait(holder);
}

static void test_user_exec(void) {
    struct run run;
    json_t *config = user_config("sleep 1000");
    json_t *sets = json_object_get(process_of(config), "capabilities");
    const char *set;
    json_t *list;
    json_object_foreach(sets, set, list) json_array_append_new(list, json_string("CAP_SYS_PTRACE"));
    if (!run_begin(&run, config)) {
        report("exec in a user namespace", false, "%s", run_error(&run));
        json_decref(config);
        return;
    }
    json_t *process = bundle_process(config, "id; tr -s ' ' < /proc/self/uid_map | head -1; "
                                             "grep ^CapEff /proc/self/status; hostname; "
                                             "echo again > /dev/stdout; ls /proc/self/fd | wc -l");
    json_object_set_new(process, "user",
                        json_pack("{s:i,s:i,s:[i]}", "uid", 1001, "gid", 3, "additionalGids", 8));
    expect_exec("exec in a user namespace", &run, process, 0,
                "uid=1001 gid=3 groups=8\n 0 300000 1000\nCapEff:\t0000000000000000\nbox\nagain\n"
                "4\n");
    process = bundle_process(config, "tty; stty size; grep ^CapEff /proc/self/status");
    expect_exec("exec in a user namespace, with a terminal", &run, terminal_size(process), 0,
                "/dev/pts/0\r\n33 99\r\nCapEff:\t00000000a80c25fb\r\n");
    process = bundle_process(config, "true");
    json_object_set_new(process, "user", json_pack("{s:i,s:i}", "uid", 90000, "gid", 3));
    char got[64];
    int code;
    bool executed = run_exec(&run, process, got, sizeof(got), &code);
    report("exec of a user that is not mapped",
           !executed && strstr(run_error(&run), "process.user.uid 90000"), "%s", run_error(&run));
    error_free(run.err);
    run.err = NULL;
    kill(run.init.pid, SIGKILL);
    run_finish(&run);
    json_decref(config);
}

static void test_user_namespaces(void) {
    /* As an engine shows it: the container's root owns its root. */
    if (nftw(bundle_root, user_own_one, 16, FTW_PHYS | FTW_MOUNT) < 0)
        bundle_fail(bundle_root);
    test_user_basics();
    test_user_binds();
    test_user_refused();
    test_user_single();
    test_user_path();
    test_user_exec();
    /* Whoever may not look into the folders above still gets its root. */
    chmod(bundle_directory, 0700);
    expect("a root below a closed folder", user_config("id -u"), 0, "0\n");
    chmod(bundle_directory, 0755);
    if (nftw(bundle_root, user_disown_one, 16, FTW_PHYS | FTW_MOUNT) < 0)
        bundle_fail(bundle_root);
}

#endif
