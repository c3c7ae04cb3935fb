/* Independence of the daemon: see leave_daemon.h. */
#define _GNU_SOURCE
#include "leave_daemon.h"
#include "../../common/cleanup.h"
#include "../../common/protocol.h"
#include "../../common/warn.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char group_name[] = "mydock-supervisors";
static const char oom_score[] = "-900";

/* Writes a kernel file in one write(2). */
static bool write_file(const char *path, const char *text, size_t length) {
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, length) == (ssize_t)length;
}

void leave_daemon(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    close_range(PROTOCOL_CONTROL_FD + 1, ~0U, 0);
    fcntl(PROTOCOL_CONTROL_FD, F_SETFD, FD_CLOEXEC);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    umask(022);
    /* Refused without CAP_SYS_RESOURCE: then the supervisor is as likely a victim as any small
     * process. */
    (void)write_file("/proc/self/oom_score_adj", oom_score, strlen(oom_score));
}

/* Copies a file of a cpuset parent to its child: a new cpuset is empty and takes no process. */
static void inherit(const char *parent, const char *group, const char *name) {
    char path[4096 + 64];
    char value[4096];
    snprintf(path, sizeof(path), "%s/%s", parent, name);
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, value, sizeof(value));
    if (length <= 0)
        return;
    snprintf(path, sizeof(path), "%s/%s", group, name);
    (void)write_file(path, value, (size_t)length);
}

static void join_group(const char *mount_point, bool cpuset) {
    char group[4096];
    char procs[4096 + 16];
    snprintf(group, sizeof(group), "%.4000s/%s", mount_point, group_name);
    bool made = mkdir(group, 0755) == 0;
    if (!made && errno != EEXIST) {
        warn("create cgroup %s: %s", group, strerror(errno));
        return;
    }
    if (made && cpuset) {
        inherit(mount_point, group, "cpuset.cpus");
        inherit(mount_point, group, "cpuset.mems");
    }
    snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
    if (!write_file(procs, "0", 1))
        warn("join cgroup %s: %s", group, strerror(errno));
}

/* One comma-separated list holds every word of another. */
static bool holds_all(const char *list, const char *words) {
    size_t list_length = strlen(list);
    for (const char *word = words; *word != '\0';) {
        size_t length = strcspn(word, ",");
        bool found = false;
        for (const char *at = list; !found && at < list + list_length;) {
            size_t span = strcspn(at, ",\n");
            found = span == length && strncmp(at, word, length) == 0;
            at += span + 1;
        }
        if (!found)
            return false;
        word += length + (word[length] == ',');
    }
    return true;
}

/* Finds where a hierarchy is mounted at its root. `controllers` is the middle field of
 * /proc/self/cgroup, empty for version 2. proc(5) describes the fields of mountinfo: 4 root, 5
 * mount point, behind " - " type, source, options. */
static bool find_mount(const char *controllers, char *mount_point, size_t size) {
    FILE *file = fopen("/proc/self/mountinfo", "re");
    cleanup_free char *line = NULL;
    size_t capacity = 0;
    bool found = false;
    while (file != NULL && !found && getline(&line, &capacity, file) > 0) {
        char root[8];
        char point[4001];
        char type[16];
        char options[1024];
        const char *rest = strstr(line, " - ");
        if (rest == NULL || sscanf(line, "%*s %*s %*s %7s %4000s", root, point) != 2 ||
            strcmp(root, "/") != 0 || sscanf(rest + 3, "%15s %*s %1023s", type, options) != 2)
            continue;
        found = controllers[0] == '\0'
                    ? strcmp(type, "cgroup2") == 0
                    : strcmp(type, "cgroup") == 0 && holds_all(options, controllers);
        if (found)
            snprintf(mount_point, size, "%s", point);
    }
    if (file != NULL)
        fclose(file);
    return found;
}

/* One line of /proc/self/cgroup: "id:controllers:path". */
static void leave_hierarchy(char *line) {
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (path == NULL)
        return;
    *path++ = '\0';
    controllers++;
    /* Nothing above the root to be stopped with; and a migration costs the whole machine a moment.
     */
    if (strcmp(path, "/") == 0 || (path[0] == '/' && strcmp(path + 1, group_name) == 0))
        return;
    char mount_point[4096];
    if (find_mount(controllers, mount_point, sizeof(mount_point)))
        join_group(mount_point, strstr(controllers, "cpuset") != NULL);
    else
        warn("the cgroup hierarchy \"%s\" is not mounted at its root: the supervisor stays in %s",
             controllers, path);
}

void leave_daemon_cgroups(void) {
    FILE *file = fopen("/proc/self/cgroup", "re");
    cleanup_free char *line = NULL;
    size_t capacity = 0;
    while (file != NULL && getline(&line, &capacity, file) > 0)
        leave_hierarchy(line);
    if (file != NULL)
        fclose(file);
}
