/*
 * One process of the container, the init or an exec, from its declaration until its end is reported
 * and its output delivered.
 */
#ifndef MYDOCK_PROCESS_H
#define MYDOCK_PROCESS_H

#include "byte_queue.h"
#include "log.h"
#include "loop.h"
#include "runtime.h"
#include <jansson.h>
#include <sys/ioctl.h>
#include <sys/types.h>

struct attachment;
struct supervisor;

enum process_state {
    /* An exec that waits for START_EXEC. */
    PROCESS_DECLARED,
    /* The runtime is making it. */
    PROCESS_STARTING,
    PROCESS_ALIVE,
    /* Reaped; its output may still be in the pipes. */
    PROCESS_ENDED,
    /* All output is with the attachments. */
    PROCESS_DRAINED,
    /* Its end is (for the init: may be) reported; clients may still read. */
    PROCESS_REPORTED,
};

/* Where one of its output streams is read. */
struct output {
    struct watch watch;
    struct process *process;
    /* 1 stdout (and a terminal), 2 stderr. */
    unsigned char stream;
    struct log_stream log;
};

/* Where its stdin is written. */
struct input {
    struct watch watch;
    struct process *process;
    /* What the process has not taken yet. */
    struct byte_queue queue;
    /* The attachments may write to it (it may not be open yet). */
    bool wanted;
    /* To be closed when the queue is empty. */
    bool closing;
};

struct process {
    struct supervisor *supervisor;
    struct process *next;
    /* "" for the init. */
    char *name;
    enum process_state state;
    /* Who has declared it, and is to start it. */
    const struct connection *declarer;
    pid_t pid;
    /* OCI process object of a declared exec, else NULL. */
    json_t *spec;
    /* Terminal: its master for resizing, and its slave, held open so that the terminal never looks
     * hung up while the process lives. -1 without one. */
    int console_fd;
    int console_slave_fd;
    /* What was asked for while it was STARTING: a signal, a size. 0: nothing. */
    int wanted_signal;
    struct winsize wanted_size;
    struct runtime_exec starting;
    struct output outputs[2];
    struct input input;
    struct attachment *attachments;
    int wait_status;
    struct timespec started_at;
    struct timespec exited_at;
    /* Something else holds its pipes open: stop waiting. */
    struct timer drain;
    /* Clients that do not read: stop waiting. */
    struct timer patience;
    /* When a client last took output of the ended process. */
    int64_t progress_ms;
};

/* A declared process; spec may be NULL (the init). with_stdin: attachments may write to its stdin.
 * NULL without memory. */
struct process *process_new(struct supervisor *supervisor, const char *name, json_t *spec,
                            bool with_stdin);
/* Closes and frees; its attachments must be gone. NULL is allowed. */
void process_free(struct process *process);
/* By name; NULL where there is none, or its end was reported. */
struct process *process_find(struct supervisor *supervisor, const char *name);
bool process_is_init(const struct process *process);

/* Runs a declared exec; reports STARTED or FAILED, at once or when the runtime has made it. */
void process_exec(struct process *process);
/* Sends a signal to it, now or when it has started; one that does not run gets none. */
void process_signal_send(struct process *process, int signal);
/* Sets the size of its terminal, now or when it has started; ignored without one. */
void process_resize(struct process *process, const struct winsize *size);
/* waitpid(2) returned it. */
void process_reaped(struct process *process, int wait_status);
/* Moves on as far as its streams and clients allow. True where it is over. */
bool process_settle(struct process *process);
/* Its end is reported and no client is left: it may be freed. */
bool process_is_over(const struct process *process);

int process_exit_code(const struct process *process);
int process_signal(const struct process *process);

#endif
