/* The exit record: see exit_record.h. */
#define _GNU_SOURCE
#include "exit_record.h"
#include "../../common/fault_mark.h"
#include "json_text.h"
#include "timestamp.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ATTEMPTS = 10, PAUSE_US = 100 * 1000 };

static char *text_of(const struct exit_record *record) {
    char started[TIMESTAMP_LENGTH + 1];
    char exited[TIMESTAMP_LENGTH + 1];
    timestamp_string(started, &record->started_at);
    timestamp_string(exited, &record->exited_at);
    json_t *object =
        json_pack("{s:i, s:i, s:b, s:s, s:s, s:o}", "exitCode", record->exit_code, "signal",
                  record->signal, "oomKilled", record->oom_killed, "startedAt", started, "exitedAt",
                  exited, "error", json_text(record->error));
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

static int write_once(const char *path, const char *temporary, const char *text) {
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    size_t length = strlen(text);
    ssize_t written = write(fd, text, length);
    int number = written == (ssize_t)length ? 0 : written < 0 ? errno : ENOSPC;
    close(fd);
    fault_mark("supervisor/exit-written");
    if (number == 0 && rename(temporary, path) == 0)
        return 0;
    if (number == 0)
        number = errno;
    unlink(temporary);
    errno = number;
    return -1;
}

int exit_record_write(const char *path, const struct exit_record *record, struct error **err) {
    const char *slash = strrchr(path, '/');
    int folder = slash == NULL ? 0 : (int)(slash + 1 - path);
    char *text = text_of(record);
    char *temporary = NULL;
    if (text == NULL || asprintf(&temporary, "%.*s.tmp-%s", folder, path, path + folder) < 0) {
        free(text);
        return error_set(err, ENOMEM, "write exit record", path);
    }
    int result = -1;
    for (int attempt = 0; result != 0 && attempt < ATTEMPTS; attempt++) {
        if (attempt > 0)
            usleep(PAUSE_US);
        result = write_once(path, temporary, text);
        if (result != 0 && errno != ENOSPC && errno != EDQUOT)
            break;
    }
    if (result != 0)
        error_set(err, errno, "write exit record", path);
    free(temporary);
    free(text);
    return result;
}
