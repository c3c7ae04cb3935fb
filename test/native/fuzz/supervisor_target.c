/*
 * The supervisor's protocol and life: bytes and descriptors arrive on control connections, clients
 * attach, write and leave, processes write and end, time passes, in any order. All of the
 * supervisor is its own but the runtime below it, whose processes are numbers: kill(2) and
 * waitpid(2) are replaced by the linker (--wrap) and know those alone.
 *
 * What must hold: no byte of a daemon or client makes it fail, each event is well formed, only
 * processes of the container are signalled, no descriptor is lost, and once all processes have
 * ended and all clients have left the supervisor leaves too.
 */
#define _GNU_SOURCE
/* Its loop is no interface. */
#include "runtime/supervisor/supervisor.c"
#include "target.h"
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
    CONNECTIONS = 3,
    CLIENTS = 6,
    FAKES = 8,
    FIRST_PID = 100000000,
    STEPS_MAX = 400,
    EVENTS_MAX = 256 * 1024,
    FAREWELL_ROUNDS = 12,
};

/* A process as the fake runtime has it. */
struct fake {
    enum { FAKE_NONE, FAKE_ALIVE, FAKE_DEAD } state;
    int status;
    int stdio[3];
};

struct fake_runtime {
    struct runtime runtime;
    /* An exec that is told of later, and its standard descriptors. */
    struct runtime_exec *waiting;
    int waiting_stdio[3];
    bool destroyed;
};

static struct {
    struct supervisor supervisor;
    struct fake_runtime runtime;
    struct fake fakes[FAKES];
    struct fuzz_bytes bytes;
    int daemons[CONNECTIONS];
    int clients[CLIENTS];
    bool over;
} world;

static unsigned char scratch[SUPERVISOR_SCRATCH_BYTES];
static char events[EVENTS_MAX];

int __wrap_kill(pid_t pid, int signal);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __real_waitpid(pid_t pid, int *status, int options);

/* --- processes --- */

static void close_all(int *fds, int count) {
    for (int index = 0; index < count; index++) {
        if (fds[index] >= 0)
            close(fds[index]);
        fds[index] = -1;
    }
}

/* A fuzzer's process never waits. */
static void copy_stdio(const struct launch_stdio *stdio, int *out) {
    const int fds[] = {stdio->stdin_fd, stdio->stdout_fd, stdio->stderr_fd};
    for (int index = 0; index < 3; index++) {
        out[index] = fcntl(fds[index], F_DUPFD_CLOEXEC, 0);
        fcntl(out[index], F_SETFL, fcntl(out[index], F_GETFL) | O_NONBLOCK);
    }
}

/* Its number; -1 where there are too many. */
static pid_t fake_new(const int *stdio) {
    for (int index = 0; index < FAKES; index++) {
        if (world.fakes[index].state != FAKE_NONE)
            continue;
        world.fakes[index].state = FAKE_ALIVE;
        memcpy(world.fakes[index].stdio, stdio, sizeof(world.fakes[index].stdio));
        return FIRST_PID + index;
    }
    return -1;
}

static void fake_end(struct fake *fake, int status) {
    if (fake->state != FAKE_ALIVE)
        return;
    fake->state = FAKE_DEAD;
    fake->status = status;
    close_all(fake->stdio, 3);
}

int __wrap_kill(pid_t pid, int signal) {
    FUZZ_HOLDS(pid >= FIRST_PID && pid < FIRST_PID + FAKES, "kill %d", pid);
    struct fake *fake = &world.fakes[pid - FIRST_PID];
    FUZZ_HOLDS(fake->state != FAKE_NONE, "kill %d, which is nobody", pid);
    if (signal == SIGKILL)
        fake_end(fake, SIGKILL);
    return 0;
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options) {
    /* Another target's. */
    if (pid > 0 && pid < FIRST_PID)
        return __real_waitpid(pid, status, options);
    for (int index = 0; index < FAKES; index++) {
        struct fake *fake = &world.fakes[index];
        if (fake->state != FAKE_DEAD || (pid != -1 && pid != FIRST_PID + index))
            continue;
        fake->state = FAKE_NONE;
        if (status != NULL)
            *status = fake->status;
        return FIRST_PID + index;
    }
    FUZZ_HOLDS((options & WNOHANG) != 0, "waits for %d for ever", pid);
    errno = ECHILD;
    return -1;
}

