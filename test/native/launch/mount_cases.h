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

static void test_proc_and_sys(void) {
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
