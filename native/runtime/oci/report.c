/* See report.h. */
#define _GNU_SOURCE
#include "report.h"
#include "../../common/cleanup.h"
#include "../../common/warn.h"
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int report_fd = -1;
static bool report_json;

/* As a JSON text, quoted. A message may have been cut inside a character, or repeat a path that is
 * no UTF-8: then it loses what is not ASCII. */
static char *report_quote(const char *message) {
    json_t *text = json_string(message);
    if (text == NULL) {
        cleanup_free char *plain = strdup(message);
        for (char *letter = plain; letter != NULL && *letter != '\0'; letter++) {
            if ((unsigned char)*letter >= 0x80)
                *letter = '?';
        }
        text = plain == NULL ? NULL : json_string(plain);
    }
    char *quoted = text == NULL ? NULL : json_dumps(text, JSON_ENCODE_ANY);
    json_decref(text);
    return quoted;
}

static void report_write(const char *level, const char *message) {
    char time_text[64];
    struct timespec now;
    struct tm parts;
    cleanup_free char *line = NULL;
    if (report_fd < 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    cleanup_free char *quoted = report_quote(message);
    int length = -1;
    if (quoted != NULL)
        length = asprintf(&line,
                          report_json ? "{\"level\":\"%s\",\"msg\":%s,\"time\":\"%s\"}\n"
                                      : "level=%s msg=%s time=\"%s\"\n",
                          level, quoted, time_text);
    if (length < 0)
        line = NULL;
    else if (write(report_fd, line, (size_t)length) < 0)
        return; /* There is nowhere to say that nothing can be said. */
}

static void report_warning(const char *message) {
    static const char prefix[] = "warning: ";
    size_t skip = strncmp(message, prefix, sizeof(prefix) - 1) == 0 ? sizeof(prefix) - 1 : 0;
    report_write("warning", message + skip);
}

int report_open(const char *path, bool json, struct error **err) {
    if (path == NULL || path[0] == '\0')
        return 0;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set(err, errno, "open the log", path);
    report_fd = fd;
    report_json = json;
    warn_use(report_warning);
    return 0;
}

void report_error(const char *verb, const struct error *err) {
    const char *message = err == NULL ? "out of memory" : err->message;
    const char *name = err == NULL ? "ENOMEM" : error_name(err->number);
    cleanup_free char *line = NULL;
    if (asprintf(&line, "%s%s%s%s%s%s", verb == NULL ? "" : verb, verb == NULL ? "" : ": ", message,
                 name[0] == '\0' ? "" : " (", name, name[0] == '\0' ? "" : ")") < 0)
        line = NULL;
    fprintf(stderr, "mydock-runtime: %s\n", line == NULL ? message : line);
    report_write("error", line == NULL ? message : line);
}
