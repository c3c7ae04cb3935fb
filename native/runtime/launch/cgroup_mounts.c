/* See cgroup_mounts.h. Reads /proc/self/mountinfo (proc(5)), except on a host that has v2 alone; no
 * further than the last hierarchy, because the mounts of all containers stand behind those of the
 * host. */
#define _GNU_SOURCE
#include "cgroup_mounts.h"
#include "../../common/cleanup.h"
#include <errno.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#define UNIFIED_MOUNT "/sys/fs/cgroup"

static int mounts_add(struct cgroup_hierarchy **out, size_t *count, bool v2, const char *mount,
                      const char *controllers, struct error **err) {
    for (size_t index = 0; index < *count; index++) {
        if ((*out)[index].v2 == v2 && strcmp((*out)[index].controllers, controllers) == 0)
            return 0;
    }
    struct cgroup_hierarchy *grown = reallocarray(*out, *count + 1, sizeof(**out));
    if (grown == NULL)
        return fields_no_memory(err);
    *out = grown;
    struct cgroup_hierarchy *added = &grown[*count];
    *added = (struct cgroup_hierarchy){v2, strdup(controllers), strdup(mount), NULL, -1};
    *count += 1;
    return added->controllers == NULL || added->mount == NULL ? fields_no_memory(err) : 0;
}

/* Undoes \040 and its like, in place. */
static void mounts_unescape(char *text) {
    char *out = text;
    for (const char *in = text; *in != '\0';) {
        if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] != '\0' && in[3] != '\0') {
            *out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
            in += 4;
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
}

/* Keeps of a v1 superblock's options those that name the hierarchy: "rw,xattr,name=systemd" ->
 * "name=systemd". */
static void mounts_keep_controllers(char *options) {
    static const char *const others[] = {"rw",
                                         "ro",
                                         "xattr",
                                         "noprefix",
                                         "clone_children",
                                         "cpuset_v2_mode",
                                         "favordynmods",
                                         "nofavordynmods"};
    cleanup_free char *copy = strdup(options);
    char *position = NULL;
    options[0] = '\0';
    for (char *name = copy == NULL ? NULL : strtok_r(copy, ",", &position); name != NULL;
         name = strtok_r(NULL, ",", &position)) {
        bool other = strncmp(name, "release_agent=", 14) == 0;
        for (size_t index = 0; index < sizeof(others) / sizeof(others[0]); index++)
            other = other || strcmp(others[index], name) == 0;
        if (other)
            continue;
        if (options[0] != '\0')
            strcat(options, ",");
        strcat(options, name);
    }
}

/* "ID PARENT MAJ:MIN ROOT MOUNT OPTIONS [TAGS...] - TYPE SOURCE SUPER" */
static int mounts_read_line(char *line, struct cgroup_hierarchy **out, size_t *count,
                            struct error **err) {
    char *tail = strstr(line, " - ");
    if (tail == NULL || strncmp(tail, " - cgroup", 9) != 0)
        return 0;
    char *position = NULL, *fields[5];
    strtok_r(tail + 3, " \n", &position);
    const char *type = tail + 3;
    strtok_r(NULL, " \n", &position);
    char *super = strtok_r(NULL, " \n", &position);
    *tail = '\0';
    for (size_t index = 0; index < 5; index++)
        fields[index] = strtok_r(index == 0 ? line : NULL, " ", &position);
    if (fields[4] == NULL || super == NULL)
        return 0;
    mounts_unescape(fields[4]);
    if (strcmp(type, "cgroup2") == 0)
        return mounts_add(out, count, true, fields[4], "", err);
    if (strcmp(type, "cgroup") != 0)
        return 0;
    mounts_keep_controllers(super);
    return mounts_add(out, count, false, fields[4], super, err);
}

/* How many hierarchies there are: a line each in /proc/self/cgroup (cgroups(7)). A number that no
 * list of mounts comes to where it cannot be read. */
static size_t mounts_expected(void) {
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL)
        return SIZE_MAX;
    size_t lines = 0;
    for (int byte = getc(file); byte != EOF; byte = getc(file))
        lines += byte == '\n';
    fclose(file);
    return lines == 0 ? SIZE_MAX : lines;
}

int cgroup_mounts_find(struct cgroup_hierarchy **out, size_t *count, struct error **err) {
    struct statfs status;
    if (statfs(UNIFIED_MOUNT, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC)
        return mounts_add(out, count, true, UNIFIED_MOUNT, "", err);
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (file == NULL)
        return error_set(err, errno, "open", "/proc/self/mountinfo");
    cleanup_free char *line = NULL;
    size_t size = 0;
    int result = 0;
    size_t expected = mounts_expected();
    while (result == 0 && *count < expected && getline(&line, &size, file) > 0)
        result = mounts_read_line(line, out, count, err);
    fclose(file);
    return result;
}