/* --- the runtime --- */

static int runtime_start(struct runtime *runtime, struct launch_process *init, struct error **err) {
    (void)runtime;
    (void)init;
    if (fuzz_below(&world.bytes, 8) == 1)
        return error_setf(err, ENOENT, "exec", "/x\xff", "exec /x\xff: no such file");
    return 0;
}

/* An exec is made, with a terminal or without, or fails. */
static void runtime_tell(struct runtime_exec *exec, int *stdio) {
    unsigned how = fuzz_below(&world.bytes, 8);
    struct launch_process made = {.console_fd = -1, .sync_fd = -1};
    struct error *err = NULL;
    made.pid = how == 1 ? -1 : fake_new(stdio);
    if (made.pid < 0) {
        close_all(stdio, 3);
        error_setf(&err, 0, "exec", "x", "exec failed");
        exec->done(exec, NULL, NULL, err);
        return;
    }
    struct fake *fake = &world.fakes[made.pid - FIRST_PID];
    if (how == 2) {
        close_all(fake->stdio, 3);
        made.console_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        unlockpt(made.console_fd);
        fake->stdio[1] =
            ioctl(made.console_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    }
    int status = how << 8;
    if (how == 3) {
        fake_end(fake, status);
        fake->state = FAKE_NONE;
    }
    exec->done(exec, &made, how == 3 ? &status : NULL, NULL);
}

static void runtime_exec(struct runtime *runtime, const json_t *process,
                         const struct launch_stdio *stdio, struct runtime_exec *exec) {
    int copies[3];
    FUZZ_HOLDS(json_is_object(process), "an exec without a process object");
    copy_stdio(stdio, copies);
    struct fake_runtime *own = (struct fake_runtime *)runtime;
    if (own->waiting != NULL || fuzz_below(&world.bytes, 2) == 0) {
        runtime_tell(exec, copies);
        return;
    }
    own->waiting = exec;
    memcpy(own->waiting_stdio, copies, sizeof(copies));
}

static void runtime_tell_later(void) {
    struct runtime_exec *exec = world.runtime.waiting;
    world.runtime.waiting = NULL;
    if (exec != NULL)
        runtime_tell(exec, world.runtime.waiting_stdio);
}

static void runtime_signal(struct runtime *runtime, pid_t init, int signal) {
    (void)runtime;
    __wrap_kill(init, signal);
}

static int runtime_kill_all(struct runtime *runtime, int signal, struct error **err) {
    (void)runtime;
    for (int index = 0; index < FAKES; index++) {
        if (world.fakes[index].state == FAKE_ALIVE)
            __wrap_kill(FIRST_PID + index, signal);
    }
    return fuzz_below(&world.bytes, 8) == 1 ? error_set(err, EPERM, "kill", "all") : 0;
}

static bool runtime_owns_pids(const struct runtime *runtime) {
    (void)runtime;
    return false;
}

static bool runtime_oom_killed(const struct runtime *runtime) {
    (void)runtime;
    return fuzz_below(&world.bytes, 2) == 1;
}

static void runtime_end(struct runtime *runtime) {
    struct fake_runtime *own = (struct fake_runtime *)runtime;
    FUZZ_HOLDS(!own->destroyed, "destroyed twice");
    FUZZ_HOLDS(own->waiting == NULL, "destroyed while it makes a process");
    own->destroyed = true;
}

static const struct runtime_operations OPERATIONS = {
    .start = runtime_start,
    .exec = runtime_exec,
    .signal = runtime_signal,
    .kill_all = runtime_kill_all,
    .owns_pids = runtime_owns_pids,
    .oom_killed = runtime_oom_killed,
    .destroy = runtime_end,
};

/* --- the world around it --- */

/* Handlers until nothing is ready. A ready descriptor that nobody takes from would spin here. */
static void turn(void) {
    struct supervisor *supervisor = &world.supervisor;
    int steps = 0;
    do {
        world.over = settle(supervisor);
        reap(supervisor);
        FUZZ_HOLDS(++steps < 20000, "the loop spins");
    } while (loop_once(&supervisor->loop, 0) || supervisor->changed);
}

static void pass_time(void) {
    struct timer *due[64];
    int count = 0;
    /* All that is armed now is due; what these arm is later. */
    for (struct timer *at = world.supervisor.loop.timers; at != NULL && count < 64; at = at->next)
        due[count++] = at;
    for (int index = 0; index < count; index++) {
        for (struct timer *at = world.supervisor.loop.timers; at != NULL; at = at->next) {
            if (at == due[index])
                at->deadline_ms = 0;
        }
    }
    for (struct process *at = world.supervisor.execs; at != NULL; at = at->next)
        at->progress_ms = 0;
    if (world.supervisor.init != NULL)
        world.supervisor.init->progress_ms = 0;
    turn();
}

static int *pick_slot(int *slots, unsigned count) {
    return &slots[fuzz_below(&world.bytes, count)];
}

static void connect_daemon(bool first) {
    int ends[2];
    int *slot = first ? &world.daemons[0] : pick_slot(world.daemons, CONNECTIONS);
    if (*slot >= 0)
        return;
    FUZZ_HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0,
               "socketpair");
    *slot = ends[0];
    struct connection *connection = control_add(&world.supervisor, ends[1], first);
    events_status(&world.supervisor, connection);
}

