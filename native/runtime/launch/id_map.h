/*
 * ID mappings of user namespaces (user_namespaces(7)): ranges of IDs inside and what they are
 * outside. Read from config.json (OCI runtime-spec, "User namespace mappings") and from the kernel.
 */
#ifndef MYDOCK_ID_MAP_H
#define MYDOCK_ID_MAP_H

#include "../../common/error.h"
#include "arena.h"
#include "fields.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct id_range {
    int64_t inside, outside, size;
};

struct id_map {
    struct id_range *ranges;
    size_t count;
};

struct id_maps {
    struct id_map uids, gids;
};

/* An array of {containerID, hostID, size}. Ranges that overlap, reach past the last ID, or are more
 * than the kernel takes are refused by name. An absent array is a map without ranges. */
int id_map_read(const struct fields *from, const char *key, struct id_map *out, struct error **err);

/* As /proc/PID/uid_map takes it; NULL without memory. */
const char *id_map_text(struct arena *arena, const struct id_map *map);

/* Both maps of a process's user namespace, as the caller's shows them. */
int id_maps_of(pid_t pid, struct arena *arena, struct id_maps *out, struct error **err);

/* The same IDs for the same IDs, in whatever order and pieces the ranges stand. */
bool id_map_is_same(const struct id_map *left, const struct id_map *right);

/* What an ID inside is outside; -1: not mapped. */
int64_t id_map_outside(const struct id_map *map, int64_t inside);

#endif
