/* The verbs state and list. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "arguments.h"
#include "oci.h"
#include "state.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int oci_show_state(const struct oci_global *global, char **arguments, struct error **err) {
    bool help = false;
    struct operands operands;
    struct state *state = NULL;
    enum state_status status;
    const struct argument table[] = {
        {"help", 'h', ARGUMENT_FLAG, &help, NULL, "show this"},
        {NULL, 0, ARGUMENT_FLAG, NULL, NULL, NULL},
    };
    if (arguments_read(arguments, table, -1, &operands, err) < 0)
        return -1;
    if (help)
        return printf("usage: mydock-runtime state CONTAINER-ID\n") < 0;
    if (operands.count != 1)
        return oci_usage("state CONTAINER-ID", err);
    if (state_open(global, operands.items[0], false, &state, err) < 0)
        return -1;
    int result = state_find_status(state, &status, err);
    json_t *json = result < 0 ? NULL : state_to_json(state, status);
    if (json != NULL) {
        json_dumpf(json, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(json);
    state_close(state);
    return result;
}

/* One that ended, was deleted or is broken meanwhile is left out: a list is no place to fail. */
static void list_add(const struct oci_global *global, const char *id, json_t *list) {
    struct state *state = NULL;
    enum state_status status;
    struct error *err = NULL;
    if (state_open(global, id, false, &state, &err) == 0 &&
        state_find_status(state, &status, &err) == 0)
        json_array_append_new(list, state_to_json(state, status));
    error_free(err);
    state_close(state);
}

static int list_read(const struct oci_global *global, json_t *list, struct error **err) {
    struct dirent **entries = NULL;
    int count = scandir(global->root, &entries, NULL, alphasort);
    if (count < 0)
        return errno == ENOENT ? 0 : error_set(err, errno, "open", global->root);
    for (int index = 0; index < count; index++) {
        if (state_check_id(entries[index]->d_name, NULL) == 0)
            list_add(global, entries[index]->d_name, list);
        free(entries[index]);
    }
    free(entries);
    return 0;
}

static const char *list_text(const json_t *entry, const char *key) {
    const char *text = json_string_value(json_object_get(entry, key));
    return text == NULL ? "" : text;
}

static void list_print_table(const json_t *list) {
    size_t index;
    const json_t *entry;
    int id_width = 2, bundle_width = 6;
    json_array_foreach(list, index, entry) {
        int id = (int)strlen(list_text(entry, "id")),
            bundle = (int)strlen(list_text(entry, "bundle"));
        id_width = id > id_width ? id : id_width;
        bundle_width = bundle > bundle_width ? bundle : bundle_width;
    }
    printf("%-*s   %-10s %-10s %-*s   %-32s %s\n", id_width, "ID", "PID", "STATUS", bundle_width,
           "BUNDLE", "CREATED", "OWNER");
    json_array_foreach(list, index, entry) {
        printf("%-*s   %-10lld %-10s %-*s   %-32s %s\n", id_width, list_text(entry, "id"),
               (long long)json_integer_value(json_object_get(entry, "pid")),
               list_text(entry, "status"), bundle_width, list_text(entry, "bundle"),
               list_text(entry, "created"), "root");
    }
}

static void list_print(const json_t *list, bool quiet, bool json) {
    size_t index;
    const json_t *entry;
    if (json) {
        json_dumpf(list, stdout, JSON_COMPACT);
        putchar('\n');
    } else if (quiet) {
        json_array_foreach(list, index, entry) {
            puts(list_text(entry, "id"));
        }
    } else {
        list_print_table(list);
    }
}

int oci_list(const struct oci_global *global, char **arguments, struct error **err) {
    bool quiet = false, help = false;
    const char *format = "table";
    struct operands operands;
    const struct argument table[] = {
        {"format", 'f', ARGUMENT_TEXT, &format, "FORMAT", "table or json"},
        {"quiet", 'q', ARGUMENT_FLAG, &quiet, NULL, "IDs only"},
        {"help", 'h', ARGUMENT_FLAG, &help, NULL, "show this"},
        {NULL, 0, ARGUMENT_FLAG, NULL, NULL, NULL},
    };
    if (arguments_read(arguments, table, -1, &operands, err) < 0)
        return -1;
    if (help) {
        printf("usage: mydock-runtime list [options]\n");
        arguments_print_help(table);
        return 0;
    }
    if (operands.count != 0)
        return oci_usage("list [options]", err);
    if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
        return error_setf(err, EINVAL, "read", "format", "--format %s: must be table or json",
                          format);
    json_t *list = json_array();
    int result = list_read(global, list, err);
    if (result == 0)
        list_print(list, quiet, strcmp(format, "json") == 0);
    json_decref(list);
    return result;
}
