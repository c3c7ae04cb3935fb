/* The runtime's own file, which no container may write (self_exe.h). */
#ifndef MYDOCK_LAUNCH_SELF_CASES_H
#define MYDOCK_LAUNCH_SELF_CASES_H

#include "expect.h"
#include "runtime/launch/self_exe.h"
#include <signal.h>

/* What the copies of this program do: protect themselves or not, say so, and stay. */
static int self_hold(char **arguments) {
    struct error *err = NULL;
    if (strcmp(arguments[1], "protected") == 0 && self_exe_protect(arguments, &err) < 0) {
        printf("%s\n", err->message);
        return 1;
    }
    if (write(STDOUT_FILENO, "r", 1) != 1)
        return 1;
    pause();
    return 0;
}

/* Takes hold of /proc/PID/exe while the copy runs, and opens it for writing when nothing executes
 * it any more, as a container would. Returns errno, 0 where it could be opened. */
static int self_attack(const char *program, const char *mode) {
    char path[64], ready = 0;
    int output[2];
    if (pipe2(output, O_CLOEXEC) < 0)
        bundle_fail("pipe2");
    pid_t pid = fork();
    if (pid == 0) {
        dup2(output[1], STDOUT_FILENO);
        execl(program, program, mode, NULL);
        _exit(127);
    }
    close(output[1]);
    bool began = read(output[0], &ready, 1) == 1 && ready == 'r';
    close(output[0]);
    snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
    int held = open(path, O_PATH | O_CLOEXEC);
    kill(pid, SIGKILL);
    run_wait(pid);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
    int opened = open(path, O_WRONLY | O_CLOEXEC);
    int number = !began ? ECHILD : opened < 0 ? errno : 0;
    if (opened >= 0)
        close(opened);
    close(held);
    return number;
}

static void test_self_exe(void) {
    char program[PATH_MAX * 2];
    snprintf(program, sizeof(program), "%s/program", bundle_directory);
    bundle_copy("/proc/self/exe", program);
    int bare = self_attack(program, "bare"), protected = self_attack(program, "protected");
    report("an unprotected program's file can be opened", bare == 0, "%s", strerror(bare));
    report("a protected program's file cannot be opened", protected == EROFS, "%s",
           strerror(protected));
    unlink(program);
}

#endif
