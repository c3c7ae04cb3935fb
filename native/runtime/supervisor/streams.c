/* The standard streams of a process: see streams.h. */
#define _GNU_SOURCE
#include "streams.h"
#include "../../common/cleanup.h"
#include "attach.h"
#include "supervisor.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
    PIPE_BYTES = 1024 * 1024,
    INPUT_BOUND = 64 * 1024,
    /* An attachment that lags behind by this much stops the process's output. */
    LAG_BOUND = 1024 * 1024,
    /* The same once the process has ended: room for all that its pipes can hold, so that the log is
       complete soon. */
    LAG_BOUND_ENDED = 4 * 1024 * 1024,
    /* A pipe holds no more than this many reads, of the size that log_room asks for at the least.
     */
    LAST_READS = PIPE_BYTES / LOG_FORWARDED_BYTES + 1,
};

static void output_ready(struct watch *watch, uint32_t events);
static void output_end(struct output *output);
static void input_ready(struct watch *watch, uint32_t events);
static void input_flush(struct process *process);

static int set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* A pipe of which one end, ours, does not block. */
static int make_pipe(int *ours, int *childs, bool we_read) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    *ours = ends[we_read ? 0 : 1];
    *childs = ends[we_read ? 1 : 0];
    /* Fewer wake-ups for busy output; refused where the user's pipes already hold too much. */
    if (we_read)
        fcntl(*ours, F_SETPIPE_SZ, PIPE_BYTES);
    return set_nonblocking(*ours);
}

void streams_init(struct process *process, bool with_stdin) {
    for (int i = 0; i < 2; i++) {
        struct output *output = &process->outputs[i];
        output->watch = (struct watch){.fd = -1, .ready = output_ready};
        output->process = process;
        output->stream = (unsigned char)(i + 1);
        output->log.name = i == 0 ? "stdout" : "stderr";
    }
    process->input.watch = (struct watch){.fd = -1, .ready = input_ready};
    process->input.process = process;
    process->input.wanted = with_stdin;
    process->console_fd = -1;
    process->console_slave_fd = -1;
}

