/*
 * The protocol between mydockd and a container's supervisor (mydock-runtime supervise), over an
 * AF_UNIX stream socket. Twin of src/native/supervisor-protocol.ts: same order, same comments, same
 * version; both are tested on the fixtures in test/fixtures/protocol/.
 *
 * A message is an 8-byte header, two little-endian 32-bit numbers (type, payload length in bytes),
 * and a payload of UTF-8 JSON, always an object. A descriptor that belongs to a message travels as
 * SCM_RIGHTS on the message's first byte; a receiver keeps received descriptors in order and gives
 * one to each message that is defined to carry one.
 *
 * The supervisor gets its first connection as descriptor 3, and listens on the socket path of its
 * supervisor.json for later ones (a restarted daemon). Every connection is equal: each gets a
 * STATUS first and every event after it. Commands are handled in the order in which they arrive; a
 * daemon may send ATTACH and START without waiting. A connection that breaks the protocol, or
 * leaves more than 1 MiB of events unread, is closed.
 *
 * "process" names a process of the container: "" is its init, anything else is an exec ID chosen by
 * the daemon.
 *
 * Supervisors outlive daemons, so that builds of different age meet. Messages get fields, never
 * lose them or change what they mean, and who does not know a field or an event passes over it. The
 * version is raised with every new command, which a daemon sends to no supervisor older than that;
 * "oldest" in STATUS (absent: 1) is raised where a supervisor no longer does what older daemons
 * expect. STATUS, EXITED and KILL stay what they are for ever: whatever the versions, a container
 * can be seen, ended and removed.
 */
#ifndef MYDOCK_PROTOCOL_H
#define MYDOCK_PROTOCOL_H

#define PROTOCOL_VERSION 1
#define PROTOCOL_HEADER_BYTES 8
#define PROTOCOL_PAYLOAD_MAX (1024 * 1024)
#define PROTOCOL_CONTROL_FD 3

enum protocol_type {
    /* Commands, daemon to supervisor. */

    /* {}: lets the created init execute. Answered by STARTED or FAILED. */
    PROTOCOL_START = 1,
    /* {"process","signal","all"}: sends the signal number to the process, or with "all" to all in
       the cgroup. */
    PROTOCOL_KILL = 2,
    /* {"process","rows","cols"}: sets the size of the process's terminal. Ignored without one. */
    PROTOCOL_RESIZE = 3,
    /* {"process","spec","stdin"}: starts a process in the container's namespaces. "spec" is an OCI
     * process object; "stdin": keep a stdin pipe for ATTACH, else /dev/null. Its start waits for
     * the START_EXEC message. */
    PROTOCOL_EXEC = 4,
    /* {"process"}: runs a process declared by EXEC. Answered by STARTED or FAILED, later by EXITED.
     */
    PROTOCOL_START_EXEC = 5,
    /* {"process","attachment","stdin","stdout","stderr","framed","detachKeys","head"} and one
     * descriptor, a stream socket: from here on the supervisor reads stdin from it and writes
     * output to it. "framed": output in Docker's 8-byte stream framing, else raw. "detachKeys":
     * array of byte values, empty for none. "head": base64 of stdin bytes that were read from the
     * socket before it was handed over. "attachment": a number chosen by the daemon. */
    PROTOCOL_ATTACH = 6,
    /* {"process","attachment"}: lets go of an attachment. */
    PROTOCOL_DETACH = 7,

    /* Events, supervisor to daemon. */

    /* {"version","id","pid","state","startedAt","processes","ended"}: the first message on each
     * connection. "state" is "created" or "running"; "processes": [{"process","pid"}], running
     * execs; "ended" (absent where there are none): [{"process","exitCode"}], the last execs whose
     * EXITED no daemon may have read, oldest first. Times are RFC 3339, nanoseconds; "startedAt" is
     * empty before the start. */
    PROTOCOL_STATUS = 64,
    /* {"process","pid","startedAt"}: the process's program executes. */
    PROTOCOL_STARTED = 65,
    /* {"process","exitCode","step","object","errno","message"}: it does not: "exitCode" is 127
     * where the program was not found, 126 where it cannot be executed, 125 for all else; "errno"
     * is a name, "" for none. After a failed init the supervisor cleans up and leaves. Attachments
     * of the process end first, and their sockets are closed without shutdown(2): a daemon that
     * kept its own descriptor can still answer on it. */
    PROTOCOL_FAILED = 66,
    /* {"process","exitCode","signal","oomKilled","exitedAt"}: it ended. "exitCode" is 128+n after
     * signal n. Of an exec this comes before its attachments end, so that a client that sees the
     * end of the output finds the exit code known. Of the init it comes when its output was
     * delivered, the exit record stands and the socket is gone; the supervisor leaves after this.
     * Output is waited for until no client has taken any for 10 s; one that lags behind by more
     * still gets all of it, and DETACHED comes after EXITED. */
    PROTOCOL_EXITED = 67,
    /* {"process","attachment","reason"}: an attachment ended: "detached" (keys or DETACH), "closed"
     * (the client went away), "ended" (the process did). */
    PROTOCOL_DETACHED = 68,
    /* {}: the container is out of memory: the kernel killed one of its processes, or, without OOM
     * killer, makes them wait. Before the EXITED that may follow from it. */
    PROTOCOL_OOM = 69,
    /* {"steps"}: where the time went, for a trace, in a supervisor that was started with
     * MYDOCK_STEP_TIMES in its environment: [{"label","process","atUs"}], what was passed since the
     * last such message and when, in microseconds of Unix time, by which process as it is numbered
     * itself. Before STARTED, FAILED and EXITED. */
    PROTOCOL_STEPS = 70,
};

#endif
