/*
 * The channel between a child on its way to exec and its parent: a SOCK_SEQPACKET pair, one message
 * a packet. The child's end is O_CLOEXEC, so that end-of-file after SYNC_GO means that the program
 * executes; end-of-file before it means that the child died.
 *
 *   init:  with hooks: child SYNC_MOUNTED -> parent SYNC_GO, which tells the child its pid
 *          child SYNC_READY (with the terminal, if any) -> parent SYNC_GO -> end-of-file
 *   exec:  first child SYNC_PID -> its child SYNC_READY (with the terminal) -> end-of-file
 *   either: SYNC_FAILED at any point, after which the child leaves; SYNC_LISTENER once a seccomp
 *           filter that notifies is loaded -> parent SYNC_GO (filter_listener.h). The init loads
 *           such a filter in front of SYNC_READY, so that its creator serves it.
 *
 * A parent's death is seen by the child as end-of-file where it waits for SYNC_GO: it leaves
 * without a word.
 */
#ifndef MYDOCK_SYNC_H
#define MYDOCK_SYNC_H

#include "../../common/error.h"
#include <sys/types.h>

enum sync_type {
    SYNC_END = 0,
    SYNC_READY = 1,
    SYNC_GO = 2,
    SYNC_PID = 3,
    SYNC_FAILED = 4,
    SYNC_LISTENER = 5,
    SYNC_MOUNTED = 6,
};

struct sync_message {
    enum sync_type type;
    /* SYNC_PID: as the sender's pid namespace counts. SYNC_LISTENER: a descriptor's number.
     * SYNC_GO after SYNC_MOUNTED: the child's, as the host counts. */
    pid_t pid;
    /* SYNC_FAILED. */
    struct error failure;
};

/* Both ends O_CLOEXEC; ends[0] the parent's. */
int sync_open(int ends[2], struct error **err);
/* The same channel for a parent that is somebody else: the child accepts one connection to a socket
 * in directory_fd, a folder that only its owner may enter. */
int sync_listen(int directory_fd, const char *name, struct error **err);
/* Returns the child's end; -1 at once after a failure. */
int sync_accept(int listener);
/* Returns the parent's end; ECONNREFUSED where the child is gone. */
int sync_connect(int directory_fd, const char *name, struct error **err);
/* attached: a descriptor to pass along, or -1. Returns -1 where the peer is gone. */
int sync_send(int fd, enum sync_type type, pid_t pid, int attached);
/* Reports the error and leaves with its exit code. */
void sync_fail(int fd, const struct error *failure) __attribute__((noreturn));
/* Waits for the next message; SYNC_END at end-of-file. *attached (may be NULL) gets a descriptor
 * that came along. */
int sync_receive(int fd, struct sync_message *message, int *attached, struct error **err);
/* An error of the peer's as one of ours. Returns -1. */
int sync_adopt(const struct sync_message *message, struct error **err);

#endif