int streams_open(struct process *process, struct launch_stdio *child, struct error **err) {
    *child = (struct launch_stdio){.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    int result = 0;
    if (process->input.wanted)
        result = make_pipe(&process->input.watch.fd, &child->stdin_fd, false);
    else if ((child->stdin_fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
        result = -1;
    if (result == 0)
        result = make_pipe(&process->outputs[0].watch.fd, &child->stdout_fd, true);
    if (result == 0)
        result = make_pipe(&process->outputs[1].watch.fd, &child->stderr_fd, true);
    if (result == 0)
        return 0;
    error_set(err, errno, "open stdio", "");
    streams_close_child(child);
    streams_close(process);
    return -1;
}

void streams_close_child(struct launch_stdio *child) {
    int *fds[] = {&child->stdin_fd, &child->stdout_fd, &child->stderr_fd};
    for (int i = 0; i < 3; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

int streams_use_console(struct process *process, int console_fd, struct error **err) {
    struct loop *loop = &process->supervisor->loop;
    loop_close(loop, &process->input.watch);
    loop_close(loop, &process->outputs[0].watch);
    loop_close(loop, &process->outputs[1].watch);
    process->console_fd = console_fd;
    process->console_slave_fd = ioctl(console_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    /* Two watches on one terminal need two descriptors. */
    process->outputs[0].watch.fd = fcntl(console_fd, F_DUPFD_CLOEXEC, 0);
    if (process->input.wanted)
        process->input.watch.fd = fcntl(console_fd, F_DUPFD_CLOEXEC, 0);
    if (process->outputs[0].watch.fd < 0 ||
        (process->input.wanted && process->input.watch.fd < 0) || set_nonblocking(console_fd) != 0)
        return error_set(err, errno, "open terminal", "");
    return 0;
}

void streams_begin(struct process *process) {
    streams_flow(process);
    input_flush(process);
    attach_update_all(process);
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void streams_close(struct process *process) {
    struct loop *loop = &process->supervisor->loop;
    loop_close(loop, &process->input.watch);
    queue_clear(&process->input.queue);
    process->input.wanted = false;
    output_end(&process->outputs[0]);
    output_end(&process->outputs[1]);
    close_fd(&process->console_slave_fd);
    close_fd(&process->console_fd);
}

/* --- output
 * ------------------------------------------------------------------------------------------------------
 */

/* Only the init's output is logged. */
static struct log *log_of(const struct process *process) {
    return process_is_init(process) ? process->supervisor->log : NULL;
}

void streams_flow(struct process *process) {
    struct loop *loop = &process->supervisor->loop;
    size_t bound = process->state >= PROCESS_ENDED ? LAG_BOUND_ENDED : LAG_BOUND;
    const struct log *log = log_of(process);
    /* What an ended process has left must not wait for a log server. */
    bool full = process->state < PROCESS_ENDED && log != NULL && log_room(log) == 0;
    bool lagging = full || attach_largest_queue(process) > bound;
    for (int i = 0; i < 2; i++) {
        struct watch *watch = &process->outputs[i].watch;
        if (watch->fd < 0)
            continue;
        /* Out of the set, not just without events: an ended pipe would report EPOLLHUP over and
         * over. */
        if (lagging)
            loop_forget(loop, watch);
        else if (loop_watch(loop, watch, EPOLLIN) != 0)
            loop_close(loop, watch);
    }
}

bool streams_drained(const struct process *process) {
    return process->outputs[0].watch.fd < 0 && process->outputs[1].watch.fd < 0;
}

static void output_end(struct output *output) {
    struct process *process = output->process;
    if (output->watch.fd < 0)
        return;
    loop_close(&process->supervisor->loop, &output->watch);
    struct log *log = log_of(process);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (log != NULL)
        log_finish(log, &output->log, &now);
    process->supervisor->changed = true;
}

static void output_ready(struct watch *watch, uint32_t events) {
    (void)events;
    struct output *output = (struct output *)watch;
    struct process *process = output->process;
    struct supervisor *supervisor = process->supervisor;
    struct log *log = log_of(process);
    size_t room = log == NULL ? SUPERVISOR_SCRATCH_BYTES : log_room(log);
    if (room == 0)
        room = LOG_FORWARDED_BYTES;
    if (room > SUPERVISOR_SCRATCH_BYTES)
        room = SUPERVISOR_SCRATCH_BYTES;
    ssize_t length = read(watch->fd, supervisor->scratch, room);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* A terminal reports EIO where a pipe reports its end. */
    if (length <= 0) {
        output_end(output);
        return;
    }
    supervisor->warm = true;
    if (log != NULL) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        log_write(log, &output->log, supervisor->scratch, (size_t)length, &now);
    }
    if (process->attachments != NULL)
        attach_output(process, output->stream, supervisor->scratch, (size_t)length);
    if (process->attachments != NULL || (log != NULL && log_room(log) == 0))
        streams_flow(process);
}

void streams_give_up(struct process *process) {
    for (int i = 0; i < 2; i++) {
        struct output *output = &process->outputs[i];
        for (int reads = 0; reads < LAST_READS && output->watch.fd >= 0; reads++)
            output_ready(&output->watch, EPOLLIN);
        output_end(output);
    }
}

/* --- stdin
 * -------------------------------------------------------------------------------------------------------
 */

/* Its stdin is there. Of a process that is being started it may still be exchanged for a terminal.
 */
static bool input_is_open(const struct process *process) {
    return process->input.watch.fd >= 0 && process->state != PROCESS_STARTING;
}

bool streams_input_blocked(const struct process *process) {
    const struct input *input = &process->input;
    if (!input->wanted || input->closing)
        return false;
    return !input_is_open(process) || input->queue.length >= INPUT_BOUND;
}

/* The process has no stdin any more: from here on input is read and dropped, so that clients do not
 * hang. */
static void input_close(struct process *process) {
    loop_close(&process->supervisor->loop, &process->input.watch);
    queue_clear(&process->input.queue);
    process->input.wanted = false;
    attach_update_all(process);
}

/* Writes what stdin takes. Returns the count, or -1 where nobody reads it any more. */
static ssize_t input_write(struct input *input, const unsigned char *bytes, size_t length) {
    size_t done = 0;
    while (done < length) {
        ssize_t count = write(input->watch.fd, bytes + done, length - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            break;
        if (count <= 0)
            return -1;
        done += (size_t)count;
    }
    return (ssize_t)done;
}

static void input_flush(struct process *process) {
    struct input *input = &process->input;
    struct loop *loop = &process->supervisor->loop;
    if (!input_is_open(process))
        return;
    bool was_blocked = streams_input_blocked(process);
    ssize_t count = input->queue.length == 0
                        ? 0
                        : input_write(input, queue_front(&input->queue), input->queue.length);
    if (count < 0) {
        input_close(process);
        return;
    }
    queue_consume(&input->queue, (size_t)count);
    if (input->queue.length == 0) {
        /* With nothing to write it is not watched: EPOLLERR of a closed reader would spin. */
        loop_forget(loop, &input->watch);
        if (input->closing)
            input_close(process);
    } else if (loop_watch(loop, &input->watch, EPOLLOUT) != 0) {
        input_close(process);
        return;
    }
    if (was_blocked && !streams_input_blocked(process))
        attach_update_all(process);
}

static void input_ready(struct watch *watch, uint32_t events) {
    (void)events;
    input_flush(((struct input *)watch)->process);
}

void streams_input(struct process *process, const unsigned char *bytes, size_t length) {
    struct input *input = &process->input;
    if (!input->wanted || input->closing)
        return;
    ssize_t count = 0;
    if (input_is_open(process) && input->queue.length == 0)
        count = input_write(input, bytes, length);
    if (count >= 0 && (size_t)count == length)
        return;
    if (count < 0 || !queue_append(&input->queue, bytes + count, length - (size_t)count)) {
        input_close(process);
        return;
    }
    input_flush(process);
}

void streams_input_end(struct process *process) {
    if (process->console_fd >= 0 || !process->input.wanted)
        return;
    process->input.closing = true;
    input_flush(process);
}
