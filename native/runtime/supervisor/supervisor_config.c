/* supervisor.json: see supervisor_config.h. */
#include "supervisor_config.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const step = "read supervisor.json";

/* Copies a member that must be a string, absolute where it is a path. */
static int take_string(const json_t *object, const char *name, bool path, char **out,
                       struct error **err) {
    const char *value = json_string_value(json_object_get(object, name));
    if (value == NULL || value[0] == '\0' || (path && value[0] != '/'))
        return error_setf(err, 0, step, name, "supervisor.json: \"%s\" is not %s", name,
                          path ? "an absolute path" : "a non-empty string");
    *out = strdup(value);
    return *out == NULL ? error_set(err, ENOMEM, step, name) : 0;
}

static int take_count(const json_t *object, const char *name, uint64_t *out, struct error **err) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_number(value) || json_number_value(value) < 0)
        return error_setf(err, 0, step, name, "supervisor.json: \"%s\" is not a count", name);
    *out = (uint64_t)json_number_value(value);
    return 0;
}

static int take_log(const json_t *log, struct supervisor_config *config, struct error **err) {
    if (log == NULL || json_is_null(log))
        return 0;
    uint64_t files = 0;
    config->log_wanted = true;
    const json_t *path = json_object_get(log, "path");
    if ((!json_is_null(path) && take_string(log, "path", true, &config->log_path, err) != 0) ||
        take_count(log, "maxBytes", &config->log_max_bytes, err) != 0 ||
        take_count(log, "maxFiles", &files, err) != 0)
        return -1;
    config->log_max_files = files > 100000 ? 100000 : (unsigned)files;
    const json_t *attributes = json_object_get(log, "attributes");
    if (json_object_size(attributes) > 0)
        config->log_attributes = json_dumps(attributes, JSON_COMPACT);
    config->log_compress = json_is_true(json_object_get(log, "compress"));
    json_t *forward = json_object_get(log, "forward");
    if (json_is_object(forward))
        config->log_forward = json_incref(forward);
    return 0;
}

static int take_runtime(const json_t *runtime, struct supervisor_config *config,
                        struct error **err) {
    size_t i;
    const json_t *argument;
    if (runtime == NULL || json_is_null(runtime))
        return 0;
    if (take_string(runtime, "path", true, &config->runtime_path, err) != 0 ||
        take_string(runtime, "root", true, &config->runtime_root, err) != 0)
        return -1;
    json_t *arguments = json_object_get(runtime, "arguments");
    json_array_foreach(arguments, i, argument) {
        if (!json_is_string(argument))
            return error_setf(err, 0, step, "runtime",
                              "supervisor.json: an argument of the runtime is not a string");
    }
    if (json_is_array(arguments))
        config->runtime_arguments = json_incref(arguments);
    return 0;
}

static int take_all(const json_t *root, struct supervisor_config *config, struct error **err) {
    if (take_string(root, "id", false, &config->id, err) != 0 ||
        take_string(root, "socket", true, &config->socket, err) != 0 ||
        take_string(root, "exitRecord", true, &config->exit_record, err) != 0 ||
        take_log(json_object_get(root, "log"), config, err) != 0)
        return -1;
    config->stdin_open = json_is_true(json_object_get(root, "stdin"));
    config->stdin_once = json_is_true(json_object_get(root, "stdinOnce"));
    config->systemd_cgroup = json_is_true(json_object_get(root, "systemdCgroup"));
    const char *cache = json_string_value(json_object_get(root, "seccompCache"));
    if (cache != NULL && cache[0] != '\0')
        config->seccomp_cache = strdup(cache);
    return take_runtime(json_object_get(root, "runtime"), config, err);
}

int supervisor_config_read(const char *bundle, struct supervisor_config *config,
                           struct error **err) {
    *config = (struct supervisor_config){0};
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/supervisor.json", bundle) >= (int)sizeof(path))
        return error_set(err, ENAMETOOLONG, step, bundle);
    json_error_t problem;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
    if (root == NULL)
        return error_setf(err, 0, step, path, "read %s: %s", path, problem.text);
    int result = take_all(root, config, err);
    json_decref(root);
    if (result != 0)
        supervisor_config_free(config);
    return result;
}

void supervisor_config_free(struct supervisor_config *config) {
    free(config->id);
    free(config->socket);
    free(config->exit_record);
    free(config->log_path);
    free(config->log_attributes);
    json_decref(config->log_forward);
    free(config->seccomp_cache);
    free(config->runtime_path);
    json_decref(config->runtime_arguments);
    free(config->runtime_root);
    *config = (struct supervisor_config){0};
}
