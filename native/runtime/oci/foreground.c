/* See foreground.h. */
#define _GNU_SOURCE
#include "foreground.h"
#include "../../common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>

enum {
    /* What is left in a terminal after the process's end has this long to come, each time. */
    DRAIN_MS = 100,
    /* A pipe that is ready takes this much without blocking. */
    CHUNK_BYTES = 4096,
};

/* One direction of the terminal. */
struct flow {
    int from, to;
    char bytes[CHUNK_BYTES];
    size_t start, end;
    bool over;
};

static bool terminal_changed;
static struct termios terminal_before;

int foreground_begin(struct foreground *foreground, struct error **err) {
    sigset_t all;
    sigfillset(&all);
    static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    for (size_t index = 0; index < sizeof(own) / sizeof(own[0]); index++)
        sigdelset(&all, own[index]);
    foreground->signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (foreground->signal_fd < 0 || sigprocmask(SIG_SETMASK, &all, NULL) < 0)
        return error_set(err, errno, "take", "signals");
    return 0;
}

static void foreground_raw(void) {
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &terminal_before) < 0)
        return;
    raw = terminal_before;
    cfmakeraw(&raw);
    terminal_changed = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void foreground_restore(void) {
    if (terminal_changed)
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
    terminal_changed = false;
}

static void foreground_resize(int console_fd) {
    struct winsize size;
    if (console_fd >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
        ioctl(console_fd, TIOCSWINSZ, &size);
}

/* Reaps everybody who has ended; true with *status set once pid is among them. */
static bool foreground_reap(pid_t pid, int *status) {
    bool ended = false;
    for (;;) {
        int one = 0;
        pid_t waited = waitpid(-1, &one, WNOHANG);
        if (waited < 0 && errno == EINTR)
            continue;
        if (waited <= 0)
            return ended;
        if (waited == pid) {
            *status = one;
            ended = true;
        }
    }
}

/* Not passed on: what only this process is meant by, and what its death makes superfluous. */
static void foreground_pass_on(const struct signalfd_siginfo *got, pid_t pid, int console_fd) {
    int number = (int)got->ssi_signo;
    if (number == SIGWINCH)
        foreground_resize(console_fd);
    else if (number != SIGCHLD && number != SIGPIPE && number != SIGTTIN && number != SIGTTOU)
        kill(pid, number);
}

static bool foreground_heed_signals(const struct foreground *foreground, pid_t pid, int console_fd,
                                    int *status) {
    struct signalfd_siginfo got;
    bool child = false;
    while (read(foreground->signal_fd, &got, sizeof(got)) == (ssize_t)sizeof(got)) {
        child = child || got.ssi_signo == SIGCHLD;
        foreground_pass_on(&got, pid, console_fd);
    }
    return child && foreground_reap(pid, status);
}

static void flow_read(struct flow *flow) {
    ssize_t got = read(flow->from, flow->bytes, sizeof(flow->bytes));
    flow->start = 0;
    flow->end = got > 0 ? (size_t)got : 0;
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        flow->over = true;
}

static void flow_write(struct flow *flow) {
    ssize_t put = write(flow->to, flow->bytes + flow->start, flow->end - flow->start);
    if (put > 0)
        flow->start += (size_t)put;
    else if (put < 0 && errno != EAGAIN && errno != EINTR)
        flow->over = true;
}

static void flow_want(const struct flow *flow, struct pollfd *poll_fd) {
    bool full = flow->start < flow->end;
    *poll_fd = (struct pollfd){.fd = flow->over ? -1
                                     : full     ? flow->to
                                                : flow->from,
                               .events = full ? POLLOUT : POLLIN};
}

static void flow_go_on(struct flow *flow, const struct pollfd *poll_fd) {
    if (flow->over || poll_fd->revents == 0)
        return;
    if (flow->start < flow->end)
        flow_write(flow);
    else
        flow_read(flow);
}

/* The output that the process left in its terminal. Others may hold the terminal still: only what
 * is there already is waited for. */
static void foreground_drain(struct flow *out) {
    for (;;) {
        struct pollfd ready;
        flow_want(out, &ready);
        if (out->over || poll(&ready, 1, DRAIN_MS) <= 0)
            return;
        flow_go_on(out, &ready);
    }
}

static int foreground_loop(const struct foreground *foreground, pid_t pid, int console_fd) {
    int status = 0;
    struct flow in = {.from = STDIN_FILENO, .to = console_fd, .over = console_fd < 0};
    struct flow out = {.from = console_fd, .to = STDOUT_FILENO, .over = console_fd < 0};
    for (;;) {
        struct pollfd ready[3] = {{.fd = foreground->signal_fd, .events = POLLIN}};
        flow_want(&in, &ready[1]);
        flow_want(&out, &ready[2]);
        if (poll(ready, 3, -1) < 0)
            continue;
        if (ready[0].revents != 0 &&
            foreground_heed_signals(foreground, pid, console_fd, &status)) {
            foreground_drain(&out);
            return status;
        }
        flow_go_on(&in, &ready[1]);
        flow_go_on(&out, &ready[2]);
    }
}

int foreground_wait(struct foreground *foreground, pid_t pid, int console_fd, struct error **err) {
    if (console_fd >= 0) {
        if (fcntl(console_fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
            return error_set(err, errno, "carry", "the terminal");
        foreground_resize(console_fd);
        foreground_raw();
    }
    int status = foreground_loop(foreground, pid, console_fd);
    foreground_restore();
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
