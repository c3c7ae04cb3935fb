/* See process_time.h. */
#define _GNU_SOURCE
#include "process_time.h"
#include "../../common/cleanup.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static ssize_t process_time_read(const char *path, char *text, size_t size) {
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    text[got < 0 ? 0 : got] = '\0';
    return got;
}

void process_time_boot(char *out, size_t size) {
    process_time_read("/proc/sys/kernel/random/boot_id", out, size);
    out[strcspn(out, "\n")] = '\0';
}

unsigned long long process_time_start(pid_t pid) {
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (pid <= 0 || process_time_read(path, text, sizeof(text)) <= 0)
        return 0;
    /* The name in the second field may hold spaces and parentheses. */
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return 0;
    at += 2;
    for (int field = 3; field < 22 && at != NULL; field++) {
        at = strchr(at, ' ');
        at = at == NULL ? NULL : at + 1;
    }
    return at == NULL ? 0 : strtoull(at, NULL, 10);
}
