/* The top of config.json: file, version, root, and what is refused. See config.h. */
#define _GNU_SOURCE
#include "config.h"
#include "../../common/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_BYTES_MAX (16 * 1024 * 1024)

static char *config_read_file(const char *path, size_t *length, struct error **err) {
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0) {
        error_set(err, errno, "open", path);
        return NULL;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > CONFIG_BYTES_MAX) {
        error_setf(err, EINVAL, "open", path, "%s is not a regular file of at most %d bytes", path,
                   CONFIG_BYTES_MAX);
        return NULL;
    }
    cleanup_free char *text = malloc((size_t)status.st_size + 1);
    if (text == NULL) {
        fields_no_memory(err);
        return NULL;
    }
    size_t filled = 0;
    while (filled < (size_t)status.st_size) {
        ssize_t got = read(fd, text + filled, (size_t)status.st_size - filled);
        if (got < 0) {
            error_set(err, errno, "read", path);
            return NULL;
        }
        if (got == 0)
            break;
        filled += (size_t)got;
    }
    *length = filled;
    return steal_pointer(&text);
}

/* JSON numbers of the spec's uint64 fields may pass the 63 bits that jansson holds (RLIM_INFINITY,
 * seccomp arguments): rewritten as the negative number with the same 64 bits, which the readers of
 * those fields cast back. */
static char *config_wrap_numbers(const char *text, size_t length, size_t *wrapped_length) {
    char *wrapped = malloc(length + length / 8 + 32);
    size_t out = 0;
    bool in_text = false;
    for (size_t in = 0; wrapped != NULL && in < length;) {
        size_t digits = 0;
        while (!in_text && in + digits < length && text[in + digits] >= '0' &&
               text[in + digits] <= '9')
            digits++;
        if (digits == 0) {
            if (in_text && text[in] == '\\' && in + 1 < length)
                wrapped[out++] = text[in++];
            else if (text[in] == '"')
                in_text = !in_text;
            wrapped[out++] = text[in++];
            continue;
        }
        char number[24] = "";
        memcpy(number, text + in, digits < sizeof(number) ? digits : 0);
        errno = 0;
        unsigned long long value = strtoull(number, NULL, 10);
        if (digits >= 19 && digits <= 20 && errno == 0 && value > INT64_MAX)
            out += (size_t)sprintf(wrapped + out, "%lld", (long long)value);
        else {
            memcpy(wrapped + out, text + in, digits);
            out += digits;
        }
        in += digits;
    }
    *wrapped_length = out;
    return wrapped;
}

json_t *config_parse_file(const char *path, struct error **err) {
    size_t length = 0;
    cleanup_free char *text = config_read_file(path, &length, err);
    if (text == NULL)
        return NULL;
    json_error_t problem;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    if (json == NULL && json_error_code(&problem) == json_error_numeric_overflow) {
        size_t wrapped_length = 0;
        cleanup_free char *wrapped = config_wrap_numbers(text, length, &wrapped_length);
        if (wrapped == NULL) {
            fields_no_memory(err);
            return NULL;
        }
        json = json_loadb(wrapped, wrapped_length, JSON_REJECT_DUPLICATES, &problem);
    }
    if (json == NULL)
        error_setf(err, EINVAL, "config", path, "%s: line %d: %s", path, problem.line,
                   problem.text);
    return json;
}

static int config_check_version(const struct fields *top, struct error **err) {
    const char *version = NULL;
    if (fields_text(top, "ociVersion", &version, err) < 0)
        return -1;
    if (version == NULL || strncmp(version, "1.", 2) != 0)
        return fields_refuse(top, "ociVersion", "must be a version 1", err);
    static const char *const platforms[] = {"windows", "solaris", "vm", "zos"};
    for (size_t index = 0; index < sizeof(platforms) / sizeof(platforms[0]); index++) {
        if (fields_has(top, platforms[index]))
            return fields_refuse(top, platforms[index], "is not supported", err);
    }
    return 0;
}

static int config_read_root(const struct fields *top, const char *bundle, struct config *config,
                            struct error **err) {
    struct fields root;
    const char *path = NULL;
    if (fields_object(top, "root", &root, err) < 0 || fields_text(&root, "path", &path, err) < 0 ||
        fields_flag(&root, "readonly", &config->root_read_only, err) < 0)
        return -1;
    if (path == NULL || path[0] == '\0')
        return fields_refuse(top, "root.path", "is missing", err);
    config->root = path[0] == '/' ? path : arena_format(&config->arena, "%s/%s", bundle, path);
    return config->root == NULL ? fields_no_memory(err) : 0;
}

static int config_check_names(const struct fields *top, const struct config *config,
                              struct error **err) {
    if (config_namespace(config, CLONE_NEWUTS) != NULL)
        return 0;
    if (config->hostname != NULL)
        return fields_refuse(top, "hostname", "needs a uts namespace", err);
    if (config->domainname != NULL)
        return fields_refuse(top, "domainname", "needs a uts namespace", err);
    return 0;
}

static int config_read_annotations(const struct fields *top, struct config *config,
                                   struct error **err) {
    struct fields annotations;
    const char *key, *text;
    json_t *value;
    if (fields_object(top, "annotations", &annotations, err) < 0)
        return -1;
    config->annotations = annotations.object;
    json_object_foreach((json_t *)annotations.object, key, value) {
        if (fields_text(&annotations, key, &text, err) < 0)
            return -1;
    }
    return 0;
}

static int config_read(const char *bundle, struct config *config, struct error **err) {
    struct fields top = {config->json, "", &config->arena};
    if (!json_is_object(config->json))
        return error_setf(err, EINVAL, "config", bundle, "config.json must be an object");
    const json_t *process = json_object_get(config->json, "process");
    if (config_check_version(&top, err) < 0 || config_read_root(&top, bundle, config, err) < 0)
        return -1;
    if (!json_is_object(process))
        return fields_refuse(&top, "process", "must be an object", err);
    if (config_read_process(process, "process", &config->arena, &config->process, err) < 0 ||
        fields_text(&top, "hostname", &config->hostname, err) < 0 ||
        fields_text(&top, "domainname", &config->domainname, err) < 0 ||
        config_read_mounts(&top, config, err) < 0 || config_read_linux(&top, config, err) < 0 ||
        config_check_names(&top, config, err) < 0 || hooks_read(&top, &config->hooks, err) < 0)
        return -1;
    return config_read_annotations(&top, config, err);
}

int config_load(const char *folder, const char *bundle, struct config **out, struct error **err) {
    struct config *config = calloc(1, sizeof(*config));
    char *path = config == NULL ? NULL : arena_format(&config->arena, "%s/config.json", folder);
    if (path == NULL) {
        config_free(config);
        return fields_no_memory(err);
    }
    config->json = config_parse_file(path, err);
    if (config->json == NULL || config_read(bundle, config, err) < 0) {
        config_free(config);
        return -1;
    }
    *out = config;
    return 0;
}

void config_free(struct config *config) {
    if (config == NULL)
        return;
    json_decref(config->json);
    arena_free(&config->arena);
    free(config);
}

const struct config_namespace *config_namespace(const struct config *config, int flag) {
    for (size_t index = 0; index < config->namespace_count; index++) {
        if (config->namespaces[index].flag == flag)
            return &config->namespaces[index];
    }
    return NULL;
}
