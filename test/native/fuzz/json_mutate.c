/* See json_mutate.h. */
#include "json_mutate.h"
#include "target.h"
#include <jansson.h>
#include <string.h>

struct mutation {
    uint64_t random;
    const char *const *words;
    size_t word_count;
    /* The tree, to take parts from. */
    json_t *tree;
};

static uint64_t below(struct mutation *mutation, uint64_t bound) {
    return fuzz_random(&mutation->random) % bound;
}

/* A part of the tree: each step down is taken with three chances in four. */
static json_t *pick(struct mutation *mutation, json_t *from) {
    while (below(mutation, 4) != 0) {
        json_t *next = NULL;
        if (json_is_array(from) && json_array_size(from) > 0)
            next = json_array_get(from, below(mutation, json_array_size(from)));
        if (json_is_object(from) && json_object_size(from) > 0) {
            uint64_t steps = below(mutation, json_object_size(from));
            void *at = json_object_iter(from);
            for (; steps > 0; steps--)
                at = json_object_iter_next(from, at);
            next = json_object_iter_value(at);
        }
        if (next == NULL)
            break;
        from = next;
    }
    return from;
}

static json_t *make_number(struct mutation *mutation) {
    static const json_int_t numbers[] = {
        0,
        1,
        -1,
        2,
        7,
        8,
        100,
        1000,
        1024,
        65535,
        65536,
        262144,
        1000000,
        INT32_MAX,
        INT32_MIN,
        2147483648,
        4294967294,
        4294967295,
        4294967296,
        9007199254740993,
        INT64_MAX,
        INT64_MIN,
        INT64_MAX - 1,
    };
    if (below(mutation, 4) == 0)
        return json_integer((json_int_t)(fuzz_random(&mutation->random) >> below(mutation, 64)));
    return json_integer(numbers[below(mutation, sizeof(numbers) / sizeof(numbers[0]))]);
}

static json_t *make_text(struct mutation *mutation) {
    char text[256];
    const char *word = mutation->words[below(mutation, mutation->word_count)];
    const char *other = mutation->words[below(mutation, mutation->word_count)];
    size_t cut = below(mutation, strlen(word) + 1);
    switch (below(mutation, 6)) {
    case 0:
        snprintf(text, sizeof(text), "%.*s", (int)cut, word);
        return json_string(text);
    case 1:
        snprintf(text, sizeof(text), "%.*s%s", (int)cut, word, other);
        return json_string(text);
    case 2:
        snprintf(text, sizeof(text), "%s%c%s", word, ":/,-= .\\\n\"%"[below(mutation, 11)], other);
        return json_string(text);
    default:
        return json_string(word);
    }
}

static json_t *make_value(struct mutation *mutation) {
    json_t *made;
    switch (below(mutation, 12)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(below(mutation, 2) == 0);
    case 2:
        return json_real(-0.5);
    case 3:
        return json_object();
    case 4:
        return json_array();
    case 5:
        made = json_array();
        for (uint64_t left = 1 + below(mutation, 8); left > 0; left--)
            json_array_append_new(made, make_text(mutation));
        return made;
    case 6:
    case 7:
        return json_deep_copy(pick(mutation, mutation->tree));
    case 8:
    case 9:
        return make_text(mutation);
    default:
        return make_number(mutation);
    }
}

/* Like what is there, most of the time. */
static json_t *make_replacement(struct mutation *mutation, const json_t *old) {
    if (below(mutation, 4) == 0)
        return make_value(mutation);
    if (json_is_string(old))
        return make_text(mutation);
    if (json_is_integer(old))
        return make_number(mutation);
    if (json_is_boolean(old))
        return json_boolean(!json_is_true(old));
    return make_value(mutation);
}

static void change_array(struct mutation *mutation, json_t *array) {
    size_t count = json_array_size(array), at = count == 0 ? 0 : below(mutation, count);
    switch (below(mutation, count == 0 ? 1 : 4)) {
    case 0:
        json_array_insert_new(array, at, make_value(mutation));
        break;
    case 1:
        json_array_remove(array, at);
        break;
    case 2:
        json_array_append_new(array, json_deep_copy(json_array_get(array, at)));
        break;
    default:
        json_array_set_new(array, at, make_replacement(mutation, json_array_get(array, at)));
    }
}

static void change_object(struct mutation *mutation, json_t *object) {
    size_t count = json_object_size(object);
    void *at = json_object_iter(object);
    for (uint64_t steps = count == 0 ? 0 : below(mutation, count); steps > 0; steps--)
        at = json_object_iter_next(object, at);
    const char *key = at == NULL ? NULL : json_object_iter_key(at);
    switch (below(mutation, key == NULL ? 1 : 5)) {
    case 0:
        json_object_set_new(object, mutation->words[below(mutation, mutation->word_count)],
                            make_value(mutation));
        break;
    case 1:
        json_object_del(object, key);
        break;
    default:
        json_object_set_new(object, key, make_replacement(mutation, json_object_get(object, key)));
    }
}

size_t json_mutate(uint8_t *data, size_t length, size_t room, uint64_t random,
                   const char *const *words) {
    struct mutation mutation = {.random = random | 1, .words = words};
    while (words[mutation.word_count] != NULL)
        mutation.word_count++;
    mutation.tree = json_loadb((const char *)data, length, 0, NULL);
    if (mutation.tree == NULL)
        return 0;
    for (uint64_t left = 1 + below(&mutation, 4); left > 0; left--) {
        json_t *part = pick(&mutation, mutation.tree);
        /* A leaf cannot be changed in place: its turn comes through what holds it. */
        if (json_is_array(part))
            change_array(&mutation, part);
        else if (json_is_object(part))
            change_object(&mutation, part);
        else
            left += below(&mutation, 8) != 0;
    }
    size_t made = json_dumpb(mutation.tree, (char *)data, room, JSON_COMPACT);
    /* json_dumpb has written a beginning where there is no room for all of it. */
    made = made > room ? room : made;
    json_decref(mutation.tree);
    return made;
}
