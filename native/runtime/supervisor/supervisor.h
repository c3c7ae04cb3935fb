/*
 * One container's supervisor: its state, shared by the files that each do one job of it.
 * Single-threaded, one event loop. Handlers change the state and set `changed`; supervisor_settle
 * draws the consequences (frees what is closed, reports what has ended, leaves) when no handler
 * runs, so that a handler never loses an object under its feet.
 *
 *   supervisor.c  life from create to exit      process.c  one process: start, end, delivery
 *   control.c     connections, framing          stdio.c    pipes, terminals, pumping
 *   commands.c    commands decoded and run      attach.c   clients that read output and write stdin
 *   events.c      events encoded                log.c      json-file log
 *   runtime.c     who makes the processes       oom_watch.c  memory that runs out
 *                                               log_forward.c  journald, syslog
 */
#ifndef MYDOCK_SUPERVISOR_H
#define MYDOCK_SUPERVISOR_H

#include "exit_record.h"
#include "log.h"
#include "loop.h"
#include "oom_watch.h"
#include "runtime.h"
#include "supervisor_config.h"

#define SUPERVISOR_SCRATCH_BYTES (256 * 1024)

enum supervisor_state {
    /* The init waits in front of its exec; the daemon that made it must still be there. */
    SUPERVISOR_CREATED,
    SUPERVISOR_RUNNING,
    /* The exit record stands, the last events are sent; what clients have not read yet is still
       delivered. */
    SUPERVISOR_LEAVING,
};

struct process;
struct connection;

/* How an exec has ended, for a daemon that comes later. */
struct exec_end {
    /* NULL where there is none. */
    char *process;
    int exit_code;
    int64_t ended_ms;
};

/* As many are remembered. */
enum { ENDED_EXECS_MAX = 128 };

struct supervisor {
    struct loop loop;
    struct supervisor_config config;
    enum supervisor_state state;
    /* NULL once the container is gone. */
    struct runtime *runtime;
    /* The init as the runtime's create made it, for its start. */
    struct launch_process launched;
    /* NULL without a log. */
    struct log *log;
    struct process *init;
    /* Execs, in order of declaration. */
    struct process *execs;
    struct connection *connections;
    /* The last execs that have ended, a ring: the next one takes the place of ended_next. */
    struct exec_end ended[ENDED_EXECS_MAX];
    unsigned ended_next;
    /* When the last daemon left; 0 while one is connected. */
    int64_t alone_ms;
    struct watch listener;
    struct timer listen_again;
    struct watch signals;
    struct oom_watch oom;
    /* Leaves the daemon's cgroups, some time after the start. */
    struct timer leave_cgroups;
    /* Gives up on connections that do not take the last events. */
    struct timer farewell;
    bool farewell_over;
    /* Memory for reading, used within one handler: SUPERVISOR_SCRATCH_BYTES. */
    unsigned char *scratch;
    /* Something is to be settled. */
    bool changed;
    /* Buffers were used since they were last released. */
    bool warm;
};

/* The verb: supervises the container of `bundle` until it has ended. Returns the exit status of the
 * program. */
int supervisor_run(const char *bundle);

/* START: lets the init execute. */
void supervisor_start(struct supervisor *supervisor);
/* Execs that wait for START_EXEC can no longer start: those of one connection, which is gone, or,
 * with NULL, all. Their clients are let go. */
void supervisor_end_declared(struct supervisor *supervisor, const struct connection *declarer);
/* The container will not run: kills what is there, records and reports why, leaves. Takes err over;
 * NULL is allowed where memory has run out. */
void supervisor_abort(struct supervisor *supervisor, struct error *err);

#endif
