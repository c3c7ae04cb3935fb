/*
 * The cache of compiled seccomp filters, and loading one. A cache file is named by a hash of its
 * key, and holds the key itself (version of libseccomp, architecture, the whole profile) in front
 * of the instructions: it is used only where the key is the same byte for byte. See filter.h.
 */
#define _GNU_SOURCE
#include "filter.h"
#include "../../common/cleanup.h"
#include "../../common/warn.h"
#include "filter_bounded.h"
#include "filter_listener.h"
#include "syscalls.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Another number for each change of what is made of a profile. */
#define CACHE_MAGIC "MYDSECC2"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

struct cache_header {
    char magic[8];
    uint32_t key_bytes;
    uint32_t code_bytes;
};

static int filter_read_flags(const struct fields *profile, unsigned *flags, struct error **err) {
    static const struct {
        const char *name;
        unsigned flag;
    } known[] = {
        {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
        {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
        {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
        {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
    };
    struct text_list names;
    if (fields_texts(profile, "flags", &names, err) < 0)
        return -1;
    for (size_t index = 0; index < names.count; index++) {
        unsigned flag = 0;
        for (size_t other = 0; other < sizeof(known) / sizeof(known[0]); other++) {
            if (strcmp(known[other].name, names.items[index]) == 0)
                flag = known[other].flag;
        }
        if (flag == 0)
            return fields_refuse(profile, "flags", "holds an unknown flag", err);
        /* There is one thread. */
        if (flag != SECCOMP_FILTER_FLAG_TSYNC)
            *flags |= flag;
    }
    return 0;
}

static int filter_read_listener(const struct fields *profile, struct seccomp_filter *out,
                                struct error **err) {
    const json_t *rules = NULL;
    if (fields_text(profile, "listenerPath", &out->listener_path, err) < 0 ||
        fields_text(profile, "listenerMetadata", &out->listener_metadata, err) < 0 ||
        fields_array(profile, "syscalls", &rules, err) < 0)
        return -1;
    for (size_t index = 0; index < json_array_size(rules); index++) {
        const char *action =
            json_string_value(json_object_get(json_array_get(rules, index), "action"));
        out->listens = out->listens || (action != NULL && strcmp(action, "SCMP_ACT_NOTIFY") == 0);
    }
    bool path = out->listener_path != NULL && out->listener_path[0] != '\0';
    if (!path && out->listener_metadata != NULL && out->listener_metadata[0] != '\0')
        return fields_refuse(profile, "listenerMetadata", "needs a listenerPath", err);
    if (out->listens && (!path || out->listener_path[0] != '/'))
        return fields_refuse(profile, "listenerPath", "must be absolute for SCMP_ACT_NOTIFY", err);
    /* Flags about notifications are an error of seccomp(2) in a filter without. */
    if (out->listens)
        out->flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    else
        out->flags &= ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    return 0;
}

static char *filter_key(const json_t *profile) {
    const struct scmp_version *version = seccomp_version();
    cleanup_free char *text = json_dumps(profile, JSON_COMPACT);
    char *key = NULL;
    if (text == NULL || version == NULL ||
        asprintf(&key, "libseccomp %u.%u.%u api %u arch %x\n%s", version->major, version->minor,
                 version->micro, seccomp_api_get(), seccomp_arch_native(), text) < 0)
        return NULL;
    return key;
}

/* FNV-1a, 64 bits: it only names the file. */
static void filter_file_name(const char *key, char name[40]) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *letter = key; *letter != '\0'; letter++)
        hash = (hash ^ (unsigned char)*letter) * UINT64_C(0x100000001b3);
    snprintf(name, 40, "%016llx.bpf", (unsigned long long)hash);
}

/* The folder, if nobody else can have put anything there; -1 otherwise. */
static int filter_open_cache(const char *path) {
    struct stat status;
    cleanup_close int fd =
        path == NULL || path[0] == '\0' ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || status.st_uid != geteuid() ||
        (status.st_mode & 0022) != 0)
        return -1;
    return steal_fd(&fd);
}

static bool filter_parse_cached(const char *text, size_t size, const char *key,
                                struct seccomp_filter *out) {
    struct cache_header header;
    size_t key_bytes = strlen(key);
    if (size < sizeof(header))
        return false;
    memcpy(&header, text, sizeof(header));
    if (memcmp(header.magic, CACHE_MAGIC, sizeof(header.magic)) != 0 ||
        header.key_bytes != key_bytes || header.code_bytes == 0 ||
        header.code_bytes % sizeof(struct sock_filter) != 0 ||
        size != sizeof(header) + key_bytes + header.code_bytes ||
        memcmp(text + sizeof(header), key, key_bytes) != 0)
        return false;
    out->code = malloc(header.code_bytes);
    if (out->code == NULL)
        return false;
    memcpy(out->code, text + sizeof(header) + key_bytes, header.code_bytes);
    out->bytes = header.code_bytes;
    return true;
}

static bool filter_read_cached(int cache, const char *name, const char *key,
                               struct seccomp_filter *out) {
    struct stat status;
    cleanup_close int fd = openat(cache, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) ||
        status.st_uid != geteuid() || (status.st_mode & 0077) != 0 || status.st_size > 4 << 20)
        return false;
    size_t size = (size_t)status.st_size;
    cleanup_free char *text = malloc(size + 1);
    return text != NULL && read(fd, text, size) == (ssize_t)size &&
           filter_parse_cached(text, size, key, out);
}

