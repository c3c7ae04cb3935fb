/* Runs one container of launch_test.c from create to destroy, and tells what came of it. */
#ifndef MYDOCK_LAUNCH_RUN_H
#define MYDOCK_LAUNCH_RUN_H

#include "bundle.h"
#include "runtime/launch/launch.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct run {
    struct launch_container *container;
    struct launch_process init;
    /* The reading end of the output, or the terminal. */
    int output_fd;
    /* Set by run_finish: exit status as a shell would say it, and the output. */
    int exit_code;
    bool oom_killed;
    char output[16384];
    /* Of a create or start that failed; else NULL. */
    struct error *err;
};

static int run_wait(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -1;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* EIO: the last holder of a terminal's other end is gone. */
static void run_read(int fd, char *output, size_t size) {
    size_t filled = 0;
    char dropped[4096];
    for (;;) {
        bool full = filled + 1 >= size;
        ssize_t got = full ? read(fd, dropped, sizeof(dropped))
                           : read(fd, output + filled, size - 1 - filled);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            break;
        if (got > 0 && !full)
            filled += (size_t)got;
    }
    output[filled] = '\0';
}

/* systemd makes the container's groups. */
static bool run_systemd;

/* Creates and starts. False where that failed: run->err tells; everything is cleaned up then. */
static bool run_begin(struct run *run, json_t *config) {
    int pipe_fds[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    memset(run, 0, sizeof(*run));
    run->output_fd = -1;
    run->exit_code = -1;
    if (null < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0) {
        perror("pipe2");
        exit(2);
    }
    bundle_write(config);
    struct launch_stdio stdio = {null, pipe_fds[1], pipe_fds[1]};
    int result = launch_create(&(struct launch_options){.bundle = bundle_directory,
                                                        .seccomp_cache = bundle_cache,
                                                        .systemd_cgroup = run_systemd},
                               &stdio, &run->container, &run->init, &run->err);
    close(null);
    close(pipe_fds[1]);
    if (result < 0) {
        close(pipe_fds[0]);
        return false;
    }
    if (launch_terminal(run->container)) {
        close(pipe_fds[0]);
        run->output_fd = run->init.console_fd;
    } else {
        run->output_fd = pipe_fds[0];
    }
    if (launch_start(run->container, &run->init, &run->err) == 0)
        return true;
    run_wait(run->init.pid);
    close(run->output_fd);
    launch_destroy(run->container);
    return false;
}

/* Reads all output, waits for the end, destroys. */
static void run_finish(struct run *run) {
    run_read(run->output_fd, run->output, sizeof(run->output));
    close(run->output_fd);
    run->exit_code = run_wait(run->init.pid);
    run->oom_killed = launch_oom_killed(run->container);
    launch_destroy(run->container);
}

/* Both; takes config. The result lives until the next call. */
static struct run *run_all(json_t *config) {
    static struct run run;
    error_free(run.err);
    run.err = NULL;
    if (run_begin(&run, config))
        run_finish(&run);
    json_decref(config);
    return &run;
}

/* Executes a process in the running container and waits for it. Takes process. */
static bool run_exec(struct run *run, json_t *process, char *output, size_t size, int *exit_code) {
    int pipe_fds[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct launch_process child;
    error_free(run->err);
    run->err = NULL;
    if (null < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0) {
        perror("pipe2");
        exit(2);
    }
    struct launch_stdio stdio = {null, pipe_fds[1], pipe_fds[1]};
    int result = launch_exec(run->container, process, &stdio, &child, &run->err);
    close(null);
    close(pipe_fds[1]);
    json_decref(process);
    if (result == 0) {
        run_read(child.console_fd >= 0 ? child.console_fd : pipe_fds[0], output, size);
        *exit_code = run_wait(child.pid);
        if (child.console_fd >= 0)
            close(child.console_fd);
    }
    close(pipe_fds[0]);
    return result == 0;
}

#endif
