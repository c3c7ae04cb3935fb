/* See hooks.h. */
#define _GNU_SOURCE
#include "hooks.h"
#include "../../common/cleanup.h"
#include "../../common/warn.h"
#include "child.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

/* How much of what a failed hook wrote is repeated. */
#define SAID_BYTES_MAX 256

static const struct {
    const char *name, *status;
} KINDS[HOOKS_KINDS] = {
    [HOOKS_PRESTART] = {"prestart", "creating"},
    [HOOKS_CREATE_RUNTIME] = {"createRuntime", "creating"},
    [HOOKS_CREATE_CONTAINER] = {"createContainer", "creating"},
    [HOOKS_START_CONTAINER] = {"startContainer", "created"},
    [HOOKS_POSTSTART] = {"poststart", "running"},
    [HOOKS_POSTSTOP] = {"poststop", "stopped"},
};

static int hooks_read_one(const struct fields *entry, struct hooks_hook *hook, struct error **err) {
    int64_t timeout_sec = 0;
    if (fields_text(entry, "path", &hook->path, err) < 0 ||
        fields_texts(entry, "args", &hook->args, err) < 0 ||
        fields_texts(entry, "env", &hook->env, err) < 0 ||
        fields_number(entry, "timeout", 1, INT_MAX / 1000, &timeout_sec, err) < 0)
        return -1;
    if (hook->path == NULL || hook->path[0] != '/')
        return fields_refuse(entry, "path", "must be absolute", err);
    hook->env_given = json_is_array(json_object_get(entry->object, "env"));
    hook->timeout_sec = (int)timeout_sec;
    return 0;
}

int hooks_read(const struct fields *top, struct hooks *hooks, struct error **err) {
    struct fields from;
    if (fields_object(top, "hooks", &from, err) < 0)
        return -1;
    for (size_t kind = 0; kind < HOOKS_KINDS; kind++) {
        const char *name = KINDS[kind].name;
        const json_t *array = NULL;
        if (fields_array(&from, name, &array, err) < 0)
            return -1;
        size_t count = array == NULL ? 0 : json_array_size(array);
        struct hooks_hook *items = arena_array(from.arena, count + 1, sizeof(*items));
        if (items == NULL)
            return fields_no_memory(err);
        for (size_t index = 0; index < count; index++) {
            struct fields entry;
            if (fields_element(&from, name, array, index, &entry, err) < 0 ||
                hooks_read_one(&entry, &items[index], err) < 0)
                return -1;
        }
        hooks->kinds[kind].items = items;
        hooks->kinds[kind].count = count;
    }
    return 0;
}

bool hooks_before_root(const struct hooks *hooks) {
    return hooks->kinds[HOOKS_PRESTART].count + hooks->kinds[HOOKS_CREATE_RUNTIME].count +
               hooks->kinds[HOOKS_CREATE_CONTAINER].count >
           0;
}

/* A file in memory: a hook may read its state late or not at all, and write as it likes, and nobody
 * has to pump. */
static int hooks_memory(const char *text, struct error **err) {
    cleanup_close int fd = memfd_create("hook", MFD_CLOEXEC);
    size_t length = strlen(text);
    if (fd < 0 || write(fd, text, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) < 0)
        return error_set(err, errno, "hook", "make its standard descriptors");
    return steal_fd(&fd);
}

json_t *hooks_about(const struct hooks_container *container, const char *status) {
    json_t *state = json_pack("{s:s, s:s, s:s, s:s}", "ociVersion", "1.2.0", "id", container->id,
                              "status", status, "bundle", container->bundle);
    if (state != NULL && container->pid > 0)
        json_object_set_new(state, "pid", json_integer(container->pid));
    if (state != NULL && container->annotations != NULL)
        json_object_set(state, "annotations", (json_t *)container->annotations);
    return state;
}

static char *hooks_state(enum hooks_kind kind, const struct hooks_container *container) {
    json_t *state = hooks_about(container, KINDS[kind].status);
    char *text = state == NULL ? NULL : json_dumps(state, JSON_COMPACT);
    json_decref(state);
    return text;
}

static void __attribute__((noreturn))
hooks_become(const struct hooks_hook *hook, int in, int out, const char *directory) {
    static char *own_args[2];
    struct error *err = NULL;
    own_args[0] = (char *)hook->path;
    if (child_begin(&err) < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(out, STDERR_FILENO) < 0 || child_close_others(3, NULL, 0, &err) < 0 ||
        (directory != NULL && chdir(directory) < 0))
        _exit(126);
    execve(hook->path, hook->args.count == 0 ? own_args : (char *const *)hook->args.items,
           hook->env_given ? (char *const *)hook->env.items : environ);
    dprintf(STDERR_FILENO, "execve: %s", strerror(errno));
    _exit(127);
}

