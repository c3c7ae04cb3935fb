/* Attachments: see attach.h. */
#include "attach.h"
#include "events.h"
#include "sockets.h"
#include "streams.h"
#include "supervisor.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FRAME_HEADER_BYTES = 8, INPUT_READ_BYTES = 64 * 1024 };

struct attachment {
    struct watch watch;
    struct process *process;
    struct attachment *next;
    struct attach_options options;
    /* Output that the client has not taken. */
    struct byte_queue queue;
    /* Nothing more comes from the client. */
    bool input_ended;
    /* The client takes no more output. */
    bool gone;
    /* The process has ended: close when the queue is empty. */
    bool finishing;
    bool closed;
};

enum closing { CLOSE_WITH_SHUTDOWN, CLOSE_SILENTLY };

static void attach_ready(struct watch *watch, uint32_t events);

/* The end of the client's stdin ends an exec's stdin, and the init's with StdinOnce. */
static void end_input(struct attachment *attachment) {
    struct process *process = attachment->process;
    if (attachment->input_ended)
        return;
    attachment->input_ended = true;
    if (attachment->options.with_stdin &&
        (!process_is_init(process) || process->supervisor->config.stdin_once))
        streams_input_end(process);
}

static void close_attachment(struct attachment *attachment, const char *reason,
                             enum closing closing) {
    struct process *process = attachment->process;
    if (attachment->closed)
        return;
    attachment->closed = true;
    queue_clear(&attachment->queue);
    loop_forget(&process->supervisor->loop, &attachment->watch);
    if (closing == CLOSE_WITH_SHUTDOWN)
        socket_end(attachment->watch.fd);
    else
        close(attachment->watch.fd);
    attachment->watch.fd = -1;
    end_input(attachment);
    streams_flow(process);
    events_detached(process->supervisor, process->name, attachment->options.number, reason);
    process->supervisor->changed = true;
}

/* Watches for what can be handled now. */
static void update(struct attachment *attachment) {
    struct loop *loop = &attachment->process->supervisor->loop;
    if (attachment->closed)
        return;
    bool blocked = attachment->options.with_stdin && streams_input_blocked(attachment->process);
    bool reading = !attachment->input_ended && !blocked;
    /* A hang-up is reported over and over: it can only be handled once stdin has room. */
    if (attachment->gone && !attachment->input_ended && blocked) {
        loop_forget(loop, &attachment->watch);
        return;
    }
    uint32_t events = (reading ? EPOLLIN : 0) | (attachment->queue.length > 0 ? EPOLLOUT : 0);
    if (loop_watch(loop, &attachment->watch, events) != 0)
        close_attachment(attachment, "closed", CLOSE_WITH_SHUTDOWN);
}

void attach_update_all(struct process *process) {
    for (struct attachment *at = process->attachments; at != NULL; at = at->next)
        update(at);
}

/* --- output
 * ------------------------------------------------------------------------------------------------------
 */

static void client_gone(struct attachment *attachment) {
    attachment->gone = true;
    queue_clear(&attachment->queue);
    if (attachment->finishing || attachment->input_ended)
        close_attachment(attachment, "closed", CLOSE_WITH_SHUTDOWN);
    streams_flow(attachment->process);
}

/* Sends without waiting. Returns the count, or -1 where the client is gone. */
static ssize_t send_some(struct attachment *attachment, struct iovec *parts, size_t count) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t sent;
    do
        sent = sendmsg(attachment->watch.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS))
        return 0;
    return sent;
}

static void send_output(struct attachment *attachment, unsigned char stream,
                        const unsigned char *bytes, size_t length) {
    unsigned char header[FRAME_HEADER_BYTES] = {stream,
                                                0,
                                                0,
                                                0,
                                                (unsigned char)(length >> 24),
                                                (unsigned char)(length >> 16),
                                                (unsigned char)(length >> 8),
                                                (unsigned char)length};
    size_t header_length = attachment->options.framed ? FRAME_HEADER_BYTES : 0;
    size_t sent = 0;
    if (attachment->queue.length == 0) {
        struct iovec parts[2] = {{header, header_length}, {(void *)bytes, length}};
        ssize_t count = send_some(attachment, parts, 2);
        if (count < 0) {
            client_gone(attachment);
            update(attachment);
            return;
        }
        sent = (size_t)count;
    }
    size_t of_header = sent < header_length ? sent : header_length;
    size_t of_bytes = sent - of_header;
    if (!queue_append(&attachment->queue, header + of_header, header_length - of_header) ||
        !queue_append(&attachment->queue, bytes + of_bytes, length - of_bytes))
        close_attachment(attachment, "closed", CLOSE_WITH_SHUTDOWN);
    update(attachment);
}

void attach_output(struct process *process, unsigned char stream, const unsigned char *bytes,
                   size_t length) {
    for (struct attachment *at = process->attachments; at != NULL; at = at->next) {
        bool wanted = stream == 2 ? at->options.with_stderr : at->options.with_stdout;
        if (wanted && !at->gone && !at->closed)
            send_output(at, stream, bytes, length);
    }
}

