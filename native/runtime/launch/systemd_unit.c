/* See systemd_unit.h. */
#define _GNU_SOURCE
#include "systemd_unit.h"
#include "../../common/cleanup.h"
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* systemd's own limit of a unit's name. */
#define UNIT_NAME_MAX 255
/* Characters of unit names (systemd.unit(5)). ':' separates the parts here. */
#define UNIT_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.\\@"

static int unit_refuse(const char *cgroups_path, const char *why, struct error **err) {
    return error_setf(err, EINVAL, "cgroup", cgroups_path, "linux.cgroupsPath \"%s\": %s",
                      cgroups_path, why);
}

static bool unit_is_name(const char *text) {
    return strspn(text, UNIT_CHARACTERS) == strlen(text) && strstr(text, "..") == NULL;
}

/* "a-b.slice" lies in "a.slice": every '-' is a level, so that none may stand alone. "-.slice" is
 * the root. */
static bool unit_is_slice(const char *slice) {
    size_t length = strlen(slice);
    if (length <= 6 || length > UNIT_NAME_MAX || strcmp(slice + length - 6, ".slice") != 0 ||
        !unit_is_name(slice))
        return false;
    if (strcmp(slice, "-.slice") == 0)
        return true;
    return slice[0] != '-' && slice[length - 7] != '-' && strstr(slice, "--") == NULL &&
           memchr(slice, '.', length - 6) == NULL;
}

static char *unit_path(const char *slice, const char *scope) {
    char *path = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&path, &size);
    if (out == NULL)
        return NULL;
    for (const char *dash = slice; slice[0] != '-' && (dash = strchr(dash, '-')) != NULL; dash++)
        fprintf(out, "/%.*s.slice", (int)(dash - slice), slice);
    if (slice[0] != '-')
        fprintf(out, "/%s", slice);
    fprintf(out, "/%s", scope);
    if (fclose(out) == 0)
        return path;
    free(path);
    return NULL;
}

int systemd_unit_parse(const char *cgroups_path, struct systemd_unit *out, struct error **err) {
    *out = (struct systemd_unit){0};
    cleanup_free char *copy = strdup(cgroups_path);
    if (copy == NULL)
        return error_set(err, ENOMEM, "cgroup", cgroups_path);
    char *prefix = strchr(copy, ':');
    char *name = prefix == NULL ? NULL : strchr(prefix + 1, ':');
    if (name == NULL || strchr(name + 1, ':') != NULL || copy[0] == '/')
        return error_setf(err, EINVAL, "cgroup", cgroups_path,
                          "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd "
                          "cgroups, got \"%s\" instead",
                          cgroups_path);
    *prefix++ = *name++ = '\0';
    const char *slice = copy[0] == '\0' ? SYSTEMD_DEFAULT_SLICE : copy;
    if (!unit_is_slice(slice))
        return unit_refuse(cgroups_path, "the first part is no slice's name", err);
    if (name[0] == '\0' || !unit_is_name(name) || !unit_is_name(prefix) ||
        strlen(name) + strlen(prefix) + 7 > UNIT_NAME_MAX)
        return unit_refuse(cgroups_path, "the last two parts are no unit's name", err);
    /* runc takes such a name for the slice itself, and everything in it for the container. */
    if (strlen(name) >= 6 && strcmp(name + strlen(name) - 6, ".slice") == 0)
        return unit_refuse(cgroups_path, "a container cannot be a slice", err);
    out->slice = strdup(slice);
    if (asprintf(&out->scope, "%s%s%s.scope", prefix, prefix[0] == '\0' ? "" : "-", name) < 0)
        out->scope = NULL;
    out->path = out->slice == NULL || out->scope == NULL ? NULL : unit_path(slice, out->scope);
    if (out->path != NULL)
        return 0;
    systemd_unit_free(out);
    return error_set(err, ENOMEM, "cgroup", cgroups_path);
}

void systemd_unit_free(struct systemd_unit *unit) {
    free(unit->slice);
    free(unit->scope);
    free(unit->path);
    *unit = (struct systemd_unit){0};
}

/* Everything but letters and digits is "_" and its code; a digit in front as well. */
char *systemd_unit_object(const char *name) {
    static const char root[] = "/org/freedesktop/systemd1/unit/";
    char *object = malloc(sizeof(root) + strlen(name) * 3);
    if (object == NULL)
        return NULL;
    char *end = stpcpy(object, root);
    for (const char *letter = name; *letter != '\0'; letter++) {
        unsigned char code = (unsigned char)*letter;
        bool plain = (code < 128 && isalpha(code)) || (isdigit(code) && letter != name);
        if (plain)
            *end++ = *letter;
        else
            end += sprintf(end, "_%02x", code);
    }
    *end = '\0';
    return object;
}
