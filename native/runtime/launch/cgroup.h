/*
 * The container's control groups: one directory a hierarchy, all at linux.cgroupsPath below the
 * hierarchy's mount point. Works on v1, on v2, and on both at once (controllers stay where the host
 * has them). cgroup.c owns finding, making, joining and removing; cgroup_v1.c and cgroup_v2.c write
 * limits; cgroup_devices.c is v2's device rules.
 */
#ifndef MYDOCK_CGROUP_H
#define MYDOCK_CGROUP_H

#include "../../common/error.h"
#include "config.h"
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

struct cgroup {
    struct cgroup_hierarchy *hierarchies;
    size_t count;
    /* oom kills counted before the container's start (a group that was there already). */
    long oom_kills;
};

/* Where a container's groups are to be. */
struct cgroup_request {
    /* linux.cgroupsPath. */
    const char *path;
    /* The container's name, for systemd; may be NULL. */
    const char *id;
    /* path is "slice:prefix:name", and systemd makes the group. */
    bool systemd;
};

/* Finds the hierarchies and makes the directories. */
int cgroup_create(const struct cgroup_request *request, struct cgroup **out, struct error **err);
/* Writes the device rules. Before anybody joins: the v1 list is built rule by rule, and whoever is
 * in the group in between is denied what a later rule allows. */
int cgroup_limit_devices(struct cgroup *cgroup, const struct resources *resources,
                         struct error **err);
/* Writes the other limits of linux.resources. Fails, naming the controller, where a wanted one is
 * missing. */
int cgroup_limit(struct cgroup *cgroup, const struct resources *resources, struct error **err);

/* For clone3's CLONE_INTO_CGROUP, which puts a child into v2 without a migration; -1 without v2. */
int cgroup_clone_fd(const struct cgroup *cgroup);
/* Puts the calling process, which must be single threaded, into all v1 hierarchies. */
int cgroup_join_v1(const struct cgroup *cgroup, struct error **err);

/* The number of oom kills since cgroup_create; -1 where it cannot be read. */
long cgroup_oom_kills(const struct cgroup *cgroup);
/* Sends a signal to each process of the group and of groups below it. */
int cgroup_kill(const struct cgroup *cgroup, int signal, struct error **err);
/* Kills what is left, removes the directories with all below, frees. */
void cgroup_destroy(struct cgroup *cgroup);

/* v1: the hierarchy that has the controller, v2 apart; NULL where none has. */
struct cgroup_hierarchy *cgroup_find_v1(const struct cgroup *cgroup, const char *controller);
struct cgroup_hierarchy *cgroup_find_v2(const struct cgroup *cgroup);

/* Writes text to a file of a group. */
int cgroup_write(const struct cgroup_hierarchy *hierarchy, const char *file, const char *text,
                 struct error **err);
int cgroup_write_number(const struct cgroup_hierarchy *hierarchy, const char *file, int64_t number,
                        struct error **err);
/* Reads a file of a directory into text, without the newline; -1 with errno set. */
int cgroup_read(int directory_fd, const char *file, char *text, size_t size);
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
/* Turns controllers on for the children of a group; one that cannot be stays off. */
void cgroup_v2_enable(int directory_fd);

/* Attaches the device rules to a v2 group as an eBPF program. */
int cgroup_devices_attach(int directory_fd, const struct resources_device_rule *rules, size_t count,
                          struct error **err);

#endif
