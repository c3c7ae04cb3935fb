/* Mounts, devices, masks, and roots that are out to harm the host. */
#ifndef MYDOCK_LAUNCH_MOUNT_CASES_H
#define MYDOCK_LAUNCH_MOUNT_CASES_H

#include "expect.h"

static void test_mounts(void) {
    char host[4200], file[4300];
    snprintf(host, sizeof(host), "%s/host", bundle_directory);
    snprintf(file, sizeof(file), "%s/file", host);
    mkdir(host, 0755);
    close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    json_t *config = bundle_config("touch /x; touch /dev/shm/y && echo shm");
    json_object_set_new(json_object_get(config, "root"), "readonly", json_true());
    expect("read-only root", config, 0, "touch: /x: Read-only file system\nshm\n");
    config = bundle_config("touch /data/sub/new && ls /data/sub; echo text > /data/sub/file");
    bundle_mount(config, "/data/sub", "bind", host, "rbind,rprivate");
    expect("bind", config, 0, "file\nnew\n");
    config = bundle_config("cat /data/file; touch /data/file; grep ' /data ' /proc/mounts | "
                           "grep -o ' ro,nosuid,nodev,noexec'");
    bundle_mount(config, "/data", "bind", host, "rbind,ro,nosuid,nodev,noexec,rprivate");
    expect("read-only bind", config, 0,
           "text\ntouch: /data/file: Read-only file system\n ro,nosuid,nodev,noexec\n");
    config = bundle_config("cat /some/where/file");
    bundle_mount(config, "/some/where/file", "bind", file, "bind,ro");
    expect("bind of a file", config, 0, "text\n");
    config = bundle_config("stat -c %a /t; stat -c %a /tmp; grep -c 'size=1024k' /proc/mounts");
    bundle_mount(config, "/t", "tmpfs", "tmpfs", "mode=700,size=1024k,noexec");
    bundle_mount(config, "/tmp", "tmpfs", "tmpfs", "");
    expect("tmpfs", config, 0, "700\n755\n1\n");
    config = bundle_config("touch /t/x; ls /t");
    bundle_mount(config, "/t", "tmpfs", "tmpfs", "ro");
    bundle_mount(config, "/t/in", "tmpfs", "tmpfs", "");
    expect("read-only tmpfs with a mount inside", config, 0,
           "touch: /t/x: Read-only file system\nin\n");
    config = bundle_config("true");
    bundle_mount(config, "/t", "tmpfs", "tmpfs", "size=lots");
    expect_failure("tmpfs with a bad size", config, 125, "size");
    config = bundle_config("true");
    bundle_mount(config, "/proc/version", "bind", file, "bind");
    expect_failure("mount inside /proc", config, 125, "inside /proc");
    config = bundle_config("true");
    bundle_mount(config, "/x", "bind", "/no/such/source", "bind");
    expect_failure("missing bind source", config, 125, "/no/such/source");
    unlink(file);
    snprintf(file, sizeof(file), "%s/new", host);
    unlink(file);
    rmdir(host);
}

/* The options of the mount on /t as the kernel tells them. */
#define OPTIONS_SCRIPT "grep ' /t ' /proc/mounts | cut -d ' ' -f 4 | cut -d , -f 1-%d"

