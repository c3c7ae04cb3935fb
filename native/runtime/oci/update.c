/* The verb update. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "../launch/cgroup.h"
#include "../launch/config.h"
#include "arguments.h"
#include "oci.h"
#include "state.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum update_kind {
    UPDATE_NUMBER,
    /* Bytes; with a suffix b, k, m, g or t of 1024s. */
    UPDATE_BYTES,
    UPDATE_TEXT,
    /* Known elsewhere, and refused. */
    UPDATE_REFUSED,
};

/* The options, and where linux.resources has them. */
static const struct {
    const char *option;
    enum update_kind kind;
    const char *object, *key, *help;
} FIELDS[] = {
    {"blkio-weight", UPDATE_NUMBER, "blockIO", "weight", "block I/O weight, 10 to 1000"},
    {"cpu-period", UPDATE_NUMBER, "cpu", "period", "CFS period, microseconds"},
    {"cpu-quota", UPDATE_NUMBER, "cpu", "quota", "CFS quota, microseconds a period"},
    {"cpu-burst", UPDATE_NUMBER, "cpu", "burst", "CFS burst, microseconds"},
    {"cpu-share", UPDATE_NUMBER, "cpu", "shares", "CPU shares"},
    {"cpu-shares", UPDATE_NUMBER, "cpu", "shares", "the same"},
    {"cpu-idle", UPDATE_NUMBER, "cpu", "idle", "1: runs when nothing else does"},
    {"cpu-rt-period", UPDATE_NUMBER, "cpu", "realtimePeriod", "real-time period, microseconds"},
    {"cpu-rt-runtime", UPDATE_NUMBER, "cpu", "realtimeRuntime", "real-time limit, microseconds"},
    {"cpuset-cpus", UPDATE_TEXT, "cpu", "cpus", "processors, as 0-2,4"},
    {"cpuset-mems", UPDATE_TEXT, "cpu", "mems", "memory nodes"},
    {"memory", UPDATE_BYTES, "memory", "limit", "memory limit"},
    {"memory-reservation", UPDATE_BYTES, "memory", "reservation", "soft memory limit"},
    {"memory-swap", UPDATE_BYTES, "memory", "swap", "memory and swap together; -1: no limit"},
    {"pids-limit", UPDATE_NUMBER, "pids", "limit", "number of processes; -1: no limit"},
    {"l3-cache-schema", UPDATE_REFUSED, NULL, NULL, "refused: Intel RDT is not supported"},
    {"mem-bw-schema", UPDATE_REFUSED, NULL, NULL, "refused: Intel RDT is not supported"},
};
#define FIELD_COUNT (sizeof(FIELDS) / sizeof(FIELDS[0]))

static int update_read_number(size_t field, const char *text, int64_t *out, struct error **err) {
    static const char suffixes[] = "bkmgt";
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    bool whole = errno == 0 && end != text;
    if (whole && *end != '\0' && FIELDS[field].kind == UPDATE_BYTES) {
        const char *suffix = strchr(suffixes, *end | 0x20);
        const char *rest =
            end + 1 + (suffix != NULL && suffix != suffixes && (end[1] | 0x20) == 'b');
        int shift = suffix == NULL ? 0 : (int)(suffix - suffixes) * 10;
        whole = suffix != NULL && *rest == '\0' && number <= INT64_MAX >> shift &&
                number >= INT64_MIN >> shift;
        number = whole ? number * ((long long)1 << shift) : 0;
    } else if (whole && *end != '\0') {
        whole = false;
    }
    if (!whole)
        return error_setf(err, EINVAL, "update", FIELDS[field].option,
                          "--%s %s: must be a whole number%s", FIELDS[field].option, text,
                          FIELDS[field].kind == UPDATE_BYTES ? ", or one with k, m, g or t" : "");
    *out = number;
    return 0;
}

