/* See id_map.h. */
#define _GNU_SOURCE
#include "id_map.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* UID_GID_MAP_MAX_EXTENTS of the kernel, and less than a page in one write. */
#define ID_RANGES_MAX 340
#define ID_TEXT_MAX 4096
#define ID_MAX 4294967294LL

static bool id_range_overlaps(int64_t left, int64_t left_size, int64_t right, int64_t right_size) {
    return left < right + right_size && right < left + left_size;
}

static int id_range_read(const struct fields *entry, struct id_range *range, struct error **err) {
    *range = (struct id_range){-1, -1, 0};
    if (fields_number(entry, "containerID", 0, ID_MAX, &range->inside, err) < 0 ||
        fields_number(entry, "hostID", 0, ID_MAX, &range->outside, err) < 0 ||
        fields_number(entry, "size", 1, ID_MAX + 1, &range->size, err) < 0)
        return -1;
    if (range->inside < 0 || range->outside < 0 || range->size < 1)
        return fields_refuse(entry, "containerID", "must be given, and hostID and size", err);
    if (range->inside + range->size > ID_MAX + 1 || range->outside + range->size > ID_MAX + 1)
        return fields_refuse(entry, "size", "reaches past the last ID", err);
    return 0;
}

int id_map_read(const struct fields *from, const char *key, struct id_map *out,
                struct error **err) {
    const json_t *array = NULL;
    if (fields_array(from, key, &array, err) < 0)
        return -1;
    size_t count = array == NULL ? 0 : json_array_size(array);
    if (count > ID_RANGES_MAX)
        return fields_refuse(from, key, "has more ranges than the kernel takes", err);
    out->ranges = arena_array(from->arena, count + 1, sizeof(*out->ranges));
    if (out->ranges == NULL)
        return fields_no_memory(err);
    for (size_t index = 0; index < count; index++) {
        struct fields entry;
        struct id_range *range = &out->ranges[index];
        if (fields_element(from, key, array, index, &entry, err) < 0 ||
            id_range_read(&entry, range, err) < 0)
            return -1;
        for (size_t other = 0; other < index; other++) {
            const struct id_range *earlier = &out->ranges[other];
            if (id_range_overlaps(earlier->inside, earlier->size, range->inside, range->size))
                return fields_refuse(&entry, "containerID", "is in an earlier range already", err);
            if (id_range_overlaps(earlier->outside, earlier->size, range->outside, range->size))
                return fields_refuse(&entry, "hostID", "is in an earlier range already", err);
        }
    }
    out->count = count;
    const char *text = id_map_text(from->arena, out);
    if (text == NULL)
        return fields_no_memory(err);
    if (strlen(text) >= ID_TEXT_MAX)
        return fields_refuse(from, key, "has more ranges than the kernel takes", err);
    return 0;
}

const char *id_map_text(struct arena *arena, const struct id_map *map) {
    const char *text = "";
    for (size_t index = 0; text != NULL && index < map->count; index++) {
        const struct id_range *range = &map->ranges[index];
        text = arena_format(arena, "%s%lld %lld %lld\n", text, (long long)range->inside,
                            (long long)range->outside, (long long)range->size);
    }
    return text;
}

static int id_map_load(pid_t pid, const char *file, struct arena *arena, struct id_map *out,
                       struct error **err) {
    char path[64];
    long long inside, outside, size;
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    out->count = 0;
    out->ranges = arena_array(arena, ID_RANGES_MAX, sizeof(*out->ranges));
    if (out->ranges == NULL)
        return fields_no_memory(err);
    FILE *lines = fopen(path, "re");
    if (lines == NULL)
        return error_set(err, errno, "read the ID mapping", path);
    while (out->count < ID_RANGES_MAX &&
           fscanf(lines, "%lld %lld %lld", &inside, &outside, &size) == 3)
        out->ranges[out->count++] = (struct id_range){inside, outside, size};
    fclose(lines);
    return 0;
}

int id_maps_of(pid_t pid, struct arena *arena, struct id_maps *out, struct error **err) {
    if (id_map_load(pid, "uid_map", arena, &out->uids, err) < 0)
        return -1;
    return id_map_load(pid, "gid_map", arena, &out->gids, err);
}

int64_t id_map_outside(const struct id_map *map, int64_t inside) {
    for (size_t index = 0; index < map->count; index++) {
        const struct id_range *range = &map->ranges[index];
        if (inside >= range->inside && inside - range->inside < range->size)
            return range->outside + (inside - range->inside);
    }
    return -1;
}

/* A mapping is linear between the ends of the ranges of both, so those tell. */
static bool id_map_covers(const struct id_map *map, const struct id_map *other) {
    for (size_t index = 0; index < other->count; index++) {
        const struct id_range *range = &other->ranges[index];
        for (int64_t at = range->inside; at < range->inside + range->size;) {
            const struct id_range *found = NULL;
            for (size_t own = 0; found == NULL && own < map->count; own++) {
                if (at >= map->ranges[own].inside &&
                    at - map->ranges[own].inside < map->ranges[own].size)
                    found = &map->ranges[own];
            }
            if (found == NULL || found->outside - found->inside != range->outside - range->inside)
                return false;
            at = found->inside + found->size;
        }
    }
    return true;
}

bool id_map_is_same(const struct id_map *left, const struct id_map *right) {
    return id_map_covers(left, right) && id_map_covers(right, left);
}