static void test_mount_options(void) {
    static const struct {
        const char *options, *kept;
    } cases[] = {
        {"ro,nosuid,nodev,noexec,noatime,nodiratime", "ro,nosuid,nodev,noexec,noatime,nodiratime"},
        {"ro,rw,nosuid,suid,nodev,dev,noexec,exec,noatime,atime", "rw,relatime"},
        {"strictatime,nosymfollow", "rw,nosymfollow"},
        {"noatime,nostrictatime", "rw,relatime"},
        {"strictatime,norelatime", "rw,relatime"},
        {"sync,dirsync,mand,nomand,lazytime,nolazytime,silent,loud,defaults,iversion,noiversion",
         "rw,sync,dirsync,relatime"},
        {"rro,rnosuid,rnodev,rnoexec,rnoatime", "ro,nosuid,nodev,noexec,noatime"},
        {"ro,nosuid,rrw,rsuid,rdev,rexec,rrelatime,rdiratime", "rw,relatime"},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        char script[160], expected[160], name[300];
        int count = 1;
        for (const char *letter = cases[index].kept; *letter != '\0'; letter++)
            count += *letter == ',';
        snprintf(script, sizeof(script), OPTIONS_SCRIPT, count);
        snprintf(expected, sizeof(expected), "%s\n", cases[index].kept);
        snprintf(name, sizeof(name), "mount options %s", cases[index].options);
        json_t *config = bundle_config(script);
        bundle_mount(config, "/t", "tmpfs", "tmpfs", cases[index].options);
        expect(name, config, 0, expected);
    }
    json_t *config = bundle_config("grep -E ' /(t|home) ' /proc/self/mountinfo | "
                                   "grep -o -E 'shared:|master:|unbindable' | tr -d ':0-9'");
    bundle_mount(config, "/t", "tmpfs", "tmpfs", "shared");
    bundle_mount(config, "/home", "tmpfs", "tmpfs", "runbindable");
    expect("propagation of mounts", config, 0, "shared\nunbindable\n");
    config = bundle_config("true");
    bundle_mount(config, "/t", "tmpfs", "tmpfs", "nonsense=1");
    expect_failure("an unknown mount option is the file system's", config, 125, "nonsense");
    config = bundle_config("grep -E ' /(t|t/u) ' /proc/mounts | cut -d ' ' -f 2,4 | "
                           "cut -d , -f 1-2");
    bundle_mount(config, "/t", "tmpfs", "tmpfs", "");
    bundle_mount(config, "/t/u", "tmpfs", "tmpfs", "");
    bundle_mount(config, "/t", "none", "none", "remount,ro,nosuid");
    expect("remount", config, 0, "/t ro,nosuid\n/t/u rw,relatime\n");
    config = bundle_config("true");
    bundle_mount(config, "/tmp", "none", "none", "bind,remount,ro");
    expect_failure("remount of nothing", config, 125, "nothing is mounted there");
    config = bundle_config("true");
    bundle_mount(config, "/dev", "tmpfs", "tmpfs", "remount,size=1m");
    expect_failure("remount of a file system", config, 125, "remount changes the options");
    config = bundle_config("true");
    json_object_set_new(bundle_at(config, "linux"), "mountLabel", json_string("u:r:t"));
    if (access("/sys/fs/selinux", F_OK) < 0)
        expect_failure("a mount label without SELinux", config, 125, "linux.mountLabel is u:r:t");
    else
        json_decref(config);
}

static void test_copy_up(void) {
    char path[PATH_MAX * 2], inside[PATH_MAX * 2 + 16];
    snprintf(path, sizeof(path), "%s/home/deep", bundle_root);
    mkdir(path, 0750);
    snprintf(inside, sizeof(inside), "%s/file", path);
    FILE *file = fopen(inside, "w");
    fputs("text\n", file);
    fclose(file);
    if (chown(inside, 7, 8) < 0 || chmod(inside, 04711) < 0)
        bundle_fail(inside);
    snprintf(inside, sizeof(inside), "%s/link", path);
    if (symlink("/etc/passwd", inside) < 0)
        bundle_fail(inside);
    json_t *config = bundle_config("cd /home; stat -c '%a %u:%g' deep deep/file; cat deep/file; "
                                   "readlink deep/link; echo new > deep/file; "
                                   "grep -c ' /home tmpfs' /proc/mounts");
    bundle_mount(config, "/home", "tmpfs", "tmpfs", "tmpcopyup,nosuid");
    expect("tmpcopyup", config, 0, "750 0:0\n4711 7:8\ntext\n/etc/passwd\n1\n");
    config = bundle_config("cat /home/deep/file");
    expect("tmpcopyup leaves the image alone", config, 0, "text\n");
    config = bundle_config("true");
    bundle_mount(config, "/home", "tmpfs", "tmpfs", "tmpcopyup,nr_inodes=2");
    expect_failure("tmpcopyup into a tmpfs that is too small", config, 125, "No space left");
    config = bundle_config("true");
    bundle_mount(config, "/home", "bind", "/tmp", "bind,tmpcopyup");
    expect_failure("tmpcopyup of a bind", config, 125, "tmpcopyup is for a tmpfs");
    unlink(inside);
    snprintf(inside, sizeof(inside), "%s/file", path);
    unlink(inside);
    rmdir(path);
}

