/* Writing limits, and taking them back where an update of a running container fails halfway. See
 * cgroup.h. */
#define _GNU_SOURCE
#include "../../common/cleanup.h"
#include "../../common/warn.h"
#include "cgroup.h"
#include "systemd_scope.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OLD_MAX 65536

struct journal_entry {
    const struct cgroup_hierarchy *hierarchy;
    char *file, *old;
};

struct cgroup_journal {
    struct journal_entry *entries;
    size_t count;
};

bool cgroup_has(const struct cgroup_hierarchy *hierarchy, const char *file) {
    return faccessat(hierarchy->directory_fd, file, F_OK, 0) == 0;
}

int cgroup_check_usage(const struct cgroup_hierarchy *memory, const char *used, const char *limit,
                       const struct resources *resources, struct error **err) {
    char text[32];
    if (!resources->check_before_update || !resources->memory_limit.given ||
        resources->memory_limit.value < 0 ||
        cgroup_read(memory->directory_fd, used, text, sizeof(text)) < 0)
        return 0;
    long long bytes = strtoll(text, NULL, 10);
    if (bytes <= resources->memory_limit.value)
        return 0;
    return error_setf(err, EBUSY, "cgroup", limit,
                      "rejecting memory limit %lld: %lld bytes are in use",
                      (long long)resources->memory_limit.value, bytes);
}

/* What takes a device's line back: the line that stood there, or "no limit" in the file's words. */
static char *journal_device_line(const char *file, const char *key, char *old) {
    char *line = NULL, *position = NULL;
    size_t length = strlen(key);
    for (char *one = strtok_r(old, "\n", &position); one != NULL;
         one = strtok_r(NULL, "\n", &position)) {
        if (strncmp(one, key, length) == 0 && one[length] == ' ')
            return strdup(one);
    }
    const char *none = strcmp(file, "io.max") == 0     ? "rbps=max wbps=max riops=max wiops=max"
                       : strncmp(file, "io.", 3) == 0  ? "default"
                       : strcmp(file, "rdma.max") == 0 ? "hca_handle=max hca_object=max"
                                                       : "0";
    return asprintf(&line, "%s %s", key, none) < 0 ? NULL : line;
}

/* What is to be written to have the file as it was. */
static char *journal_old(const struct cgroup_hierarchy *hierarchy, const char *file,
                         const char *text) {
    cleanup_free char *old = malloc(OLD_MAX);
    if (old == NULL || cgroup_read(hierarchy->directory_fd, file, old, OLD_MAX) < 0)
        return NULL;
    char key[64];
    size_t space = strcspn(text, " ");
    /* "8:0 …", "mlx5_0 …", "eth0 …": a file with a line for each device; cpu.max has one pair. */
    bool keyed = text[space] != '\0' && space < sizeof(key) && strcmp(file, "cpu.max") != 0;
    if (keyed) {
        snprintf(key, sizeof(key), "%.*s", (int)space, text);
        return journal_device_line(file, key, old);
    }
    /* A file of weights begins with "default 100"; oom_control with "oom_kill_disable 0". */
    char *line = strndup(old, strcspn(old, "\n"));
    if (line != NULL && strcmp(file, "memory.oom_control") == 0)
        memmove(line, line + strcspn(line, " "), strlen(line) - strcspn(line, " ") + 1);
    return line;
}

static int journal_add(struct cgroup_journal *journal, const struct cgroup_hierarchy *hierarchy,
                       const char *file, const char *text, struct error **err) {
    struct journal_entry *grown =
        reallocarray(journal->entries, journal->count + 1, sizeof(*grown));
    if (grown == NULL)
        return fields_no_memory(err);
    journal->entries = grown;
    struct journal_entry entry = {hierarchy, strdup(file), journal_old(hierarchy, file, text)};
    if (entry.file == NULL || entry.old == NULL) {
        free(entry.file);
        free(entry.old);
        return error_setf(err, errno, "cgroup", file, "read %s/%s: %s", hierarchy->directory, file,
                          strerror(errno));
    }
    journal->entries[journal->count++] = entry;
    return 0;
}

/* The last written goes first. Pairs that bound each other may need a second turn. */
static void journal_restore(const struct cgroup_journal *journal) {
    for (int turn = 0; turn < 2; turn++) {
        for (size_t index = journal->count; index > 0; index--) {
            const struct journal_entry *entry = &journal->entries[index - 1];
            struct error *err = NULL;
            if (cgroup_write(entry->hierarchy, entry->file, entry->old, &err) == 0)
                continue;
            if (turn == 1)
                warn("warning: limits are partly updated: %s", err->message);
            error_free(err);
        }
    }
}

static void journal_free(struct cgroup_journal *journal) {
    for (size_t index = 0; index < journal->count; index++) {
        free(journal->entries[index].file);
        free(journal->entries[index].old);
    }
    free(journal->entries);
}

int cgroup_set(struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy, const char *file,
               const char *text, struct error **err) {
    if (cgroup->journal != NULL && journal_add(cgroup->journal, hierarchy, file, text, err) < 0)
        return -1;
    return cgroup_write(hierarchy, file, text, err);
}

int cgroup_set_number(struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                      const char *file, int64_t number, struct error **err) {
    char text[32];
    snprintf(text, sizeof(text), "%lld", (long long)number);
    return cgroup_set(cgroup, hierarchy, file, text, err);
}

int cgroup_set_together(struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy,
                        const struct cgroup_value *values, size_t count, struct error **err) {
    bool written[8] = {false};
    size_t left = count;
    for (bool progress = true; left > 0;) {
        bool last = !progress;
        progress = false;
        for (size_t index = 0; index < count; index++) {
            if (written[index])
                continue;
            /* Where nothing was taken in a whole turn, the next refusal is what is told. */
            int result = cgroup_set(cgroup, hierarchy, values[index].file, values[index].text,
                                    last ? err : NULL);
            if (result < 0 && last)
                return -1;
            if (result < 0)
                continue;
            written[index] = progress = true;
            left--;
        }
    }
    return 0;
}

/* The kernel judges first; systemd, which rounds, is told what was taken, and what it then wrote is
 * made exact again. */
int cgroup_update(struct cgroup *cgroup, const struct resources *resources, struct error **err) {
    struct cgroup_journal journal = {NULL, 0};
    cgroup->journal = &journal;
    int result = cgroup_v1_limit(cgroup, resources, err);
    if (result == 0)
        result = cgroup_v2_limit(cgroup, resources, err);
    cgroup->journal = NULL;
    if (result == 0 && cgroup->scope != NULL)
        result = systemd_scope_limit(cgroup->scope, cgroup, resources, err);
    if (result < 0)
        journal_restore(&journal);
    else if (cgroup->scope != NULL)
        result = cgroup_v1_limit(cgroup, resources, err) < 0
                     ? -1
                     : cgroup_v2_limit(cgroup, resources, err);
    journal_free(&journal);
    return result;
}
