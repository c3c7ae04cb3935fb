/* The list of targets, and what they share. See target.h. */
#include "common/warn.h"
#include "target.h"
#include <fcntl.h>
#include <unistd.h>

const struct fuzz_target *const FUZZ_TARGETS[] = {
    &fuzz_config, &fuzz_seccomp, &fuzz_supervisor, &fuzz_systemd, &fuzz_oci, NULL,
};

const char *__lsan_default_suppressions(void);

/* libseccomp loses some memory with some profiles; a filter is compiled once in a process's life.
 */
const char *__lsan_default_suppressions(void) {
    return "leak:libseccomp";
}

static void drop_warning(const char *message) {
    (void)message;
}

void fuzz_be_quiet(void) {
    warn_use(drop_warning);
}

void fuzz_write_file(const char *folder, const char *name, const void *data, size_t length) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_HOLDS(fd >= 0 && write(fd, data, length) == (ssize_t)length, "%s", path);
    close(fd);
}

int fuzz_count_fds(void) {
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}