static int filter_write_file(int fd, const char *key, const struct seccomp_filter *filter) {
    struct cache_header header = {CACHE_MAGIC, (uint32_t)strlen(key), (uint32_t)filter->bytes};
    if (write(fd, &header, sizeof(header)) != (ssize_t)sizeof(header) ||
        write(fd, key, header.key_bytes) != (ssize_t)header.key_bytes ||
        write(fd, filter->code, filter->bytes) != (ssize_t)filter->bytes)
        return -1;
    return fdatasync(fd);
}

/* A cache that cannot be written is slower, not wrong: a warning. */
static void filter_write_cached(int cache, const char *name, const char *key,
                                const struct seccomp_filter *filter) {
    char temporary[64];
    snprintf(temporary, sizeof(temporary), ".%s.%d", name, (int)getpid());
    unlinkat(cache, temporary, 0);
    cleanup_close int fd =
        openat(cache, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && filter_write_file(fd, key, filter) == 0 &&
        renameat(cache, temporary, cache, name) == 0)
        return;
    warn("warning: cannot write the seccomp cache: %s", strerror(errno));
    unlinkat(cache, temporary, 0);
}

static int filter_prepare_fields(const struct fields *profile, const char *cache_path,
                                 struct seccomp_filter *out, struct error **err) {
    char name[40];
    if (filter_read_flags(profile, &out->flags, err) < 0 ||
        filter_read_listener(profile, out, err) < 0)
        return -1;
    cleanup_close int cache = filter_open_cache(cache_path);
    cleanup_free char *key = filter_key(profile->object);
    if (key == NULL)
        return fields_no_memory(err);
    filter_file_name(key, name);
    if (cache >= 0 && filter_read_cached(cache, name, key, out))
        return 0;
    if (filter_compile_bounded(profile, FILTER_COMPILE_LIMIT_MS, &out->code, &out->bytes, err) < 0)
        return -1;
    if (cache >= 0)
        filter_write_cached(cache, name, key, out);
    return 0;
}

int filter_prepare(const json_t *profile, const char *cache, struct seccomp_filter *out,
                   struct error **err) {
    *out = (struct seccomp_filter){.code = NULL};
    if (profile == NULL)
        return 0;
    struct arena arena = {NULL};
    struct fields from = {profile, "linux.seccomp", &arena};
    int result = filter_prepare_fields(&from, cache, out, err);
    arena_free(&arena);
    return result;
}

int filter_load(const struct seccomp_filter *filter, int sync_fd, struct error **err) {
    if (filter->code == NULL)
        return 0;
    struct sock_fprog program = {(unsigned short)(filter->bytes / sizeof(struct sock_filter)),
                                 filter->code};
    int result = sys_seccomp(SECCOMP_SET_MODE_FILTER, filter->flags, &program);
    if (result < 0)
        return error_set(err, errno, "load", "the seccomp filter");
    if (!filter->listens)
        return 0;
    /* The kernel makes it O_CLOEXEC. Closed only by exec: close may be notified too. */
    return filter_offer_listener(sync_fd, result, err);
}

void filter_free(struct seccomp_filter *filter) {
    free(filter->code);
    filter->code = NULL;
}
