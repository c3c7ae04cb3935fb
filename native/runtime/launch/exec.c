/* See exec.h. The messages are those that Docker's users and scripts know. */
#define _GNU_SOURCE
#include "exec.h"
#include "capabilities.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int exec_error(struct error **err, int number, int exit_code, const char *name,
                      const char *text) {
    error_setf(err, number, "exec", name, "exec: \"%s\": %s", name, text);
    if (err != NULL && *err != NULL)
        (*err)->exit_code = exit_code;
    return -1;
}

static const char *exec_search_path(const struct config_process *process) {
    for (size_t index = 0; index < process->env.count; index++) {
        if (strncmp(process->env.items[index], "PATH=", 5) == 0)
            return process->env.items[index] + 5;
    }
    return DEFAULT_PATH;
}

/* 0 where path is a file that the caller may execute, else an errno value. */
static int exec_check(const char *path) {
    struct stat status;
    if (stat(path, &status) < 0)
        return errno;
    if (S_ISDIR(status.st_mode))
        return EISDIR;
    if ((status.st_mode & 0111) == 0)
        return EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 && errno != ENOSYS ? errno : 0;
}

static int exec_find_in_path(const struct config_process *process, const char *name,
                             char found[PATH_MAX], struct error **err) {
    for (const char *part = exec_search_path(process); part != NULL && name[0] != '\0';) {
        size_t length = strcspn(part, ":");
        int needed =
            snprintf(found, PATH_MAX, "%.*s%s%s", (int)length, length == 0 ? "." : part, "/", name);
        if (length == 0)
            needed = snprintf(found, PATH_MAX, "./%s", name);
        if (needed < PATH_MAX && exec_check(found) == 0)
            return 0;
        part = part[length] == ':' ? part + length + 1 : NULL;
    }
    return exec_error(err, ENOENT, 127, name, "executable file not found in $PATH");
}

static int exec_refused(const char *name, int number, struct error **err) {
    char text[PATH_MAX + 64];
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        snprintf(text, sizeof(text), "stat %s: %s", name,
                 number == ENOENT ? "no such file or directory" : "not a directory");
        return exec_error(err, number, 127, name, text);
    case EACCES:
        return exec_error(err, number, 126, name, "permission denied");
    case EISDIR:
        return exec_error(err, number, 126, name, "is a directory");
    case ENOEXEC:
        return exec_error(err, number, 126, name, "exec format error");
    default:
        return exec_error(err, number, 126, name, strerror(number));
    }
}

static int exec_find(const struct config_process *process, char found[PATH_MAX],
                     struct error **err) {
    const char *name = process->args.items[0];
    if (strchr(name, '/') == NULL)
        return exec_find_in_path(process, name, found, err);
    if (snprintf(found, PATH_MAX, "%s", name) >= PATH_MAX)
        return exec_refused(name, ENAMETOOLONG, err);
    int number = exec_check(found);
    return number == 0 ? 0 : exec_refused(name, number, err);
}

int exec_look(const struct config_process *process, struct error **err) {
    char found[PATH_MAX];
    return exec_find(process, found, err);
}

/* Loading a filter takes no_new_privs or CAP_SYS_ADMIN. With the first it comes last, so that it
 * need not allow anything but execve; without, it comes while the capability is still there, and
 * must allow capset and prctl. */
int exec_confine(const struct config_process *process, const struct seccomp_filter *filter,
                 int sync_fd, struct error **err) {
    if (!process->no_new_privileges) {
        if (filter_load(filter, sync_fd, err) < 0)
            return -1;
        return capabilities_apply(&process->capabilities, err);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(err, errno, "set", "no_new_privs");
    if (capabilities_apply(&process->capabilities, err) < 0)
        return -1;
    return filter_load(filter, sync_fd, err);
}

static int exec_found(const struct config_process *process, const char *found, struct error **err) {
    execve(found, (char *const *)process->args.items, (char *const *)process->env.items);
    int number = errno;
    /* The file is there: what is missing is the interpreter that it names. */
    if (number == ENOENT)
        return exec_error(err, number, 127, process->args.items[0], "no such file or directory");
    return exec_refused(process->args.items[0], number, err);
}

int exec_program(const struct config_process *process, const struct seccomp_filter *filter,
                 int sync_fd, struct error **err) {
    char found[PATH_MAX];
    if (exec_find(process, found, err) < 0 || exec_confine(process, filter, sync_fd, err) < 0)
        return -1;
    return exec_found(process, found, err);
}

int exec_confined(const struct config_process *process, struct error **err) {
    char found[PATH_MAX];
    return exec_find(process, found, err) < 0 ? -1 : exec_found(process, found, err);
}
