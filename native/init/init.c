/*
 * mydock-init: process 1 of a container that was started with --init. Runs its arguments as a
 * child, hands signals on to it, reaps whatever the kernel re-parents to process 1, and ends with
 * the child's exit code (128+n after signal n). Usage: mydock-init [--] PROGRAM [ARGUMENT...].
 * Static, so that it runs in any image.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_USAGE = 125, EXIT_CANNOT_EXECUTE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL_BASE = 128 };

/* Signals that the kernel raises for a process's own faults stay with init; everything else is for
 * the child. */
static const int OWN_SIGNALS[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};

static void complain(const char *step, const char *object) {
    int number = errno;
    fprintf(stderr, "mydock-init: %s %s: %s\n", step, object, strerror(number));
}

/* Blocks all signals that init takes from its signalfd, and gives back the mask from before. */
static int block_signals(sigset_t *handled, sigset_t *before) {
    sigfillset(handled);
    for (size_t i = 0; i < sizeof OWN_SIGNALS / sizeof *OWN_SIGNALS; i++)
        sigdelset(handled, OWN_SIGNALS[i]);
    /* tcsetpgrp of a background process would stop it otherwise; the child gets the defaults back.
     */
    if (signal(SIGTTOU, SIG_IGN) == SIG_ERR || signal(SIGTTIN, SIG_IGN) == SIG_ERR)
        return -1;
    return sigprocmask(SIG_SETMASK, handled, before);
}

/* In the child: a process group of its own, in the foreground of the terminal where there is one.
 * Never returns. */
__attribute__((noreturn)) static void run_program(char *const *program, const sigset_t *mask) {
    if (setpgid(0, 0) != 0)
        complain("setpgid", program[0]);
    if (isatty(STDIN_FILENO) && tcsetpgrp(STDIN_FILENO, getpgrp()) != 0 && errno != ENOTTY &&
        errno != ENXIO)
        complain("tcsetpgrp", program[0]);
    signal(SIGTTOU, SIG_DFL);
    signal(SIGTTIN, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(program[0], program);
    int code = errno == ENOENT || errno == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
    complain("exec", program[0]);
    _exit(code);
}

/* Reaps everything that has ended. True when the child is among it; *code is its exit code then. */
static bool reap(pid_t child, int *code) {
    bool ended = false;
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            return ended;
        if (pid != child)
            continue;
        ended = true;
        *code = WIFSIGNALED(status) ? EXIT_SIGNAL_BASE + WTERMSIG(status) : WEXITSTATUS(status);
    }
}

/* Serves signals until the child has ended; returns the exit code. */
static int serve(int signals, pid_t child) {
    for (;;) {
        struct signalfd_siginfo info;
        ssize_t got = read(signals, &info, sizeof info);
        if (got < 0 && errno == EINTR)
            continue;
        if (got != (ssize_t)sizeof info) {
            complain("read", "signalfd");
            return EXIT_USAGE;
        }
        int code = 0;
        if (info.ssi_signo == SIGCHLD) {
            if (reap(child, &code))
                return code;
        } else if (kill(child, (int)info.ssi_signo) != 0 && errno != ESRCH) {
            complain("kill", strsignal((int)info.ssi_signo));
        }
    }
}

int main(int argc, char **argv) {
    int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;
    if (first >= argc) {
        fprintf(stderr, "usage: mydock-init [--] PROGRAM [ARGUMENT...]\n");
        return EXIT_USAGE;
    }
    sigset_t handled, before;
    if (block_signals(&handled, &before) != 0) {
        complain("sigprocmask", "");
        return EXIT_USAGE;
    }
    int signals = signalfd(-1, &handled, SFD_CLOEXEC);
    if (signals < 0) {
        complain("signalfd", "");
        return EXIT_USAGE;
    }
    pid_t child = fork();
    if (child < 0) {
        complain("fork", argv[first]);
        return EXIT_USAGE;
    }
    if (child == 0)
        run_program(argv + first, &before);
    return serve(signals, child);
}