static int64_t hooks_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for the hook's end; false where its time is over. A seccomp filter of the container's may
 * refuse pidfd_open to startContainer hooks: then it is asked again and again, less and less often.
 */
static bool hooks_wait(pid_t pid, int timeout_sec, int *status) {
    cleanup_close int pidfd = sys_pidfd_open(pid);
    int64_t end_ms = hooks_now_ms() + (int64_t)timeout_sec * 1000;
    int pause_ms = 1;
    for (;;) {
        pid_t waited = waitpid(pid, status, WNOHANG);
        if (waited == pid || (waited < 0 && errno != EINTR))
            return true;
        int64_t left_ms = timeout_sec == 0 ? INT_MAX : end_ms - hooks_now_ms();
        if (left_ms <= 0)
            return false;
        struct pollfd end = {.fd = pidfd, .events = POLLIN};
        if (pidfd >= 0) {
            poll(&end, 1, (int)left_ms);
            continue;
        }
        poll(NULL, 0, pause_ms < left_ms ? pause_ms : (int)left_ms);
        pause_ms = pause_ms < 20 ? pause_ms * 2 : pause_ms;
    }
}

/* What the hook wrote last, as one line: ": text", or nothing. */
static void hooks_said(int out, char said[SAID_BYTES_MAX]) {
    off_t size = lseek(out, 0, SEEK_END);
    off_t start = size > SAID_BYTES_MAX - 3 ? size - (SAID_BYTES_MAX - 3) : 0;
    ssize_t got = size <= 0 ? 0 : pread(out, said + 2, SAID_BYTES_MAX - 3, start);
    if (got < 0)
        got = 0;
    while (got > 0 && strchr(" \t\r\n", said[1 + got]) != NULL)
        got--;
    for (char *letter = said + 2; letter < said + 2 + got; letter++) {
        if ((unsigned char)*letter < ' ' || *letter == 0x7f)
            *letter = ' ';
    }
    said[2 + got] = '\0';
    if (got == 0)
        said[0] = '\0';
    else
        memcpy(said, ": ", 2);
}

static int hooks_judge(const struct hooks_hook *hook, const char *name, int status, int out,
                       struct error **err) {
    char said[SAID_BYTES_MAX];
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    hooks_said(out, said);
    if (WIFSIGNALED(status))
        return error_setf(err, 0, "hook", hook->path, "%s hook %s was killed by signal %d%s", name,
                          hook->path, WTERMSIG(status), said);
    return error_setf(err, 0, "hook", hook->path, "%s hook %s failed with exit status %d%s", name,
                      hook->path, WEXITSTATUS(status), said);
}

static int hooks_run_one(const struct hooks_hook *hook, const char *name, const char *state,
                         const char *directory, struct error **err) {
    int status = 0;
    cleanup_close int in = hooks_memory(state, err);
    cleanup_close int out = in < 0 ? -1 : hooks_memory("", err);
    if (out < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        hooks_become(hook, in, out, directory);
    if (pid < 0)
        return error_set(err, errno, "fork", hook->path);
    if (hooks_wait(pid, hook->timeout_sec, &status))
        return hooks_judge(hook, name, status, out, err);
    /* It leads a session, and so a process group, of its own. */
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return error_setf(err, ETIMEDOUT, "hook", hook->path,
                      "%s hook %s was killed: it took longer than its timeout of %d s", name,
                      hook->path, hook->timeout_sec);
}

int hooks_run(const struct hooks *hooks, enum hooks_kind kind,
              const struct hooks_container *container, const char *directory, struct error **err) {
    if (hooks->kinds[kind].count == 0)
        return 0;
    cleanup_free char *state = hooks_state(kind, container);
    if (state == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < hooks->kinds[kind].count; index++) {
        if (hooks_run_one(&hooks->kinds[kind].items[index], KINDS[kind].name, state, directory,
                          err) < 0)
            return -1;
    }
    return 0;
}

void hooks_run_all(const struct hooks *hooks, enum hooks_kind kind,
                   const struct hooks_container *container, const char *directory) {
    if (hooks->kinds[kind].count == 0)
        return;
    cleanup_free char *state = hooks_state(kind, container);
    for (size_t index = 0; state != NULL && index < hooks->kinds[kind].count; index++) {
        struct error *err = NULL;
        if (hooks_run_one(&hooks->kinds[kind].items[index], KINDS[kind].name, state, directory,
                          &err) < 0)
            warn("warning: %s", err == NULL ? "out of memory" : err->message);
        error_free(err);
    }
}