static void test_root_propagation(void) {
    static const struct {
        const char *name, *root, *bind;
    } cases[] = {
        {"private", "-", "-"},           {"slave", "-", "-"},
        {"shared", "shared", "-"},       {"unbindable", "unbindable", "-"},
        {"rshared", "shared", "shared"}, {"runbindable", "unbindable", "unbindable"},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        char expected[64], name[64];
        snprintf(name, sizeof(name), "rootfsPropagation %s", cases[index].name);
        snprintf(expected, sizeof(expected), "%s\n%s\n", cases[index].root, cases[index].bind);
        json_t *config = bundle_config("for at in / /t; do awk -v at=$at '$5 == at { print $7 }' "
                                       "/proc/self/mountinfo | tr -d ':0-9'; done");
        bundle_mount(config, "/t", "tmpfs", "tmpfs", "private");
        json_object_set_new(bundle_at(config, "linux"), "rootfsPropagation",
                            json_string(cases[index].name));
        expect(name, config, 0, expected);
    }
}

static void test_proc_targets(void) {
    static const struct {
        const char *name, *destination, *type, *source, *options, *text;
    } refused[] = {
        {"a folder on /proc", "/proc", "bind", "/tmp", "bind", "is not of type proc"},
        {"a tmpfs on /proc", "/proc", "tmpfs", "tmpfs", "", "is not of type proc"},
        {"a folder on /tmp/../proc", "/tmp/../proc", "bind", "/tmp", "bind", "is not of type proc"},
        {"a tmpfs on /proc/sys", "/proc/sys", "tmpfs", "tmpfs", "", "inside /proc"},
        {"a file on /proc/self/attr/exec", "/proc/self/attr/exec", "bind", "/etc/hostname", "bind",
         "inside /proc"},
        {"a file on /proc/sys/kernel/core_pattern", "/proc/sys/kernel/core_pattern", "bind",
         "/etc/hostname", "bind", "inside /proc"},
    };
    for (size_t index = 0; index < sizeof(refused) / sizeof(refused[0]); index++) {
        json_t *config = bundle_config("true");
        bundle_mount(config, refused[index].destination, refused[index].type, refused[index].source,
                     refused[index].options);
        expect_failure(refused[index].name, config, 125, refused[index].text);
    }
    json_t *config = bundle_config("true");
    json_t *mounts = json_object_get(config, "mounts");
    json_object_set_new(json_array_get(mounts, 0), "type", json_string("tmpfs"));
    expect_failure("a tmpfs in place of /proc", config, 125, "is not of type proc");
    config = bundle_config("cat /proc/uptime; ls /proc/1/comm");
    bundle_mount(config, "/proc/uptime", "bind", "/dev/null", "bind");
    expect("a file on /proc/uptime", config, 0, "/proc/1/comm\n");
    config = bundle_config("ls /proc/1/comm");
    bundle_mount(config, "/proc", "bind", "/proc", "rbind");
    expect("a procfs on /proc", config, 0, "/proc/1/comm\n");
    config = bundle_config("ls /sys/fs/cgroup/cgroup.procs");
    mounts = json_object_get(config, "mounts");
    json_object_set_new(json_array_get(mounts, 4), "type", json_string("cgroup2"));
    struct run *run = run_all(config);
    report("cgroup2 by name",
           strcmp(run->output, "/sys/fs/cgroup/cgroup.procs\n") == 0 ||
               (run->err != NULL && strstr(run->err->message, "no cgroup v2") != NULL),
           "%s \"%s\"", run_error(run), run->output);
}

