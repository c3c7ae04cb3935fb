/* launch_exec in a running container, and terminals. */
#ifndef MYDOCK_LAUNCH_EXEC_CASES_H
#define MYDOCK_LAUNCH_EXEC_CASES_H

#include "expect.h"
#include "process_cases.h"
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static json_t *terminal_size(json_t *process) {
    json_object_set_new(process, "terminal", json_true());
    json_object_set_new(process, "consoleSize", json_pack("{s:i,s:i}", "height", 33, "width", 99));
    return process;
}

static void test_terminal(void) {
    json_t *config = bundle_config("tty; stty size; test -c /dev/console && echo console; "
                                   "stat -c %u /dev/pts/0; echo hi > /dev/tty");
    terminal_size(process_of(config));
    json_object_set_new(process_of(config), "user", json_pack("{s:i,s:i}", "uid", 9, "gid", 9));
    expect("terminal", config, 0, "/dev/pts/0\r\n33 99\r\nconsole\r\n9\r\nhi\r\n");
    config = bundle_config("tty");
    terminal_size(process_of(config));
    json_t *mounts = json_object_get(config, "mounts");
    json_array_remove(mounts, 2);
    expect_failure("terminal without devpts", config, 125, "/dev/pts/ptmx");
}

static void expect_exec(const char *name, struct run *run, json_t *process, int exit_code,
                        const char *output) {
    char got[4096] = "";
    int code = -1;
    bool executed = run_exec(run, process, got, sizeof(got), &code);
    report(name, executed && code == exit_code && strcmp(got, output) == 0,
           "%s, exit code %d, output \"%s\"", run_error(run), code, got);
}

static void test_exec_fails(struct run *run, const json_t *config) {
    char got[64];
    int code;
    json_t *process = bundle_process(config, "");
    json_object_set_new(process, "args", json_pack("[s]", "nope"));
    bool executed = run_exec(run, process, got, sizeof(got), &code);
    report("exec: not found", !executed && run->err->exit_code == 127, "%s", run_error(run));
    process = bundle_process(config, "true");
    json_object_set_new(process, "cwd", json_string("/proc/1/cwd/../../nowhere"));
    executed = run_exec(run, process, got, sizeof(got), &code);
    report("exec: missing cwd", !executed && run->err->exit_code == 126, "%s", run_error(run));
    process = bundle_process(config, "true");
    json_object_set_new(process, "args", json_string("sh"));
    executed = run_exec(run, process, got, sizeof(got), &code);
    report("exec: wrong type is named",
           !executed && strstr(run->err->message, "process.args must be"), "%s", run_error(run));
}

