/*
 * The container's control groups: one directory a hierarchy, all at linux.cgroupsPath below the
 * hierarchy's mount point. Works on v1, on v2, and on both at once (controllers stay where the host
 * has them). cgroup.c owns finding, making and joining; cgroup_members.c the processes,
 * cgroup_freeze.c stopping them, cgroup_kill.c signals and removal, cgroup_figures.c what they use;
 * cgroup_v1.c and cgroup_v2.c write limits, cgroup_update.c those of a running container;
 * cgroup_oom.c is told of memory that runs out; cgroup_devices.c is v2's device rules. With systemd
 * the container's scope makes the groups, and systemd_scope.h has it.
 */
#ifndef MYDOCK_CGROUP_H
#define MYDOCK_CGROUP_H

#include "../../common/error.h"
#include "config.h"
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct cgroup_hierarchy {
    bool v2;
    /* v1: the mount options that name it: "cpu,cpuacct" or "name=systemd". v2: "". */
    char *controllers;
    /* Where the host has it mounted, and the container's directory there. */
    char *mount;
    char *directory;
    /* The directory; -1 before cgroup_create made it. */
    int directory_fd;
};

struct systemd_scope;
struct cgroup_journal;

struct cgroup {
    struct cgroup_hierarchy *hierarchies;
    size_t count;
    /* oom kills counted before the container's start (a group that was there already). */
    long oom_kills;
    /* NULL: systemd has no part in it. */
    struct systemd_scope *scope;
    /* While limits are updated: what was there before. */
    struct cgroup_journal *journal;
};

/* Where a container's groups are to be. */
struct cgroup_request {
    /* linux.cgroupsPath, "/a/b" below every hierarchy's root. */
    const char *path;
    /* The container's name, for systemd to show; NULL: the path. */
    const char *id;
    /* path is "slice:prefix:name", and systemd makes the group. */
    bool systemd;
};

/* Finds the hierarchies and makes the directories. Groups that have processes are refused (EBUSY).
 */
int cgroup_create(const struct cgroup_request *request, struct cgroup **out, struct error **err);
/* Finds the groups of a container that another process has made; hierarchies without it are left
 * out. ENOENT where none has it. */
int cgroup_open(const struct cgroup_request *request, struct cgroup **out, struct error **err);
/* Frees; the groups stay. NULL is allowed. */
void cgroup_close(struct cgroup *cgroup);
/* To be called once the container's init is in its groups (a scope of systemd is held open until
 * then). */
void cgroup_settle(struct cgroup *cgroup);
/* Writes the device rules. Before anybody joins: the v1 list is built rule by rule, and whoever is
 * in the group in between is denied what a later rule allows. */
int cgroup_limit_devices(struct cgroup *cgroup, const struct resources *resources,
                         struct error **err);
/* Writes the other limits of linux.resources. Fails, naming the controller, where a wanted one is
 * missing. */
int cgroup_limit(struct cgroup *cgroup, const struct resources *resources, struct error **err);
/* Changes the limits that are given, of a container that runs; -1 takes one away. Device rules stay
 * as they are. What the kernel refuses, or this host cannot give, leaves all limits as they were.
 */
int cgroup_update(struct cgroup *cgroup, const struct resources *resources, struct error **err);

/* For clone3's CLONE_INTO_CGROUP, which puts a child into v2 without a migration; -1 without v2. */
int cgroup_clone_fd(const struct cgroup *cgroup);
/* Puts the calling process, which must be single threaded, into all v1 hierarchies. */
int cgroup_join_v1(const struct cgroup *cgroup, struct error **err);

/* The number of oom kills since cgroup_create; -1 where it cannot be read. */
long cgroup_oom_kills(const struct cgroup *cgroup);
/* A descriptor, non-blocking, that becomes readable when the group, or one below it, is out of
 * memory; also when no process of it was killed for that (v1 without OOM killer). -1 where this
 * host cannot tell. The caller closes it before cgroup_destroy: on v1 removal wakes it too. */
int cgroup_oom_watch(const struct cgroup *cgroup);
/* Takes what made it readable. True where memory has run out since the last call; *told begins with
 * 0 and is this function's own. */
bool cgroup_oom_taken(const struct cgroup *cgroup, int fd, long *told);
/* Sends a signal to each process of the group and of groups below it. */
int cgroup_kill(const struct cgroup *cgroup, int signal, struct error **err);
/* Kills what is left, removes the directories with all below, frees. NULL is allowed. */
void cgroup_destroy(struct cgroup *cgroup);