static int update_set(size_t field, const char *text, json_t *resources, struct error **err) {
    int64_t number = 0;
    if (FIELDS[field].kind == UPDATE_REFUSED)
        return error_setf(err, ENOTSUP, "update", FIELDS[field].option, "--%s is not supported",
                          FIELDS[field].option);
    if (FIELDS[field].kind != UPDATE_TEXT && update_read_number(field, text, &number, err) < 0)
        return -1;
    json_t *object = json_object_get(resources, FIELDS[field].object);
    if (object == NULL) {
        object = json_object();
        json_object_set_new(resources, FIELDS[field].object, object);
    }
    json_object_set_new(object, FIELDS[field].key,
                        FIELDS[field].kind == UPDATE_TEXT ? json_string(text)
                                                          : json_integer(number));
    return 0;
}

static json_t *update_read_file(const char *path, struct error **err) {
    json_error_t problem;
    if (strcmp(path, "-") != 0)
        return config_parse_file(path, err);
    json_t *json = json_loadf(stdin, JSON_REJECT_DUPLICATES, &problem);
    if (json == NULL)
        error_setf(err, EINVAL, "update", "stdin", "standard input: line %d: %s", problem.line,
                   problem.text);
    return json;
}

/* A file stands alone, as with runc: the other options are ignored then. */
static json_t *update_collect(const char *file, const char *const values[FIELD_COUNT],
                              struct error **err) {
    if (file != NULL)
        return update_read_file(file, err);
    json_t *resources = json_object();
    for (size_t field = 0; field < FIELD_COUNT; field++) {
        if (values[field] != NULL && update_set(field, values[field], resources, err) < 0) {
            json_decref(resources);
            return NULL;
        }
    }
    return resources;
}

static int update_apply(const struct oci_global *global, const char *id, const json_t *json,
                        struct error **err) {
    struct state *state = NULL;
    struct launch_container *container = NULL;
    struct arena arena = {NULL};
    struct resources resources;
    struct fields from = {json, "resources", &arena};
    memset(&resources, 0, sizeof(resources));
    if (!json_is_object(json))
        return error_setf(err, EINVAL, "update", id, "the resources must be an object");
    int result = resources_read(&from, &resources, err);
    if (result == 0)
        result = state_open(global, id, true, &state, err);
    if (result == 0)
        result = state_launch(state, NULL, &container, err);
    enum state_status status = result < 0 ? STATE_STOPPED : state_status(state, container);
    if (result == 0 &&
        (status == STATE_STOPPED || status == STATE_CREATING || launch_cgroup(container) == NULL))
        result = error_setf(err, ESRCH, "update", id, "container not running");
    if (result == 0)
        result = cgroup_update(launch_cgroup(container), &resources, err);
    launch_leave(container);
    state_close(state);
    arena_free(&arena);
    return result;
}

int oci_update(const struct oci_global *global, char **arguments, struct error **err) {
    bool help = false;
    const char *file = NULL, *values[FIELD_COUNT] = {NULL};
    struct operands operands;
    struct argument table[FIELD_COUNT + 3] = {
        {"resources", 'r', ARGUMENT_TEXT, &file, "FILE",
         "linux.resources as JSON; -: standard input"},
        {"help", 'h', ARGUMENT_FLAG, &help, NULL, "show this"},
    };
    for (size_t field = 0; field < FIELD_COUNT; field++)
        table[field + 2] = (struct argument){FIELDS[field].option, 0,       ARGUMENT_TEXT,
                                             &values[field],       "VALUE", FIELDS[field].help};
    if (arguments_read(arguments, table, -1, &operands, err) < 0)
        return -1;
    if (help) {
        printf("usage: mydock-runtime update [options] CONTAINER-ID\n");
        arguments_print_help(table);
        return 0;
    }
    if (operands.count != 1)
        return oci_usage("update [options] CONTAINER-ID", err);
    json_t *resources = update_collect(file, values, err);
    int result = resources == NULL ? -1 : update_apply(global, operands.items[0], resources, err);
    json_decref(resources);
    return result;
}
