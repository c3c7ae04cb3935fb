/* The process object of config.json, for the init and for exec. See config.h. */
#define _GNU_SOURCE
#include "../../common/warn.h"
#include "capabilities.h"
#include "config.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
    const char *name;
    int resource;
} RLIMITS[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

static int process_read_user(const struct fields *from, struct config_process *process,
                             struct error **err) {
    struct fields user;
    int64_t uid = 0, gid = 0, mask = -1;
    const json_t *groups = NULL;
    if (fields_object(from, "user", &user, err) < 0 ||
        fields_number(&user, "uid", 0, UINT32_MAX - 1, &uid, err) < 0 ||
        fields_number(&user, "gid", 0, UINT32_MAX - 1, &gid, err) < 0 ||
        fields_number(&user, "umask", 0, 0777, &mask, err) < 0 ||
        fields_array(&user, "additionalGids", &groups, err) < 0)
        return -1;
    process->uid = (uid_t)uid;
    process->gid = (gid_t)gid;
    process->umask = (int)mask;
    process->group_count = groups == NULL ? 0 : json_array_size(groups);
    process->groups = arena_array(from->arena, process->group_count + 1, sizeof(gid_t));
    if (process->groups == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < process->group_count; index++) {
        const json_t *group = json_array_get(groups, index);
        if (!json_is_integer(group) || json_integer_value(group) < 0 ||
            json_integer_value(group) > UINT32_MAX - 1)
            return fields_refuse(&user, "additionalGids", "must hold group numbers", err);
        process->groups[index] = (gid_t)json_integer_value(group);
    }
    return 0;
}

static int process_read_capability_set(const struct fields *from, const char *key, uint64_t *out,
                                       struct error **err) {
    struct text_list names;
    if (fields_texts(from, key, &names, err) < 0)
        return -1;
    for (size_t index = 0; index < names.count; index++) {
        int number = capabilities_number(names.items[index]);
        if (number >= 0)
            *out |= UINT64_C(1) << number;
        else
            /* The spec's "SHOULD log a warning": a newer capability is absent here in any case. */
            warn("warning: unknown capability %s in %s.%s", names.items[index], from->name, key);
    }
    return 0;
}

static int process_read_capabilities(const struct fields *from, struct config_capabilities *sets,
                                     struct error **err) {
    struct fields capabilities;
    if (fields_object(from, "capabilities", &capabilities, err) < 0)
        return -1;
    sets->given = capabilities.object != NULL;
    if (process_read_capability_set(&capabilities, "bounding", &sets->bounding, err) < 0 ||
        process_read_capability_set(&capabilities, "effective", &sets->effective, err) < 0 ||
        process_read_capability_set(&capabilities, "permitted", &sets->permitted, err) < 0 ||
        process_read_capability_set(&capabilities, "inheritable", &sets->inheritable, err) < 0 ||
        process_read_capability_set(&capabilities, "ambient", &sets->ambient, err) < 0)
        return -1;
    return 0;
}

static int process_read_rlimit(const struct fields *entry, struct config_rlimit *limit,
                               struct error **err) {
    const char *type = NULL;
    /* Negative: the 64 bits of a larger unsigned number, -1 being RLIM_INFINITY. */
    int64_t soft = 0, hard = 0;
    if (fields_text(entry, "type", &type, err) < 0 ||
        fields_number(entry, "soft", INT64_MIN, INT64_MAX, &soft, err) < 0 ||
        fields_number(entry, "hard", INT64_MIN, INT64_MAX, &hard, err) < 0)
        return -1;
    limit->resource = -1;
    for (size_t index = 0; type != NULL && index < sizeof(RLIMITS) / sizeof(RLIMITS[0]); index++) {
        if (strcmp(RLIMITS[index].name, type) == 0)
            limit->resource = RLIMITS[index].resource;
    }
    if (limit->resource < 0)
        return fields_refuse(entry, "type", "must be one of getrlimit(2)'s RLIMIT_ names", err);
    limit->name = type;
    limit->soft = (uint64_t)soft;
    limit->hard = (uint64_t)hard;
    if (limit->soft > limit->hard)
        return fields_refuse(entry, "soft", "must not be above hard", err);
    return 0;
}

static int process_read_rlimits(const struct fields *from, struct config_process *process,
                                struct error **err) {
    const json_t *array = NULL;
    if (fields_array(from, "rlimits", &array, err) < 0)
        return -1;
    size_t count = array == NULL ? 0 : json_array_size(array);
    process->rlimits = arena_array(from->arena, count + 1, sizeof(*process->rlimits));
    if (process->rlimits == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < count; index++) {
        struct fields entry;
        if (fields_element(from, "rlimits", array, index, &entry, err) < 0 ||
            process_read_rlimit(&entry, &process->rlimits[index], err) < 0)
            return -1;
        for (size_t other = 0; other < index; other++) {
            if (process->rlimits[other].resource == process->rlimits[index].resource)
                return fields_refuse(&entry, "type", "stands twice", err);
        }
    }
    process->rlimit_count = count;
    return 0;
}

static int process_read_terminal(const struct fields *from, struct config_process *process,
                                 struct error **err) {
    struct fields size;
    int64_t rows = 0, columns = 0;
    if (fields_flag(from, "terminal", &process->terminal, err) < 0 ||
        fields_object(from, "consoleSize", &size, err) < 0 ||
        fields_number(&size, "height", 0, UINT16_MAX, &rows, err) < 0 ||
        fields_number(&size, "width", 0, UINT16_MAX, &columns, err) < 0)
        return -1;
    process->rows = (unsigned short)rows;
    process->columns = (unsigned short)columns;
    return 0;
}

static int process_refuse_unsupported(const struct fields *from, struct error **err) {
    if (fields_has(from, "commandLine"))
        return fields_refuse(from, "commandLine", "is for Windows: use args", err);
    return 0;
}

int config_read_process(const json_t *object, const char *name, struct arena *arena,
                        struct config_process *process, struct error **err) {
    struct fields from = {object, name, arena};
    if (!json_is_object(object))
        return fields_refuse(&from, "", "must be an object", err);
    int64_t oom = INT64_MIN;
    if (fields_texts(&from, "args", &process->args, err) < 0 ||
        fields_texts(&from, "env", &process->env, err) < 0 ||
        fields_text(&from, "cwd", &process->cwd, err) < 0 ||
        fields_flag(&from, "noNewPrivileges", &process->no_new_privileges, err) < 0 ||
        fields_number(&from, "oomScoreAdj", -1000, 1000, &oom, err) < 0 ||
        fields_text(&from, "apparmorProfile", &process->apparmor, err) < 0 ||
        fields_text(&from, "selinuxLabel", &process->selinux, err) < 0)
        return -1;
    process->oom_given = oom != INT64_MIN;
    process->oom_score_adj = process->oom_given ? (int)oom : 0;
    if (process->args.count == 0)
        return fields_refuse(&from, "args", "must name a program", err);
    if (process->cwd == NULL || process->cwd[0] != '/')
        return fields_refuse(&from, "cwd", "must be an absolute path", err);
    if (process->apparmor != NULL && process->apparmor[0] == '\0')
        process->apparmor = NULL;
    if (process->selinux != NULL && process->selinux[0] == '\0')
        process->selinux = NULL;
    if (process_read_user(&from, process, err) < 0 ||
        process_read_capabilities(&from, &process->capabilities, err) < 0 ||
        process_read_rlimits(&from, process, err) < 0 ||
        process_read_terminal(&from, process, err) < 0 ||
        scheduling_read(&from, &process->scheduling, err) < 0)
        return -1;
    return process_refuse_unsupported(&from, err);
}