static void test_proc_and_sys(void) {
    test_mount_options();
    test_copy_up();
    test_root_propagation();
    test_proc_targets();
    expect("masked paths",
           bundle_config("cat /proc/keys; cat /proc/timer_list; ls /sys/firmware | wc -l"), 0,
           "0\n");
    expect("read-only paths",
           bundle_config("echo 1 > /proc/sys/kernel/panic; ls -d /proc/sys; chmod 700 /proc/irq"),
           1,
           "sh: can't create /proc/sys/kernel/panic: Read-only file system\n"
           "/proc/sys\nchmod: /proc/irq: Read-only file system\n");
    json_t *config =
        bundle_config("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax");
    json_object_set_new(bundle_at(config, "linux"), "sysctl",
                        json_pack("{s:s,s:s}", "net.ipv4.ip_unprivileged_port_start", "77",
                                  "kernel.msgmax", "9999"));
    expect("sysctl", config, 0, "77\n9999\n");
    expect("devices",
           bundle_config("cd /dev; stat -c '%n %F %t:%T %a' null zero full random urandom tty; "
                         "readlink fd; readlink stdin; readlink ptmx; head -c 3 /dev/zero | wc -c"),
           0,
           "null character special file 1:3 666\nzero character special file 1:5 666\n"
           "full character special file 1:7 666\nrandom character special file 1:8 666\n"
           "urandom character special file 1:9 666\ntty character special file 5:0 666\n"
           "/proc/self/fd\n/proc/self/fd/0\npts/ptmx\n3\n");
    expect("cgroup mount",
           bundle_config("cat /proc/self/cgroup | grep -v ':/$'; "
                         "test -e /sys/fs/cgroup/cgroup.procs || "
                         "test -e /sys/fs/cgroup/memory/cgroup.procs; echo $?; "
                         "touch /sys/fs/cgroup/x 2>/dev/null || echo ro"),
           0, "0\nro\n");
    config = bundle_config("cd /sys/fs/cgroup; cat memory/cgroup.procs 2>/dev/null || "
                           "cat cgroup.procs");
    bundle_namespace(config, "cgroup", NULL);
    struct run *run = run_all(config);
    report("cgroup mount without a namespace",
           run->exit_code == 0 && strncmp(run->output, "1\n", 2) == 0, "%s \"%s\"", run_error(run),
           run->output);
}

/* Runs with a directory of the root replaced by a symlink. Takes config; the result lives until the
 * next run. */
static struct run *run_with_link(const char *name, const char *target, json_t *config) {
    char path[PATH_MAX * 2];
    snprintf(path, sizeof(path), "%s/%s", bundle_root, name);
    if (rmdir(path) < 0 || symlink(target, path) < 0)
        bundle_fail(path);
    struct run *run = run_all(config);
    if (unlink(path) < 0 || mkdir(path, 0755) < 0)
        bundle_fail(path);
    return run;
}

static void test_hostile_links(void) {
    char host[PATH_MAX * 2];
    snprintf(host, sizeof(host), "%s/outside", bundle_directory);
    mkdir(host, 0755);
    json_t *config = bundle_config("ls -d /in/deep");
    bundle_mount(config, "/etc/in/deep", "tmpfs", "tmpfs", "");
    struct run *run = run_with_link("etc", "/../../../../..", config);
    report("mount target through /etc -> /../..",
           run->err == NULL && strcmp(run->output, "/in/deep\n") == 0, "%s, \"%s\"", run_error(run),
           run->output);
    snprintf(host, sizeof(host), "%s/rootfs/in", bundle_directory);
    report("the target was made inside", access(host, F_OK) == 0, "%s is missing", host);
    snprintf(host, sizeof(host), "%s/rootfs/in/deep", bundle_directory);
    rmdir(host);
    snprintf(host, sizeof(host), "%s/rootfs/in", bundle_directory);
    rmdir(host);

    /* The same path exists outside and not inside: it must be made inside. */
    snprintf(host, sizeof(host), "%s/outside", bundle_directory);
    config = bundle_config("ls /dev/null");
    run = run_with_link("dev", host, config);
    report("/dev -> a folder of the host",
           run->err == NULL && strcmp(run->output, "/dev/null\n") == 0, "%s, \"%s\"",
           run_error(run), run->output);
    report("the host's folder is untouched", rmdir(host) == 0, "%s: %s", host, strerror(errno));

    config = bundle_config("true");
    bundle_mount(config, "/var/8/x", "tmpfs", "tmpfs", "");
    run = run_with_link("var", "/proc/self/fd", config);
    report("mount target through /proc/self/fd", run->err != NULL && run->err->exit_code == 125,
           "%s, \"%s\"", run_error(run), run->output);
    run = run_with_link("proc", "/tmp", bundle_config("true"));
    report("/proc -> /tmp", run->err != NULL && strstr(run->err->message, "ordinary directory"),
           "%s", run_error(run));
    run = run_with_link("sys", "/tmp", bundle_config("true"));
    report("/sys -> /tmp", run->err != NULL && strstr(run->err->message, "ordinary directory"),
           "%s", run_error(run));
    for (int fd = 3; fd < 16; fd++) {
        char name[64], directory[32];
        snprintf(directory, sizeof(directory), "/proc/self/fd/%d", fd);
        snprintf(name, sizeof(name), "cwd %s", directory);
        config = bundle_config("pwd");
        json_object_set_new(process_of(config), "cwd", json_string(directory));
        expect_failure(name, config, 126, directory);
    }
}

#endif
