/* See exec_process.h. */
#define _GNU_SOURCE
#include "exec_process.h"
#include "../../common/cleanup.h"
#include "../launch/capabilities.h"
#include "../launch/config.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int exec_set_user(const struct exec_request *request, json_t *process, struct error **err) {
    json_t *user = json_object_get(process, "user");
    if (!json_is_object(user)) {
        user = json_object();
        json_object_set_new(process, "user", user);
    }
    if (request->user != NULL) {
        int64_t uid = 0, gid = 0;
        const char *colon = strchr(request->user, ':');
        cleanup_free char *name = strndup(request->user, strcspn(request->user, ":"));
        if (name == NULL)
            return error_set(err, ENOMEM, "exec", "");
        if (arguments_number("user", name, 0, &uid, err) < 0 ||
            (colon != NULL && arguments_number("user", colon + 1, 0, &gid, err) < 0))
            return -1;
        json_object_set_new(user, "uid", json_integer(uid));
        if (colon != NULL)
            json_object_set_new(user, "gid", json_integer(gid));
    }
    json_t *groups = json_object_get(user, "additionalGids");
    for (size_t index = 0; index < request->groups.count; index++) {
        int64_t gid = 0;
        if (arguments_number("additional-gids", request->groups.items[index], 0, &gid, err) < 0)
            return -1;
        if (!json_is_array(groups)) {
            groups = json_array();
            json_object_set_new(user, "additionalGids", groups);
        }
        json_array_append_new(groups, json_integer(gid));
    }
    return 0;
}

static void exec_add_capability(json_t *sets, const char *set, const char *name) {
    json_t *list = json_object_get(sets, set), *entry;
    size_t index;
    if (!json_is_array(list)) {
        list = json_array();
        json_object_set_new(sets, set, list);
    }
    json_array_foreach(list, index, entry) {
        if (json_is_string(entry) && strcasecmp(json_string_value(entry), name) == 0)
            return;
    }
    json_array_append_new(list, json_string(name));
}

static int exec_set_capabilities(const struct exec_request *request, json_t *process,
                                 struct error **err) {
    json_t *sets = json_object_get(process, "capabilities");
    if (request->capabilities.count > 0 && !json_is_object(sets)) {
        sets = json_object();
        json_object_set_new(process, "capabilities", sets);
    }
    for (size_t index = 0; index < request->capabilities.count; index++) {
        static const char *const kinds[] = {"bounding", "effective", "permitted"};
        const char *name = request->capabilities.items[index];
        if (capabilities_number(name) < 0)
            return error_setf(err, EINVAL, "exec", name, "--cap %s: unknown capability", name);
        for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++)
            exec_add_capability(sets, kinds[kind], name);
        /* An ambient one must be inheritable too; runc raises it where the process has such. */
        if (json_array_size(json_object_get(sets, "ambient")) > 0) {
            exec_add_capability(sets, "inheritable", name);
            exec_add_capability(sets, "ambient", name);
        }
    }
    return 0;
}

/* A later setting of a name counts, and the earlier one is dropped: most programs take the first.
 */
static void exec_set_env(const char *setting, json_t *env) {
    size_t index = 0, length = strcspn(setting, "=");
    while (index < json_array_size(env)) {
        const char *entry = json_string_value(json_array_get(env, index));
        if (entry != NULL && strncmp(entry, setting, length) == 0 && entry[length] == '=')
            json_array_remove(env, index);
        else
            index++;
    }
    json_array_append_new(env, json_string(setting));
}

static int exec_change(const struct exec_request *request, json_t *process, struct error **err) {
    json_t *args = json_array(), *env = json_object_get(process, "env");
    for (int index = 1; index < request->operands.count; index++)
        json_array_append_new(args, json_string(request->operands.items[index]));
    json_object_set_new(process, "args", args);
    json_object_set_new(process, "terminal", json_boolean(request->terminal));
    json_object_del(process, "consoleSize");
    if (!json_is_array(env)) {
        env = json_array();
        json_object_set_new(process, "env", env);
    }
    for (size_t index = 0; index < request->env.count; index++)
        exec_set_env(request->env.items[index], env);
    if (request->cwd != NULL)
        json_object_set_new(process, "cwd", json_string(request->cwd));
    if (request->no_new_privileges)
        json_object_set_new(process, "noNewPrivileges", json_true());
    if (request->selinux != NULL)
        json_object_set_new(process, "selinuxLabel", json_string(request->selinux));
    if (request->apparmor != NULL)
        json_object_set_new(process, "apparmorProfile", json_string(request->apparmor));
    if (exec_set_user(request, process, err) < 0)
        return -1;
    return exec_set_capabilities(request, process, err);
}

int exec_process_make(const struct exec_request *request, const json_t *config, json_t **out,
                      struct error **err) {
    if (request->process_file != NULL) {
        *out = config_parse_file(request->process_file, err);
        if (*out != NULL && request->terminal && json_is_object(*out))
            json_object_set_new(*out, "terminal", json_true());
        return *out == NULL ? -1 : 0;
    }
    json_t *process = json_deep_copy(json_object_get(config, "process"));
    if (!json_is_object(process) || exec_change(request, process, err) < 0) {
        json_decref(process);
        return -1;
    }
    *out = process;
    return 0;
}
