/* See limit_command.h. */
#include "limit_command.h"
#include "cgroup.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int limit_run(const char *path, struct error **err) {
    json_error_t where;
    struct arena arena = {NULL};
    struct resources resources = {0};
    struct cgroup *cgroup = NULL;
    struct cgroup_request request = {path, NULL, path[0] != '/'};
    json_t *json = json_loadf(stdin, JSON_REJECT_DUPLICATES, &where);
    struct fields from = {json, "resources", &arena};
    int result = 0;
    if (!json_is_object(json))
        result = error_setf(err, EINVAL, "limit", "stdin", "resources: %s",
                            json == NULL ? where.text : "must be an object");
    if (result == 0)
        result = resources_read(&from, &resources, err);
    if (result == 0)
        result = cgroup_open(&request, &cgroup, err);
    if (result == 0)
        result = cgroup_update(cgroup, &resources, err);
    cgroup_close(cgroup);
    json_decref(json);
    arena_free(&arena);
    return result;
}

int limit_command(int count, char **arguments) {
    struct error *err = NULL;
    if (count != 2 || strstr(arguments[1], "..") != NULL) {
        fputs("usage: mydock-runtime limit CGROUPS-PATH < resources.json\n", stderr);
        return 1;
    }
    if (limit_run(arguments[1], &err) == 0)
        return 0;
    fprintf(stderr, "%s\n", err == NULL ? "out of memory" : err->message);
    error_free(err);
    return 1;
}
