/* SCMP_ACT_NOTIFY: an agent gets the listeners of an init and of its execs, and answers. */
#ifndef MYDOCK_LAUNCH_FILTER_LISTENER_CASES_H
#define MYDOCK_LAUNCH_FILTER_LISTENER_CASES_H

#include "expect.h"
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define AGENT_LISTENERS 16

static char agent_path[PATH_MAX + 16], agent_log[PATH_MAX + 16];

static int agent_bind(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(agent_path, sizeof(agent_path), "%s/agent", bundle_directory);
    snprintf(agent_log, sizeof(agent_log), "%s/agent.log", bundle_directory);
    snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", agent_path);
    unlink(agent_path);
    unlink(agent_log);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0) {
        perror("agent");
        exit(2);
    }
    return fd;
}

/* One connection: its text goes to the log, a line each; returns the listener. */
static int agent_accept(int socket_fd) {
    char text[8192], control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {text, sizeof(text) - 1};
    struct msghdr packet = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    int fd = accept(socket_fd, NULL, NULL), listener = -1;
    ssize_t got = recvmsg(fd, &packet, 0);
    struct cmsghdr *item = CMSG_FIRSTHDR(&packet);
    if (got > 0 && item != NULL && item->cmsg_type == SCM_RIGHTS)
        memcpy(&listener, CMSG_DATA(item), sizeof(int));
    text[got < 0 ? 0 : got] = '\0';
    FILE *log = fopen(agent_log, "a");
    fprintf(log, "%s\n", text);
    fclose(log);
    close(fd);
    return listener;
}

/* EBUSY for the kinds of mkdir; everything else goes on. */
static void agent_answer(int listener) {
    struct seccomp_notif question;
    struct seccomp_notif_resp answer;
    memset(&question, 0, sizeof(question));
    memset(&answer, 0, sizeof(answer));
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) < 0)
        return;
    answer.id = question.id;
    bool refused = question.data.nr == SYS_mkdirat;
#ifdef SYS_mkdir
    refused = refused || question.data.nr == SYS_mkdir;
#endif
    if (refused)
        answer.error = -EBUSY;
    else
        answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

static void agent_run(int socket_fd) {
    struct pollfd watched[1 + AGENT_LISTENERS] = {{socket_fd, POLLIN, 0}};
    nfds_t count = 1;
    while (poll(watched, count, 60000) > 0) {
        for (nfds_t index = 1; index < count; index++) {
            if ((watched[index].revents & POLLIN) != 0)
                agent_answer(watched[index].fd);
            else if (watched[index].revents != 0)
                watched[index].fd = -1;
        }
        if ((watched[0].revents & POLLIN) != 0 && count < 1 + AGENT_LISTENERS)
            watched[count++] = (struct pollfd){agent_accept(socket_fd), POLLIN, 0};
    }
    _exit(0);
}

/* Asks about what the launching processes themselves use between the filter and their exec. */
static void agent_profile(json_t *config, const char *path) {
    json_t *seccomp =
        json_pack("{s:s,s:s,s:s,s:[s],s:[{s:s,s:[s,s,s,s,s,s,s,s,s,s,s]}]}", "defaultAction",
                  "SCMP_ACT_ALLOW", "listenerPath", path, "listenerMetadata", "for the agent",
                  "flags", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "syscalls", "action",
                  "SCMP_ACT_NOTIFY", "names", "mkdir", "mkdirat", "read", "sendmsg", "recvmsg",
                  "capset", "prctl", "close", "execve", "clone", "accept4");
    json_object_set_new(json_object_get(config, "linux"), "seccomp", seccomp);
}

/* Line number of the log says all of this. */
static void expect_told(const char *name, int number, const char *id, pid_t pid,
                        const char *status) {
    char line[8192] = "";
    FILE *log = fopen(agent_log, "r");
    for (int index = 0; log != NULL && index <= number; index++) {
        if (fgets(line, sizeof(line), log) == NULL)
            line[0] = '\0';
    }
    if (log != NULL)
        fclose(log);
    json_t *told = json_loads(line, 0, NULL);
    json_t *state = json_object_get(told, "state");
    const char *got_status = json_string_value(json_object_get(state, "status"));
    const char *got_id = json_string_value(json_object_get(state, "id"));
    const char *metadata = json_string_value(json_object_get(told, "metadata"));
    const char *fd = json_string_value(json_array_get(json_object_get(told, "fds"), 0));
    json_int_t got_pid = json_integer_value(json_object_get(told, "pid"));
    report(name,
           got_status != NULL && strcmp(got_status, status) == 0 && got_id != NULL &&
               strcmp(got_id, id) == 0 && metadata != NULL &&
               strcmp(metadata, "for the agent") == 0 && fd != NULL &&
               strcmp(fd, "seccompFd") == 0 && (pid == 0 ? got_pid > 0 : got_pid == pid),
           "%s", line);
    json_decref(told);
}

static void expect_asked(const char *name, struct run *run, json_t *process) {
    char got[4096] = "";
    int code = -1;
    bool executed = run_exec(run, process, got, sizeof(got), &code);
    report(name, executed && strstr(got, "resource busy") != NULL,
           "%s, exit code %d, output \"%s\"", run_error(run), code, got);
}

static void listener_case(const char *name, bool no_new_privileges, bool tracer) {
    char title[128];
    struct run run;
    json_t *config = bundle_config(
        "rm -f /tmp/end; mkdir /tmp/asked; while [ ! -e /tmp/end ]; do sleep 0.05; done");
    agent_profile(config, agent_path);
    json_object_set_new(process_of(config), "noNewPrivileges", json_boolean(no_new_privileges));
    if (tracer) {
        json_t *sets = json_object_get(process_of(config), "capabilities");
        const char *set;
        json_t *names;
        json_object_foreach(sets, set, names)
            json_array_append_new(names, json_string("CAP_SYS_PTRACE"));
    }
    unlink(agent_log);
    bool begun = run_begin(&run, config);
    snprintf(title, sizeof(title), "%s: starts", name);
    report(title, begun, "%s", run_error(&run));
    if (begun) {
        const char *slash = strrchr(bundle_directory, '/');
        snprintf(title, sizeof(title), "%s: the agent is told of the init", name);
        expect_told(title, 0, slash + 1, run.init.pid, "creating");
        snprintf(title, sizeof(title), "%s: an exec is asked about", name);
        expect_asked(title, &run, bundle_process(config, "mkdir /tmp/exec"));
        snprintf(title, sizeof(title), "%s: the agent is told of the exec", name);
        expect_told(title, 1, slash + 1, 0, "running");
        char got[64];
        int code;
        run_exec(&run, bundle_process(config, ": > /tmp/end"), got, sizeof(got), &code);
        run_finish(&run);
        snprintf(title, sizeof(title), "%s: the init is asked about", name);
        report(title, run.exit_code == 0 && strstr(run.output, "resource busy") != NULL,
               "exit code %d, output \"%s\"", run.exit_code, run.output);
    }
    error_free(run.err);
    json_decref(config);
}

static void test_filter_listener(void) {
    int socket_fd = agent_bind();
    pid_t agent = fork();
    if (agent == 0)
        agent_run(socket_fd);
    close(socket_fd);
    listener_case("notify", false, false);
    listener_case("notify with noNewPrivileges", true, false);
    listener_case("notify beside a tracer", false, true);
    kill(agent, SIGKILL);
    run_wait(agent);
    json_t *config = bundle_config("true");
    agent_profile(config, agent_path);
    expect_failure("notify without an agent", config, 125, "connect to the seccomp agent at");
    unlink(agent_path);
}

#endif