/* Stops or continues all processes, and waits until it is so. Where stopping does not come about
 * within ten seconds (a process in an uninterruptible wait) everything runs on, and it fails. */
int cgroup_set_frozen(const struct cgroup *cgroup, bool frozen, struct error **err);
bool cgroup_is_frozen(const struct cgroup *cgroup);
/* The processes of the group and of groups below it, each once, by number. Those of pid namespaces
 * that the caller does not see are left out. The caller frees *pids. */
int cgroup_pids(const struct cgroup *cgroup, pid_t **pids, size_t *count, struct error **err);
/* What the container uses and may use, as "data" of runc's `events --stats` has it: cpu, memory,
 * pids, blkio, hugetlb. A controller that is missing leaves its part out. The caller owns the
 * result. */
json_t *cgroup_figures(const struct cgroup *cgroup, struct error **err);

/* A group and all groups below it, the deepest first; visit may be NULL: they are removed then, as
 * far as they are empty. Takes the descriptor. */
typedef void cgroup_visit(int directory_fd, void *context);
void cgroup_walk(int directory_fd, cgroup_visit *visit, void *context);

/* A process is in the group or in one below it. */
bool cgroup_is_in_use(int directory_fd);
/* The hierarchy in which the processes are counted: v2 where there is one, else any v1; NULL
 * without. */
const struct cgroup_hierarchy *cgroup_members(const struct cgroup *cgroup);
/* As cgroup_set_frozen, but gives up after so long without saying so: what follows is repeated. */
void cgroup_try_freeze(const struct cgroup *cgroup, bool frozen, int timeout_ms);

/* v1: the hierarchy that has the controller, v2 apart; NULL where none has. */
struct cgroup_hierarchy *cgroup_find_v1(const struct cgroup *cgroup, const char *controller);
struct cgroup_hierarchy *cgroup_find_v2(const struct cgroup *cgroup);

/* Writes text to a file of a group. */
int cgroup_write(const struct cgroup_hierarchy *hierarchy, const char *file, const char *text,
                 struct error **err);
int cgroup_write_number(const struct cgroup_hierarchy *hierarchy, const char *file, int64_t number,
                        struct error **err);
/* The same for limits: an update takes them back where a later one fails. */
int cgroup_set(struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy, const char *file,
               const char *text, struct error **err);
int cgroup_set_number(struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                      const char *file, int64_t number, struct error **err);
/* Files that bound each other (a quota and its period, memory with and without swap): which order
 * the kernel takes depends on what they hold. Writes those that it takes until none is left; fails
 * with the first that it never does. */
struct cgroup_value {
    const char *file;
    char text[64];
};
int cgroup_set_together(struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                        const struct cgroup_value *values, size_t count, struct error **err);
bool cgroup_has(const struct cgroup_hierarchy *hierarchy, const char *file);
/* Reads a file of a directory into text, without the newline, cut to the size; -1 with errno set.
 */
int cgroup_read(int directory_fd, const char *file, char *text, size_t size);
/* resources.memory.checkBeforeUpdate: fails where the group uses more, by one of its files, than
 * the limit that another is to have: the kernel would reclaim, and kill where that does not do. */
int cgroup_check_usage(const struct cgroup_hierarchy *memory, const char *used, const char *limit,
                       const struct resources *resources, struct error **err);
/* The error that a limit's controller is not there. */
int cgroup_missing(const char *controller, const char *limit, struct error **err);

int cgroup_v1_limit(struct cgroup *cgroup, const struct resources *resources, struct error **err);
/* Gives a fresh cpuset group its parent's processors and memory nodes: without, no process can
 * join. */
int cgroup_v1_inherit_cpuset(int parent_fd, int directory_fd, const char *name, struct error **err);
int cgroup_v1_limit_devices(struct cgroup *cgroup, const struct resources *resources,
                            struct error **err);
int cgroup_v2_limit_devices(struct cgroup *cgroup, const struct resources *resources,
                            struct error **err);
int cgroup_v2_limit(struct cgroup *cgroup, const struct resources *resources, struct error **err);
int cgroup_v2_limit_block(struct cgroup *cgroup, const struct resources *resources,
                          struct error **err);
/* Turns controllers on for the children of a group; one that cannot be stays off. */
void cgroup_v2_enable(int directory_fd);

/* Attaches the device rules to a v2 group as an eBPF program. */
int cgroup_devices_attach(int directory_fd, const struct resources_device_rule *rules, size_t count,
                          struct error **err);

#endif
