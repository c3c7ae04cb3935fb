/* Command lines of a runtime: see foreign.h. */
#define _GNU_SOURCE
#include "foreign.h"
#include <stdlib.h>
#include <string.h>

enum { GLOBAL_MAX = 12 };

static size_t count_words(const char *const *words) {
    size_t count = 0;
    while (words != NULL && words[count] != NULL)
        count++;
    return count;
}

char **foreign_arguments(const struct foreign *foreign, const char *log, const char *verb,
                         const char *const *words) {
    const struct supervisor_config *config = foreign->config;
    size_t configured = json_array_size(config->runtime_arguments);
    size_t given = count_words(words);
    const char **list = calloc(configured + given + GLOBAL_MAX, sizeof(*list));
    size_t count = 0;
    if (list == NULL)
        return NULL;
    list[count++] = config->runtime_path;
    for (size_t i = 0; i < configured; i++)
        list[count++] = json_string_value(json_array_get(config->runtime_arguments, i));
    list[count++] = "--root";
    list[count++] = config->runtime_root;
    if (log != NULL) {
        list[count++] = "--log";
        list[count++] = log;
        list[count++] = "--log-format";
        list[count++] = "json";
    }
    if (config->systemd_cgroup)
        list[count++] = "--systemd-cgroup";
    list[count++] = verb;
    for (size_t i = 0; i < given; i++)
        list[count++] = words[i];
    /* execve's array is not const, but nothing writes to it. */
    return (char **)list;
}

const char *foreign_program(const struct foreign *foreign) {
    const char *path = foreign->config->runtime_path;
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}