/* True where the process shows the capability among its permitted ones. */
static bool exec_has_capability(const char *status_path, int capability) {
    char text[2048];
    int fd = open(status_path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[length < 0 ? 0 : length] = '\0';
    const char *line = strstr(text, "CapPrm:");
    return line != NULL && (strtoull(line + 7, NULL, 16) >> capability & 1) != 0;
}

/* Looks at the container's procfs until a process other than its init has CAP_SYS_ADMIN. */
static pid_t exec_watch(pid_t init) {
    pid_t watcher = fork();
    while (watcher == 0) {
        for (int pid = 2; pid < 2 + 40; pid++) {
            char path[64];
            snprintf(path, sizeof(path), "/proc/%d/root/proc/%d/status", init, pid);
            if (exec_has_capability(path, CAP_SYS_ADMIN))
                _exit(1);
        }
    }
    return watcher;
}

/* With CAP_SYS_PTRACE the container could take over whatever process of it is seen here. */
static void test_exec_exposed(void) {
    struct run run;
    json_t *config = bundle_config("sleep 1000"), *list;
    const char *set;
    json_object_foreach(json_object_get(process_of(config), "capabilities"), set, list)
        json_array_append_new(list, json_string("CAP_SYS_PTRACE"));
    if (!run_begin(&run, config)) {
        report("exec beside a tracer", false, "%s", run_error(&run));
        json_decref(config);
        return;
    }
    pid_t watcher = exec_watch(run.init.pid);
    bool executed = true;
    for (int round = 0; round < 40; round++) {
        char got[64] = "";
        int code = -1;
        executed = run_exec(&run, bundle_process(config, "true"), got, sizeof(got), &code) &&
                   code == 0 && executed;
    }
    json_t *process = bundle_process(config, "tty; stty size; id; echo hi > /dev/tty");
    json_object_set_new(process, "user", json_pack("{s:i,s:i}", "uid", 1000, "gid", 1000));
    expect_exec("exec beside a tracer, with a terminal", &run, terminal_size(process), 0,
                "/dev/pts/0\r\n33 99\r\nuid=1000 gid=1000\r\nhi\r\n");
    int status = 0;
    kill(watcher, SIGKILL);
    waitpid(watcher, &status, 0);
    report("exec beside a tracer", executed && WIFSIGNALED(status), "%s",
           executed ? "it saw a process with the host's capabilities" : run_error(&run));
    kill(run.init.pid, SIGKILL);
    run_finish(&run);
    json_decref(config);
}

/* The init of another container comes into the pid namespace of one that stops it. */
static void test_init_stopped(pid_t stopper) {
    struct run run;
    char path[64];
    size_t index;
    json_t *config = bundle_config("sleep 1000"), *one;
    char group[256];
    json_t *linux_part = bundle_at(config, "linux");
    snprintf(path, sizeof(path), "/proc/%d/ns/pid", stopper);
    snprintf(group, sizeof(group), "%s-beside",
             json_string_value(json_object_get(linux_part, "cgroupsPath")));
    json_object_set_new(linux_part, "cgroupsPath", json_string(group));
    json_array_foreach(json_object_get(linux_part, "namespaces"), index, one) {
        if (strcmp(json_string_value(json_object_get(one, "type")), "pid") == 0)
            json_object_set_new(one, "path", json_string(path));
    }
    bool clear = true;
    for (int round = 0; round < 3 && clear; round++) {
        alarm(60);
        if (run_begin(&run, config)) {
            kill(run.init.pid, SIGKILL);
            run_finish(&run);
        } else {
            clear = run.err != NULL && run.err->number == ETIMEDOUT;
        }
        alarm(0);
    }
    report("start that is stopped", clear, "%s", run_error(&run));
    error_free(run.err);
    json_decref(config);
}

/* The init stops everybody else of its pid namespace, on and on: an exec is told to go on, or given
 * up with an error, and the caller is free for the container's end. */
static void test_exec_stopped(void) {
    struct run run;
    json_t *config = bundle_config("while :; do kill -STOP -1; done");
    if (!run_begin(&run, config)) {
        report("exec that is stopped", false, "%s", run_error(&run));
        json_decref(config);
        return;
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), given_up = 0, unclear = 0;
    struct launch_stdio stdio = {null, null, null};
    for (int round = 0; round < 3; round++) {
        struct launch_process child;
        struct error *err = NULL;
        json_t *process = bundle_process(config, "true");
        alarm(60);
        if (launch_exec(run.container, process, &stdio, &child, &err) == 0) {
            kill(child.pid, SIGKILL);
            run_wait(child.pid);
        } else if (err != NULL && err->number == ETIMEDOUT && strstr(err->message, "stops")) {
            given_up++;
        } else {
            fprintf(stderr, "%s\n", err == NULL ? "no error" : err->message);
            unclear++;
        }
        alarm(0);
        error_free(err);
        json_decref(process);
    }
    close(null);
    test_init_stopped(run.init.pid);
    kill(run.init.pid, SIGKILL);
    run_finish(&run);
    report("exec that is stopped",
           unclear == 0 && waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD,
           "%d unclear, %d given up, or a child was left", unclear, given_up);
    json_decref(config);
}

static void test_exec(void) {
    struct run run;
    json_t *config = bundle_config("hostname; sleep 1000");
    if (!run_begin(&run, config)) {
        report("exec", false, "%s", run_error(&run));
        json_decref(config);
        return;
    }
    json_t *process = bundle_process(config, "hostname; readlink /proc/1/root; "
                                             "test -x /bin/busybox && echo root; "
                                             "test $(readlink /proc/self/ns/cgroup) = "
                                             "$(readlink /proc/1/ns/cgroup) && echo same; exit 7");
    expect_exec("exec", &run, process, 7, "box\n/\nroot\nsame\n");
    process = bundle_process(config, "grep ^Seccomp: /proc/self/status; id; "
                                     "ls /proc/self/fd | wc -l; cat /proc/self/cgroup | "
                                     "grep -c -v ':/$'");
    json_object_set_new(process, "user", json_pack("{s:i,s:i}", "uid", 1000, "gid", 1000));
    expect_exec("exec confined", &run, process, 1, "Seccomp:\t2\nuid=1000 gid=1000\n4\n0\n");
    process = bundle_process(config, "tty; stty size");
    terminal_size(process);
    expect_exec("exec with a terminal", &run, process, 0, "/dev/pts/0\r\n33 99\r\n");
    process = bundle_process(config, SCHEDULING_SCRIPT "; ionice; grep Cpus_allowed_list "
                                                       "/proc/self/status");
    json_object_set_new(process, "scheduler", json_pack("{s:s}", "policy", "SCHED_IDLE"));
    json_object_set_new(process, "ioPriority", json_pack("{s:s}", "class", "IOPRIO_CLASS_IDLE"));
    json_object_set_new(process, "execCPUAffinity",
                        json_pack("{s:s,s:s}", "initial", "0-4000", "final", "0"));
    json_object_set_new(process, "user", json_pack("{s:i,s:i}", "uid", 1000, "gid", 1000));
    expect_exec("exec with a scheduler and processors", &run, process, 0,
                "nice 0 priority 0 policy 5\nidle\nCpus_allowed_list:\t0\n");
    process = bundle_process(config, "true");
    json_object_set_new(process, "execCPUAffinity", json_pack("{s:s}", "final", "8191"));
    char refused[64];
    int status;
    report("exec on processors that are not there",
           !run_exec(&run, process, refused, sizeof(refused), &status) &&
               strstr(run_error(&run), "process.execCPUAffinity.final to 8191") != NULL,
           "%s", run_error(&run));
    process = bundle_process(config, "kill -9 $$");
    expect_exec("exec killed", &run, process, 137, "");
    test_exec_fails(&run, config);
    kill(run.init.pid, SIGKILL);
    siginfo_t information;
    waitid(P_PID, (id_t)run.init.pid, &information, WEXITED | WNOWAIT);
    char got[64];
    int code;
    bool executed = run_exec(&run, bundle_process(config, "true"), got, sizeof(got), &code);
    report("exec after the end", !executed && run.err->exit_code == 125, "%s", run_error(&run));
    error_free(run.err);
    run.err = NULL;
    run_finish(&run);
    report("output of the init", run.exit_code == 137 && strcmp(run.output, "box\n") == 0,
           "exit code %d, \"%s\"", run.exit_code, run.output);
    json_decref(config);
}

/* A session keyring that shows itself to nobody but its possessors; its number as in /proc/keys. */
static void keyring_make(char number[16]) {
    long serial = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    syscall(SYS_keyctl, KEYCTL_SETPERM, serial, 0x3f000000);
    snprintf(number, 16, "%08lx", serial);
}

static void test_keyring(void) {
    struct run run;
    char number[16], script[128], own[128];
    keyring_make(number);
    snprintf(own, sizeof(own), "grep -q %s /proc/keys", number);
    report("the test's own keyring is seen", system(own) == 0, "%s", own);
    snprintf(script, sizeof(script), "grep -c %s /proc/keys; sleep 1000", number);
    json_t *config = bundle_config(script);
    json_object_del(bundle_at(config, "linux"), "maskedPaths");
    if (!run_begin(&run, config)) {
        report("keyring", false, "%s", run_error(&run));
        json_decref(config);
        return;
    }
    expect_exec("session keyring of an exec", &run, bundle_process(config, own), 1, "");
    kill(run.init.pid, SIGKILL);
    run_finish(&run);
    report("session keyring", strcmp(run.output, "0\n") == 0, "the container sees %s: \"%s\"",
           number, run.output);
    json_decref(config);
}

#endif