size_t attach_largest_queue(const struct process *process) {
    size_t largest = 0;
    for (const struct attachment *at = process->attachments; at != NULL; at = at->next)
        if (at->queue.length > largest)
            largest = at->queue.length;
    return largest;
}

static void flush(struct attachment *attachment) {
    struct process *process = attachment->process;
    if (attachment->queue.length > 0) {
        struct iovec part = {(void *)queue_front(&attachment->queue), attachment->queue.length};
        ssize_t count = send_some(attachment, &part, 1);
        if (count < 0) {
            client_gone(attachment);
            return;
        }
        queue_consume(&attachment->queue, (size_t)count);
        process->progress_ms = loop_now_ms();
        streams_flow(process);
    }
    if (attachment->finishing && attachment->queue.length == 0)
        close_attachment(attachment, "ended", CLOSE_WITH_SHUTDOWN);
}

/* --- stdin
 * -------------------------------------------------------------------------------------------------------
 */

static void feed(struct attachment *attachment, const unsigned char *bytes, size_t length) {
    struct process *process = attachment->process;
    struct detach_keys *keys = &attachment->options.keys;
    if (!attachment->options.with_stdin || length == 0)
        return;
    if (detach_keys_pass(keys, bytes, length)) {
        streams_input(process, bytes, length);
        return;
    }
    struct byte_queue passed = {0};
    bool detached = detach_keys_filter(keys, bytes, length, &passed);
    if (passed.length > 0)
        streams_input(process, queue_front(&passed), passed.length);
    queue_clear(&passed);
    if (detached)
        close_attachment(attachment, "detached", CLOSE_WITH_SHUTDOWN);
}

static void read_input(struct attachment *attachment) {
    struct supervisor *supervisor = attachment->process->supervisor;
    if (attachment->input_ended) {
        if (attachment->gone)
            close_attachment(attachment, "closed", CLOSE_WITH_SHUTDOWN);
        return;
    }
    if (attachment->options.with_stdin && streams_input_blocked(attachment->process))
        return;
    ssize_t length =
        recv(attachment->watch.fd, supervisor->scratch, INPUT_READ_BYTES, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length > 0) {
        supervisor->warm = true;
        feed(attachment, supervisor->scratch, (size_t)length);
        return;
    }
    end_input(attachment);
    if (attachment->gone || length < 0)
        close_attachment(attachment, "closed", CLOSE_WITH_SHUTDOWN);
}

static void attach_ready(struct watch *watch, uint32_t events) {
    struct attachment *attachment = (struct attachment *)watch;
    if ((events & (EPOLLHUP | EPOLLERR)) != 0 && !attachment->gone)
        client_gone(attachment);
    if ((events & EPOLLOUT) != 0 && !attachment->closed && !attachment->gone)
        flush(attachment);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !attachment->closed)
        read_input(attachment);
    update(attachment);
}

/* --- life
 * --------------------------------------------------------------------------------------------------------
 */

void attach_add(struct supervisor *supervisor, struct process *process, const char *name,
                const struct attach_options *options, int fd, const struct byte_queue *head) {
    bool over = process == NULL || process->state >= PROCESS_DRAINED ||
                supervisor->state == SUPERVISOR_LEAVING;
    struct attachment *attachment = over ? NULL : calloc(1, sizeof(*attachment));
    int flags = fcntl(fd, F_GETFL);
    if (attachment == NULL || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        free(attachment);
        socket_end(fd);
        events_detached(supervisor, name, options->number, over ? "ended" : "closed");
        return;
    }
    attachment->watch = (struct watch){.fd = fd, .ready = attach_ready};
    attachment->process = process;
    attachment->options = *options;
    struct attachment **last = &process->attachments;
    while (*last != NULL)
        last = &(*last)->next;
    *last = attachment;
    if (head->length > 0)
        feed(attachment, queue_front(head), head->length);
    update(attachment);
}

void attach_detach(struct process *process, json_int_t number) {
    for (struct attachment *at = process->attachments; at != NULL; at = at->next)
        if (at->options.number == number && !at->closed) {
            close_attachment(at, "detached", CLOSE_WITH_SHUTDOWN);
            return;
        }
}

void attach_finish_all(struct process *process) {
    for (struct attachment *at = process->attachments; at != NULL; at = at->next) {
        at->finishing = true;
        if (at->queue.length == 0)
            close_attachment(at, "ended", CLOSE_WITH_SHUTDOWN);
    }
}

void attach_release_all(struct process *process) {
    for (struct attachment *at = process->attachments; at != NULL; at = at->next)
        close_attachment(at, "ended", CLOSE_SILENTLY);
}

void attach_close_all(struct process *process) {
    for (struct attachment *at = process->attachments; at != NULL; at = at->next)
        close_attachment(at, "closed", CLOSE_WITH_SHUTDOWN);
}

void attach_sweep(struct process *process) {
    for (struct attachment **at = &process->attachments; *at != NULL;) {
        struct attachment *attachment = *at;
        if (!attachment->closed) {
            at = &attachment->next;
            continue;
        }
        *at = attachment->next;
        free(attachment);
    }
}
