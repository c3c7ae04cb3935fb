/*
 * Running another runtime's program, without one: what it inherits, its time limit, and what
 * becomes of its words. Runs under the sanitizers.
 */
#define _GNU_SOURCE
#include "runtime/foreign/call.h"
#include "runtime/foreign/message.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static int run_shell(char *script, const struct launch_stdio *stdio, int limit_ms,
                     struct error **err) {
    char *arguments[] = {"/bin/sh", "-c", script, NULL};
    int status = -1;
    pid_t pid = call_start(arguments, stdio, err);
    CHECK(pid > 0);
    return call_wait(pid, limit_ms, &status, err) == 0 ? status : -1;
}

/* PATH alone (the shell adds PWD and the like itself), no descriptor of ours, no blocked signal. */
static void test_inheritance(void) {
    struct error *err = NULL;
    int inherited = open("/dev/null", O_RDONLY);
    setenv("SECRET", "1", 1);
    CHECK(inherited > 2);
    CHECK(run_shell("[ -z \"$SECRET\" ] && [ -n \"$PATH\" ]", NULL, 20000, &err) == 0);
    char script[128];
    snprintf(script, sizeof(script), "[ ! -e /proc/$$/fd/%d ]", inherited);
    CHECK(run_shell(script, NULL, 20000, &err) == 0);
    CHECK(run_shell("grep -q '^SigBlk:.*0000000000000000$' /proc/self/status", NULL, 20000, &err) ==
          0);
    CHECK(WEXITSTATUS(run_shell("exit 7", NULL, 20000, &err)) == 7);
    close(inherited);
}

static void test_limit(void) {
    struct error *err = NULL;
    CHECK(run_shell("sleep 1000 & sleep 1000", NULL, 100, &err) == -1);
    CHECK(err != NULL && err->number == ETIMEDOUT);
    error_free(err);
}

static void test_missing(void) {
    struct error *err = NULL;
    char *arguments[] = {"/nowhere/runtime", NULL};
    CHECK(call_start(arguments, NULL, &err) < 0);
    CHECK(err->number == ENOENT && strstr(err->message, "fork/exec /nowhere/runtime") != NULL);
    error_free(err);
}

static void expect_message(const char *log, const char *said, int exit_code, const char *message) {
    char path[] = "/tmp/mydock-message-XXXXXX";
    struct error *err = NULL;
    int ends[2];
    int fd = mkstemp(path);
    CHECK(fd >= 0 && pipe2(ends, O_CLOEXEC) == 0);
    CHECK(write(fd, log, strlen(log)) == (ssize_t)strlen(log));
    CHECK(write(ends[1], said, strlen(said)) == (ssize_t)strlen(said));
    CHECK(message_set(path, ends[1], 1 << 8, "runtime create", "crun", &err) == -1);
    CHECK(err != NULL && err->exit_code == exit_code);
    if (strcmp(err->message, message) != 0)
        fprintf(stderr, "%s\n", err->message);
    CHECK(strcmp(err->message, message) == 0);
    error_free(err);
    close(fd);
    close(ends[0]);
    close(ends[1]);
    unlink(path);
}

static void test_messages(void) {
    expect_message("{\"level\":\"error\",\"msg\":\"first\"}\n"
                   "{\"level\":\"error\",\"msg\":\"exec: \\\"x\\\": executable file not found\"}\n"
                   "{\"level\":\"debug\",\"msg\":\"after\"}\n",
                   "", 127, "exec: \"x\": executable file not found");
    expect_message("{\"level\":\"error\",\"msg\":\"open: Permission denied\"}\n", "unheard", 126,
                   "open: Permission denied");
    /* Cut lines, lines that are no objects of a log, a log without errors. */
    expect_message("{\"level\":\"error\",\"msg\":\n{\"level\":1,\"msg\":[]}\n", "said\nat last\n",
                   125, "at last");
    expect_message("plain text\n\n", "", 125, "plain text");
    expect_message("", "", 125, "crun ended with exit status 1, and said nothing");
    char *large = malloc(300001);
    CHECK(large != NULL);
    memset(large, 'x', 300000);
    memcpy(large + 299980, "\nthe end of it all\n\n", 20);
    large[300000] = '\0';
    expect_message(large, "", 125, "the end of it all");
    free(large);
}

int main(void) {
    test_inheritance();
    test_limit();
    test_missing();
    test_messages();
    return 0;
}