/* A client's socket, whose other end goes to the supervisor; -1 where there are enough. */
static int connect_client(void) {
    int ends[2];
    int *slot = pick_slot(world.clients, CLIENTS);
    if (*slot >= 0)
        return -1;
    FUZZ_HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0,
               "socketpair");
    *slot = ends[0];
    return ends[1];
}

static void send_bytes(int daemon, const void *data, size_t length, const int *fds,
                       unsigned count) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(40 * sizeof(int))];
    } ancillary;
    struct iovec part = {(void *)data, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = ancillary.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    if (daemon >= 0 && length > 0)
        sendmsg(daemon, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static json_t *choose_value(const char *key) {
    static const char *const names[] = {"", "e1", "e2", "e3", "\xc3\xa4"};
    struct fuzz_bytes *bytes = &world.bytes;
    /* One time in sixteen something else than the protocol says. */
    unsigned odd = fuzz_below(bytes, 80);
    if (odd < 5)
        return odd == 0   ? json_null()
               : odd == 1 ? json_integer((json_int_t)fuzz_word(bytes))
               : odd == 2 ? json_string("!")
               : odd == 3 ? json_array()
                          : json_true();
    if (strcmp(key, "process") == 0)
        return json_string(names[fuzz_below(bytes, 5)]);
    if (strcmp(key, "spec") == 0)
        return json_pack("{s:[s]}", "args", "sh");
    if (strcmp(key, "head") == 0)
        return json_string(fuzz_below(bytes, 3) == 0 ? "aGVhZAA=" : "");
    if (strcmp(key, "detachKeys") == 0) {
        json_t *keys = json_array();
        for (unsigned left = fuzz_below(bytes, 4); left > 0; left--)
            json_array_append_new(keys, json_integer(fuzz_byte(bytes) % 4 + 'a'));
        return keys;
    }
    if (strcmp(key, "signal") == 0)
        return json_integer(fuzz_below(bytes, 4) == 0 ? fuzz_below(bytes, 70) : SIGKILL);
    if (strcmp(key, "attachment") == 0 || strcmp(key, "rows") == 0 || strcmp(key, "cols") == 0)
        return json_integer(fuzz_below(bytes, 8));
    return json_boolean(fuzz_below(bytes, 2) == 1);
}

static void send_command(void) {
    static const char *const keys[][9] = {
        {NULL},
        {NULL},
        {"process", "signal", "all", NULL},
        {"process", "rows", "cols", NULL},
        {"process", "spec", "stdin", NULL},
        {"process", NULL},
        {"process", "attachment", "stdin", "stdout", "stderr", "framed", "detachKeys", "head",
         NULL},
        {"process", "attachment", NULL},
        {NULL},
    };
    unsigned type = fuzz_below(&world.bytes, 9);
    int daemon = *pick_slot(world.daemons, fuzz_below(&world.bytes, CONNECTIONS) + 1);
    int fds[40];
    unsigned count = 0;
    json_t *payload = json_object();
    for (const char *const *key = keys[type]; *key != NULL; key++)
        json_object_set_new(payload, *key, choose_value(*key));
    unsigned wanted = type == PROTOCOL_ATTACH ? 1 : fuzz_below(&world.bytes, 32) == 1;
    if (fuzz_below(&world.bytes, 64) == 1)
        wanted = fuzz_below(&world.bytes, 40);
    for (; count < wanted; count++) {
        fds[count] = count == 0 ? connect_client() : -1;
        if (fds[count] < 0)
            fds[count] = open("/dev/null", O_RDWR | O_CLOEXEC);
    }
    char *text = json_dumps(payload, JSON_COMPACT);
    size_t length = strlen(text);
    unsigned char message[4096] = {(unsigned char)type,          0, 0, 0, (unsigned char)length,
                                   (unsigned char)(length >> 8), 0, 0};
    memcpy(message + PROTOCOL_HEADER_BYTES, text, length);
    length += PROTOCOL_HEADER_BYTES;
    size_t cut = fuzz_below(&world.bytes, 4) == 1 ? fuzz_byte(&world.bytes) % length : length;
    send_bytes(daemon, message, cut, fds, count);
    if (cut < length) {
        turn();
        send_bytes(daemon, message + cut, length - cut, NULL, 0);
    }
    close_all(fds, (int)count);
    free(text);
    json_decref(payload);
}

static void send_raw(void) {
    unsigned char data[64];
    size_t length = 1 + fuzz_below(&world.bytes, sizeof(data));
    for (size_t index = 0; index < length; index++)
        data[index] = fuzz_byte(&world.bytes);
    send_bytes(*pick_slot(world.daemons, CONNECTIONS), data, length, NULL, 0);
}

/* Everything that a daemon has got: whole events, each a JSON object of a known type. */
static void read_events(int daemon) {
    size_t length = 0;
    for (ssize_t got = 1; got > 0 && length<sizeof(events); length += got> 0 ? (size_t)got : 0)
        got = recv(daemon, events + length, sizeof(events) - length, MSG_DONTWAIT);
    for (size_t at = 0; at + PROTOCOL_HEADER_BYTES <= length;) {
        uint32_t header[2];
        memcpy(header, events + at, sizeof(header));
        at += PROTOCOL_HEADER_BYTES;
        FUZZ_HOLDS(header[0] >= PROTOCOL_STATUS && header[0] <= PROTOCOL_OOM, "event %u",
                   header[0]);
        if (header[1] > length - at)
            return;
        json_t *payload = json_loadb(events + at, header[1], JSON_REJECT_DUPLICATES, NULL);
        FUZZ_HOLDS(json_is_object(payload), "event %u: %.*s", header[0], (int)header[1],
                   events + at);
        json_decref(payload);
        at += header[1];
    }
}

static void write_some(int fd) {
    static char text[65536];
    static const size_t lengths[] = {1, 2, 5, 100, 4096, 65536};
    size_t length = lengths[fuzz_below(&world.bytes, 6)];
    memset(text, 'a' + fuzz_below(&world.bytes, 4), length);
    text[length / 2] = '\n';
    if (fd >= 0 && write(fd, text, length) < 0)
        return; /* Full, or its other end is gone. */
}

static void step(void) {
    struct fake *fake = &world.fakes[fuzz_below(&world.bytes, FAKES)];
    int *client = pick_slot(world.clients, CLIENTS);
    switch (fuzz_below(&world.bytes, 16)) {
    case 0:
        send_raw();
        break;
    case 1:
        connect_daemon(false);
        break;
    case 2:
        close_all(pick_slot(world.daemons, CONNECTIONS), 1);
        break;
    case 3:
        write_some(*client);
        break;
    case 4:
        if (*client >= 0 && fuzz_below(&world.bytes, 2) == 1)
            shutdown(*client, SHUT_WR);
        else
            close_all(client, 1);
        break;
    case 5:
        if (*client >= 0 && recv(*client, events, sizeof(events), MSG_DONTWAIT) == 0)
            close_all(client, 1);
        break;
    case 6:
    case 7:
        write_some(fake->stdio[1 + fuzz_below(&world.bytes, 2)]);
        break;
    case 8:
        fake_end(fake, fuzz_below(&world.bytes, 2) == 1 ? SIGTERM : 3 << 8);
        break;
    case 9:
        runtime_tell_later();
        break;
    case 10:
        pass_time();
        break;
    case 11:
        if (fake->stdio[0] >= 0 && read(fake->stdio[0], events, sizeof(events)) < 0)
            break;
        break;
    case 12:
        if (world.daemons[0] >= 0)
            read_events(world.daemons[0]);
        break;
    default:
        send_command();
    }
    turn();
}

/* --- a life --- */

static void nothing(struct timer *timer) {
    (void)timer;
}

static void open_world(void) {
    static char id[] = "0123456789abcdef";
    struct supervisor *supervisor = &world.supervisor;
    struct launch_stdio child;
    int stdio[3];
    unsigned flags = fuzz_byte(&world.bytes);
    memset(world.daemons, -1, sizeof(world.daemons));
    memset(world.clients, -1, sizeof(world.clients));
    for (int index = 0; index < FAKES; index++)
        memset(world.fakes[index].stdio, -1, sizeof(world.fakes[index].stdio));
    world.runtime.runtime.operations = &OPERATIONS;
    supervisor->runtime = &world.runtime.runtime;
    supervisor->listener.fd = -1;
    supervisor->oom.watch.fd = -1;
    supervisor->farewell.fire = farewell_over;
    supervisor->leave_cgroups.fire = nothing;
    supervisor->config.id = id;
    supervisor->config.stdin_open = (flags & 1) != 0;
    supervisor->config.stdin_once = (flags & 2) != 0;
    supervisor->scratch = scratch;
    FUZZ_HOLDS(loop_open(&supervisor->loop, NULL) == 0, "loop");
    supervisor->init = process_new(supervisor, "", NULL, supervisor->config.stdin_open);
    FUZZ_HOLDS(streams_open(supervisor->init, &child, NULL) == 0, "streams");
    copy_stdio(&child, stdio);
    streams_close_child(&child);
    supervisor->init->pid = fake_new(stdio);
    supervisor->init->state = PROCESS_ALIVE;
    streams_begin(supervisor->init);
    connect_daemon(true);
    if ((flags & 12) != 0)
        supervisor_start(supervisor);
    turn();
}

/* All that is outside ends: what is left must end by itself. */
static void close_world(void) {
    struct supervisor *supervisor = &world.supervisor;
    runtime_tell_later();
    for (int index = 0; index < FAKES; index++)
        fake_end(&world.fakes[index], 0);
    turn();
    for (int round = 0; round < FAREWELL_ROUNDS && !world.over; round++) {
        for (int index = 0; index < CONNECTIONS; index++) {
            if (world.daemons[index] >= 0)
                read_events(world.daemons[index]);
        }
        if (round == 1)
            close_all(world.clients, CLIENTS);
        pass_time();
    }
    FUZZ_HOLDS(world.over, "the supervisor does not leave: state %d, init %d, exec %d",
               supervisor->state, supervisor->init->state,
               supervisor->execs == NULL ? -1 : (int)supervisor->execs->state);
    FUZZ_HOLDS(world.runtime.destroyed, "the runtime is not destroyed");
    process_free(supervisor->init);
    for (unsigned index = 0; index < ENDED_EXECS_MAX; index++)
        free(supervisor->ended[index].process);
    close(supervisor->loop.epoll_fd);
    close_all(world.daemons, CONNECTIONS);
    close_all(world.clients, CLIENTS);
}

static void run(const uint8_t *data, size_t length) {
    int before = fuzz_count_fds();
    memset(&world, 0, sizeof(world));
    world.bytes = (struct fuzz_bytes){data, length};
    open_world();
    for (int count = 0; count < STEPS_MAX && world.bytes.left > 0 && !world.over; count++)
        step();
    close_world();
    int after = fuzz_count_fds();
    FUZZ_HOLDS(after == before, "%d descriptors are open, %d were", after, before);
}

/* leave_daemon() blocks all signals. */
static void begin(const char *folder) {
    (void)folder;
    signal(SIGPIPE, SIG_IGN);
}

const struct fuzz_target fuzz_supervisor = {"supervisor", begin, run, NULL};
