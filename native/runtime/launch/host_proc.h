/*
 * Settings of the calling process and its namespaces that are files of procfs. They are written
 * through the host's procfs, opened before the root changes: nothing that a container mounts can
 * redirect them (a container's /proc may be anything). Which process and which namespaces they
 * touch is decided by who writes, not by where it is mounted.
 */
#ifndef MYDOCK_HOST_PROC_H
#define MYDOCK_HOST_PROC_H

#include "../../common/error.h"
#include "config.h"

/* The host's /proc as an O_PATH descriptor, checked to be procfs. */
int host_proc_open(struct error **err);

/* linux.sysctl, in the caller's namespaces. */
int host_proc_sysctls(const struct config *config, int proc_fd, struct error **err);

/* process.oomScoreAdj; one that may not be lowered so far is a warning. */
int host_proc_oom_score(const struct config_process *process, int proc_fd, struct error **err);

/* process.apparmorProfile and selinuxLabel take effect at the next exec. Refused where the kernel
 * lacks them. */
int host_proc_labels(const struct config_process *process, int proc_fd, struct error **err);

#endif
