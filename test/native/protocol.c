/*
 * The supervisor's side of the protocol on the fixtures in test/fixtures/protocol/: each command's
 * bytes, whole and one by one, do what they say; each event is encoded to the fixture's bytes. Runs
 * from the root of the repository, under the sanitizers.
 */
#define _GNU_SOURCE
#include "common/protocol.h"
#include "common/step_times.h"
#include "runtime/supervisor/attach.h"
#include "runtime/supervisor/control.h"
#include "runtime/supervisor/events.h"
#include "runtime/supervisor/process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { FIXTURE_MAX = 4096 };

static struct supervisor supervisor;
/* The daemon's end of the control connection. */
static int daemon_fd;

static size_t read_fixture(const char *name, unsigned char *bytes) {
    char path[256];
    snprintf(path, sizeof(path), "test/fixtures/protocol/%s.bin", name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    CHECK(file != NULL);
    size_t length = fread(bytes, 1, FIXTURE_MAX, file);
    fclose(file);
    return length;
}

static void run_loop(void) {
    while (loop_once(&supervisor.loop, 0))
        ;
}

static void send_bytes(const unsigned char *bytes, size_t length, int fd) {
    char ancillary[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {(void *)bytes, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = ancillary;
        message.msg_controllen = sizeof(ancillary);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof(int));
    }
    CHECK(sendmsg(daemon_fd, &message, 0) == (ssize_t)length);
    run_loop();
}

/* Sends a command, a byte at a time where `split`. The descriptor goes with the first byte. */
static void send_fixture(const char *name, bool split, int fd) {
    unsigned char bytes[FIXTURE_MAX];
    size_t length = read_fixture(name, bytes);
    if (!split) {
        send_bytes(bytes, length, fd);
        return;
    }
    for (size_t i = 0; i < length; i++)
        send_bytes(bytes + i, 1, i == 0 ? fd : -1);
}

/* The event that was sent last has the fixture's bytes. */
static void expect_event(const char *name) {
    unsigned char expected[FIXTURE_MAX];
    unsigned char got[FIXTURE_MAX];
    size_t length = read_fixture(name, expected);
    run_loop();
    ssize_t count = recv(daemon_fd, got, sizeof(got), MSG_DONTWAIT);
    if (count != (ssize_t)length || memcmp(got, expected, length) != 0)
        fprintf(stderr, "%s: got %.*s\n", name, count < 8 ? 0 : (int)count - 8, got + 8);
    CHECK(count == (ssize_t)length && memcmp(got, expected, length) == 0);
}

static void expect_nothing(void) {
    char byte;
    CHECK(recv(daemon_fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
}

/* The numbers of the fixture in the place of those that this process passes. */
static void test_steps(void) {
    unsigned char got[FIXTURE_MAX] = {0};
    setenv("MYDOCK_STEP_TIMES", "1", 1);
    step_times_begin();
    CHECK(getenv("MYDOCK_STEP_TIMES") == NULL);
    step_times_mark("launch/forked");
    pid_t child = fork();
    if (child == 0) {
        step_times_mark("init/filled");
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    events_steps(&supervisor);
    run_loop();
    CHECK(recv(daemon_fd, got, sizeof(got) - 1, MSG_DONTWAIT) > 8);
    json_t *payload = json_loads((const char *)got + 8, 0, NULL);
    const char *labels[2];
    int processes[2];
    json_int_t times[2];
    CHECK(json_unpack(payload, "{s:[{s:s, s:i, s:I}, {s:s, s:i, s:I}]!}", "steps", "label",
                      &labels[0], "process", &processes[0], "atUs", &times[0], "label", &labels[1],
                      "process", &processes[1], "atUs", &times[1]) == 0);
    CHECK(strcmp(labels[0], "launch/forked") == 0 && processes[0] == getpid());
    CHECK(strcmp(labels[1], "init/filled") == 0 && processes[1] == child);
    CHECK(times[0] > 1000000000000000 && times[1] >= times[0]);
    json_decref(payload);
    /* Taken once. */
    events_steps(&supervisor);
    expect_nothing();
    for (int count = 0; count < 2 * STEP_TIMES_MAX; count++)
        step_times_mark("launch/forked");
    struct step_time taken[STEP_TIMES_MAX];
    CHECK(step_times_take(taken) == STEP_TIMES_MAX && step_times_take(taken) == 0);
}

/* The last ends are told to a daemon that comes; of those before them there may be any number. */
static void test_unheard_ends(void) {
    static unsigned char got[64 * 1024];
    struct process *exec = process_new(&supervisor, "ended", NULL, false);
    exec->wait_status = 6 << 8;
    for (int count = 0; count < ENDED_EXECS_MAX + 3; count++) {
        events_exited(exec, false);
        run_loop();
        CHECK(recv(daemon_fd, got, sizeof(got), MSG_DONTWAIT) > 8);
    }
    events_status(&supervisor, supervisor.connections);
    run_loop();
    ssize_t count = recv(daemon_fd, got, sizeof(got), MSG_DONTWAIT);
    CHECK(count > 8);
    json_t *payload = json_loadb((const char *)got + 8, (size_t)count - 8, 0, NULL);
    const json_t *ended = json_object_get(payload, "ended");
    CHECK(json_array_size(ended) == ENDED_EXECS_MAX);
    const char *name;
    int exit_code;
    CHECK(json_unpack(json_array_get(ended, ENDED_EXECS_MAX - 1), "{s:s, s:i!}", "process", &name,
                      "exitCode", &exit_code) == 0);
    CHECK(strcmp(name, "ended") == 0 && exit_code == 6);
    json_decref(payload);
    process_free(exec);
}

static void test_events(void) {
    struct process *init = supervisor.init;
    struct process *exec = process_new(&supervisor, "exec-1", NULL, false);
    struct error *err = NULL;
    init->pid = 4242;
    init->started_at = (struct timespec){.tv_sec = 1795219158, .tv_nsec = 123456789};
    init->exited_at = (struct timespec){.tv_sec = 1795219200, .tv_nsec = 1};
    init->wait_status = SIGKILL;
    exec->pid = 4343;
    exec->state = PROCESS_ALIVE;
    supervisor.execs = exec;
    events_status(&supervisor, supervisor.connections);
    expect_event("status");
    events_started(init);
    expect_event("started");
    error_setf(&err, ENOENT, "exec", "/bin/\xc3\xa4\"\\", "exec /bin/\xc3\xa4\"\\: %s",
               strerror(ENOENT));
    err->exit_code = 127;
    events_failed(&supervisor, "exec-1", err);
    error_free(err);
    expect_event("failed");
    events_exited(init, true);
    expect_event("exited");
    events_detached(&supervisor, "", 7, "detached");
    expect_event("detached");
    events_oom(&supervisor);
    expect_event("oom");
    events_steps(&supervisor);
    expect_nothing();
    supervisor.execs = NULL;
    process_free(exec);
}

static void test_kill(bool split) {
    struct process *init = supervisor.init;
    init->pid = fork();
    if (init->pid == 0) {
        alarm(20);
        pause();
        _exit(0);
    }
    send_fixture("kill", split, -1);
    int status;
    CHECK(waitpid(init->pid, &status, 0) == init->pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void test_resize(bool split) {
    struct winsize size = {0};
    int console = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(console >= 0);
    supervisor.init->console_fd = console;
    send_fixture("resize", split, -1);
    CHECK(ioctl(console, TIOCGWINSZ, &size) == 0);
    CHECK(size.ws_row == 24 && size.ws_col == 80);
    supervisor.init->console_fd = -1;
    close(console);
}

/* The exec is declared; the container does not run, so its start fails. */
static void test_exec(bool split) {
    send_fixture("exec", split, -1);
    struct process *exec = process_find(&supervisor, "exec-1");
    CHECK(exec != NULL && exec->state == PROCESS_DECLARED && exec->input.wanted);
    const json_t *arguments = json_object_get(exec->spec, "args");
    CHECK(strcmp(json_string_value(json_array_get(arguments, 2)),
                 "echo \"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"") == 0);
    expect_nothing();
    send_fixture("startExec", split, -1);
    unsigned char got[FIXTURE_MAX];
    CHECK(recv(daemon_fd, got, sizeof(got), MSG_DONTWAIT) > 0 && got[0] == PROTOCOL_FAILED);
    CHECK(exec->state == PROCESS_REPORTED && process_find(&supervisor, "exec-1") == NULL);
    supervisor.execs = NULL;
    process_free(exec);
}

static void test_attach(bool split) {
    int sockets[2];
    int stdin_pipe[2];
    unsigned char got[64];
    struct process *init = supervisor.init;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
    CHECK(pipe2(stdin_pipe, O_CLOEXEC | O_NONBLOCK) == 0);
    init->input.watch.fd = stdin_pipe[1];
    init->input.wanted = true;
    send_fixture("attach", split, sockets[1]);
    close(sockets[1]);
    CHECK(read(stdin_pipe[0], got, sizeof(got)) == 5 && memcmp(got, "head\0", 5) == 0);
    attach_output(init, 1, (const unsigned char *)"text", 4);
    attach_output(init, 2, (const unsigned char *)"not asked for", 13);
    CHECK(recv(sockets[0], got, sizeof(got), MSG_DONTWAIT) == 12);
    CHECK(memcmp(got, "\1\0\0\0\0\0\0\4text", 12) == 0);
    CHECK(send(sockets[0], "in\x10", 3, 0) == 3);
    run_loop();
    CHECK(read(stdin_pipe[0], got, sizeof(got)) == 2);
    expect_nothing();
    send_fixture("detach", split, -1);
    expect_event("detached");
    CHECK(recv(sockets[0], got, sizeof(got), 0) == 0);
    attach_sweep(init);
    CHECK(init->attachments == NULL);
    loop_close(&supervisor.loop, &init->input.watch);
    init->input.wanted = false;
    close(sockets[0]);
    close(stdin_pipe[0]);
}

/* A second START is no error and starts nothing: here the container runs already. */
static void test_start(bool split) {
    send_fixture("start", split, -1);
    expect_nothing();
    CHECK(supervisor.connections != NULL && supervisor.state == SUPERVISOR_RUNNING);
}

int main(void) {
    int sockets[2];
    static char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
    CHECK(loop_open(&supervisor.loop, NULL) == 0);
    supervisor.listener.fd = -1;
    supervisor.state = SUPERVISOR_RUNNING;
    supervisor.config.id = id;
    supervisor.scratch = malloc(SUPERVISOR_SCRATCH_BYTES);
    supervisor.init = process_new(&supervisor, "", NULL, false);
    supervisor.init->state = PROCESS_ALIVE;
    daemon_fd = sockets[0];
    CHECK(control_add(&supervisor, sockets[1], true) != NULL);
    test_events();
    for (int split = 0; split < 2; split++) {
        test_start(split == 1);
        test_kill(split == 1);
        test_resize(split == 1);
        supervisor.init->state = PROCESS_DRAINED;
        test_exec(split == 1);
        supervisor.init->state = PROCESS_ALIVE;
        test_attach(split == 1);
    }
    /* The last: from there on marks are kept. */
    test_steps();
    test_unheard_ends();
    control_close_all(&supervisor);
    control_sweep(&supervisor);
    process_free(supervisor.init);
    free(supervisor.scratch);
    close(supervisor.loop.epoll_fd);
    close(daemon_fd);
    return 0;
}
