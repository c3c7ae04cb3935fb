/*
 * Attachments: client sockets that the daemon handed over. Output goes to them in Docker's stream
 * framing or raw, stdin comes from them. A slow client slows the process down; a client that is
 * gone never does.
 */
#ifndef MYDOCK_ATTACH_H
#define MYDOCK_ATTACH_H

#include "byte_queue.h"
#include "detach_keys.h"
#include "process.h"
#include <jansson.h>

struct attach_options {
    json_int_t number;
    bool with_stdin;
    bool with_stdout;
    bool with_stderr;
    bool framed;
    struct detach_keys keys;
};

/* Attaches a socket, which it takes over; `head` are bytes of stdin that came before. A process
 * that has ended (or NULL, with its name) only gets the DETACHED event. */
void attach_add(struct supervisor *supervisor, struct process *process, const char *name,
                const struct attach_options *options, int fd, const struct byte_queue *head);
/* DETACH. Nothing happens where there is no such attachment. */
void attach_detach(struct process *process, json_int_t number);

/* Sends output of a stream (1, 2) to all that want it. */
void attach_output(struct process *process, unsigned char stream, const unsigned char *bytes,
                   size_t length);
/* Bytes that the slowest attachment has not taken. */
size_t attach_largest_queue(const struct process *process);
/* Call after stdin's room has changed. */
void attach_update_all(struct process *process);

/* The process has ended: each attachment ends when its client has everything. */
void attach_finish_all(struct process *process);
/* The process was never executed: lets go of the sockets as they are, for the daemon to answer on.
 */
void attach_release_all(struct process *process);
/* Closes all, whatever their clients have not taken. */
void attach_close_all(struct process *process);
/* Frees the closed ones. */
void attach_sweep(struct process *process);

#endif
