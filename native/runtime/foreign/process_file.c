/*
 * Process objects for exec --process. The daemon writes an unlimited rlimit as -1, since 2^64-1 is
 * no exact number of JavaScript's (and none of jansson's); runtimes read unsigned numbers and get
 * them as such.
 */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "foreign.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void put_rlimits(FILE *out, const json_t *rlimits) {
    size_t i;
    const json_t *limit;
    fputs(",\"rlimits\":[", out);
    json_array_foreach(rlimits, i, limit) {
        const json_t *type = json_object_get(limit, "type");
        unsigned long long soft =
            (unsigned long long)json_integer_value(json_object_get(limit, "soft"));
        unsigned long long hard =
            (unsigned long long)json_integer_value(json_object_get(limit, "hard"));
        fputs(i == 0 ? "{\"type\":" : ",{\"type\":", out);
        if (json_dumpf(type, out, JSON_ENCODE_ANY) != 0)
            fputs("null", out);
        fprintf(out, ",\"soft\":%llu,\"hard\":%llu}", soft, hard);
    }
    fputs("]", out);
}

int foreign_write_process(const char *path, const json_t *process, struct error **err) {
    json_t *others = json_copy((json_t *)process);
    const json_t *rlimits = json_object_get(process, "rlimits");
    json_object_del(others, "rlimits");
    cleanup_free char *text = others == NULL ? NULL : json_dumps(others, JSON_COMPACT);
    json_decref(others);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (text == NULL || out == NULL) {
        int number = text == NULL ? ENOMEM : errno;
        if (out != NULL)
            fclose(out);
        else if (fd >= 0)
            close(fd);
        return error_set(err, number, "write", path);
    }
    /* The text without its last brace; an object that has only limits has no comma to begin with,
     * and is none that could run. */
    fwrite(text, 1, strlen(text) - 1, out);
    if (json_is_array(rlimits))
        put_rlimits(out, rlimits);
    fputs("}", out);
    bool failed = ferror(out) != 0;
    return fclose(out) != 0 || failed ? error_set(err, errno, "write", path) : 0;
}
