/* The verb ps. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "../launch/cgroup.h"
#include "arguments.h"
#include "oci.h"
#include "state.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PS_ARGUMENTS_MAX 64

static int ps_read_pids(const struct oci_global *global, const char *id, pid_t **pids,
                        size_t *count, struct error **err) {
    struct state *state = NULL;
    struct launch_container *container = NULL;
    if (state_open(global, id, false, &state, err) < 0)
        return -1;
    int result = state_launch(state, NULL, &container, err);
    if (result == 0 && launch_cgroup(container) != NULL)
        result = cgroup_pids(launch_cgroup(container), pids, count, err);
    launch_leave(container);
    state_close(state);
    return result;
}

static void ps_print_json(const pid_t *pids, size_t count) {
    putchar('[');
    for (size_t index = 0; index < count; index++)
        printf("%s%d", index == 0 ? "" : ",", (int)pids[index]);
    puts("]");
}

/* The number in a column of a line of ps(1), columns counted from 0; -1 without. */
static long ps_column_number(const char *line, int column) {
    for (; column > 0; column--) {
        line += strspn(line, " ");
        line += strcspn(line, " ");
    }
    char *end = NULL;
    long number = strtol(line, &end, 10);
    return end == line ? -1 : number;
}

static int ps_find_column(char *header) {
    char *position = NULL;
    int column = 0;
    for (char *name = strtok_r(header, " \n", &position); name != NULL;
         name = strtok_r(NULL, " \n", &position), column++) {
        if (strcmp(name, "PID") == 0)
            return column;
    }
    return -1;
}

static int ps_filter(FILE *lines, const pid_t *pids, size_t count, struct error **err) {
    char *line = NULL;
    size_t size = 0;
    int column = -1;
    if (getline(&line, &size, lines) > 0) {
        fputs(line, stdout);
        column = ps_find_column(line);
    }
    while (column >= 0 && getline(&line, &size, lines) > 0) {
        long pid = ps_column_number(line, column);
        bool wanted = false;
        for (size_t index = 0; index < count; index++)
            wanted = wanted || pids[index] == pid;
        if (wanted)
            fputs(line, stdout);
    }
    free(line);
    return column < 0 ? error_setf(err, EINVAL, "ps", "PID", "ps printed no column PID") : 0;
}

static int ps_print_table(const pid_t *pids, size_t count, const struct operands *operands,
                          struct error **err) {
    char *arguments[PS_ARGUMENTS_MAX + 2] = {"ps", "-ef"};
    int ends[2], status = 0, result = -1;
    if (operands->count - 1 > PS_ARGUMENTS_MAX)
        return error_set(err, E2BIG, "ps", "arguments");
    for (int index = 1; index < operands->count; index++)
        arguments[index] = operands->items[index];
    if (pipe(ends) < 0)
        return error_set(err, errno, "pipe", "");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execvp("ps", arguments);
        fprintf(stderr, "mydock-runtime: execute ps: %s\n", strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    FILE *lines = pid < 0 ? NULL : fdopen(ends[0], "r");
    if (lines == NULL) {
        error_set(err, errno, "execute", "ps");
        close(ends[0]);
    } else {
        result = ps_filter(lines, pids, count, err);
        fclose(lines);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return result;
}

int oci_ps(const struct oci_global *global, char **arguments, struct error **err) {
    bool help = false;
    const char *format = "table";
    struct operands operands;
    cleanup_free pid_t *pids = NULL;
    size_t count = 0;
    const struct argument table[] = {
        {"format", 'f', ARGUMENT_TEXT, &format, "FORMAT", "table or json"},
        {"help", 'h', ARGUMENT_FLAG, &help, NULL, "show this"},
        {NULL, 0, ARGUMENT_FLAG, NULL, NULL, NULL},
    };
    if (arguments_read(arguments, table, 1, &operands, err) < 0)
        return -1;
    if (help) {
        printf("usage: mydock-runtime ps [options] CONTAINER-ID [OPTIONS OF ps]\n");
        arguments_print_help(table);
        return 0;
    }
    if (operands.count < 1)
        return oci_usage("ps [options] CONTAINER-ID [OPTIONS OF ps]", err);
    bool json = strcmp(format, "json") == 0;
    if (!json && strcmp(format, "table") != 0)
        return error_setf(err, EINVAL, "read", "format", "--format %s: must be table or json",
                          format);
    if (ps_read_pids(global, operands.items[0], &pids, &count, err) < 0)
        return -1;
    if (!json)
        return ps_print_table(pids, count, &operands, err);
    ps_print_json(pids, count);
    return 0;
}
