/* The command line up to its verb. See oci.h. */
#define _GNU_SOURCE
#include "../launch/self_exe.h"
#include "arguments.h"
#include "oci.h"
#include "report.h"
#include "version.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_ROOT "/run/mydock-runtime"

static const struct {
    const char *name;
    oci_verb *run;
    /* It makes processes of containers, and protects its own file from them. */
    bool launches;
    const char *help;
} VERBS[] = {
    {"create", oci_create, true, "create a container from a bundle"},
    {"start", oci_start, false, "start the program of a created container"},
    {"run", oci_run_container, true, "create and start a container"},
    {"exec", oci_exec, true, "run a further process in a container"},
    {"state", oci_show_state, false, "print a container's state"},
    {"list", oci_list, false, "list the containers"},
    {"ps", oci_ps, false, "list a container's processes"},
    {"kill", oci_kill, false, "send a signal to a container"},
    {"pause", oci_pause, false, "stop all processes of a container"},
    {"resume", oci_resume, false, "let a paused container go on"},
    {"update", oci_update, false, "change a container's limits"},
    {"events", oci_events, false, "print what a container uses, and its OOM kills"},
    {"delete", oci_delete, false, "remove a container that has ended"},
    {"spec", oci_spec, false, "write a config.json to begin with"},
    {"features", oci_features, false, "print what this runtime can do"},
};

struct main_options {
    const char *log, *log_format, *log_level, *rootless, *cgroup_manager;
    bool debug, version, help;
};

static void main_print_help(const struct argument *table) {
    puts("usage: mydock-runtime [global options] VERB [options] [CONTAINER-ID]\n"
         "       mydock-runtime supervise --bundle DIR\n\nVerbs (each has --help):");
    for (size_t index = 0; index < sizeof(VERBS) / sizeof(VERBS[0]); index++)
        printf("  %-10s %s\n", VERBS[index].name, VERBS[index].help);
    puts("\nGlobal options:");
    arguments_print_help(table);
}

/* Closed standard descriptors are filled: a file that is opened next would be taken for one. */
static void main_hold_stdio(void) {
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDWR);
    if (fd >= 0)
        close(fd);
}

static int main_check(const struct main_options *options, struct oci_global *global,
                      struct error **err) {
    const char *manager = options->cgroup_manager;
    if (manager != NULL && strcmp(manager, "systemd") == 0)
        global->systemd_cgroup = true;
    else if (manager != NULL && strcmp(manager, "cgroupfs") != 0)
        return error_setf(err, EINVAL, "read", "cgroup-manager",
                          "--cgroup-manager %s: must be cgroupfs or systemd", manager);
    if (strcmp(options->log_format, "text") != 0 && strcmp(options->log_format, "json") != 0)
        return error_setf(err, EINVAL, "read", "log-format",
                          "--log-format %s: must be text or json", options->log_format);
    if (strcmp(options->rootless, "auto") != 0 && strcmp(options->rootless, "false") != 0)
        return error_setf(err, ENOTSUP, "read", "rootless",
                          "--rootless %s is not supported: this runtime needs root",
                          options->rootless);
    return 0;
}

static int main_run_verb(const struct oci_global *global, char **all, char **arguments) {
    struct error *err = NULL;
    const char *verb = arguments[0];
    int status = -1;
    size_t index = 0, count = sizeof(VERBS) / sizeof(VERBS[0]);
    while (index < count && strcmp(VERBS[index].name, verb) != 0)
        index++;
    if (index == count)
        error_setf(&err, EINVAL, "read", verb, "unknown verb \"%s\"; see mydock-runtime --help",
                   verb);
    else if (!VERBS[index].launches || self_exe_protect(all, &err) == 0)
        status = VERBS[index].run(global, arguments + 1, &err);
    if (status < 0) {
        report_error(index == count ? NULL : verb, err);
        /* 126 and 127 say what they say everywhere; all else is 1. */
        status = err != NULL && err->exit_code != 125 ? err->exit_code : 1;
    }
    error_free(err);
    return status;
}

int oci_usage(const char *usage, struct error **err) {
    return error_setf(err, EINVAL, "read", "arguments", "usage: mydock-runtime %s", usage);
}

int oci_run(char **arguments) {
    struct oci_global global = {.root = DEFAULT_ROOT};
    struct main_options options = {.log_format = "text", .rootless = "auto"};
    struct error *err = NULL;
    struct operands operands;
    const struct argument table[] = {
        {"root", 0, ARGUMENT_TEXT, &global.root, "DIR",
         "where the states of containers lie (" DEFAULT_ROOT ")"},
        {"log", 0, ARGUMENT_TEXT, &options.log, "FILE", "where errors and warnings go as well"},
        {"log-format", 0, ARGUMENT_TEXT, &options.log_format, "FORMAT", "text or json"},
        {"log-level", 0, ARGUMENT_TEXT, &options.log_level, "LEVEL",
         "accepted: warnings and errors are all there is"},
        {"debug", 0, ARGUMENT_FLAG, &options.debug, NULL, "accepted, as --log-level"},
        {"systemd-cgroup", 0, ARGUMENT_FLAG, &global.systemd_cgroup, NULL,
         "cgroupsPath is slice:prefix:name, and systemd makes the group"},
        {"cgroup-manager", 0, ARGUMENT_TEXT, &options.cgroup_manager, "NAME",
         "cgroupfs or systemd"},
        {"rootless", 0, ARGUMENT_TEXT, &options.rootless, "VALUE", "auto or false"},
        {"version", 'v', ARGUMENT_FLAG, &options.version, NULL, "print the version"},
        {"help", 'h', ARGUMENT_FLAG, &options.help, NULL, "show this"},
        {NULL, 0, ARGUMENT_FLAG, NULL, NULL, NULL},
    };
    main_hold_stdio();
    /* self_exe_protect executes the whole command line again: it is read from a copy. */
    size_t count = 0;
    while (arguments[count] != NULL)
        count++;
    char **copy = calloc(count + 1, sizeof(*copy));
    if (copy == NULL)
        return 1;
    memcpy(copy, arguments, count * sizeof(*copy));
    int status = 1;
    if (count == 0 || arguments_read(copy + 1, table, 1, &operands, &err) < 0 ||
        main_check(&options, &global, &err) < 0 ||
        report_open(options.log, strcmp(options.log_format, "json") == 0, &err) < 0) {
        report_error(NULL, err);
    } else if (options.version) {
        printf("mydock-runtime version %s\nspec: 1.2.0\n", MYDOCK_VERSION);
        status = 0;
    } else if (options.help || operands.count == 0) {
        main_print_help(table);
        status = options.help ? 0 : 1;
    } else {
        status = main_run_verb(&global, arguments, operands.items);
    }
    error_free(err);
    free(copy);
    return fflush(stdout) == 0 ? status : 1;
}
