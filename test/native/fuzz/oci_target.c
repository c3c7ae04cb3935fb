/*
 * What the runtime's command line and its files may hold: arguments, state.json, supervisor.json,
 * the log of another runtime, and the process object that is written for one. The input's first
 * byte chooses.
 */
#define _GNU_SOURCE
#include "json_mutate.h"
#include "runtime/foreign/foreign.h"
#include "runtime/foreign/message.h"
#include "runtime/oci/arguments.h"
#include "runtime/oci/state.h"
#include "runtime/supervisor/base64.h"
#include "runtime/supervisor/detach_keys.h"
#include "runtime/supervisor/supervisor_config.h"
#include "target.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORDS_MAX = 32, TEXT_MAX = 4096 };

static const char *const WORDS[] = {
    "id",
    "bundle",
    "rootfs",
    "created",
    "annotations",
    "systemdCgroup",
    "ownsPids",
    "pid",
    "pidStart",
    "boot",
    "/run/x",
    "",
    "socket",
    "exitRecord",
    "log",
    "path",
    "maxBytes",
    "maxFiles",
    "compress",
    "attributes",
    "forward",
    "type",
    "journald",
    "syslog",
    "stdin",
    "stdinOnce",
    "seccompCache",
    "runtime",
    "root",
    "arguments",
    "args",
    "sh",
    "rlimits",
    "RLIMIT_NOFILE",
    "soft",
    "hard",
    "level",
    "error",
    "msg",
    "exec: \"x\": executable file not found in $PATH",
    "permission denied",
    NULL,
};

static char own_folder[256];
static char container[300];

static void begin(const char *folder) {
    snprintf(own_folder, sizeof(own_folder), "%s", folder);
    snprintf(container, sizeof(container), "%s/box", folder);
    FUZZ_HOLDS(mkdir(container, 0700) == 0, "%s", container);
}

static void free_error(struct error **err) {
    FUZZ_HOLDS(*err == NULL || (*err)->message[0] != '\0', "an error without a message");
    error_free(*err);
    *err = NULL;
}

static void run_arguments(const uint8_t *data, size_t length) {
    static struct argument_list list;
    char text[TEXT_MAX], *words[WORDS_MAX + 1];
    bool flag = false;
    const char *value = NULL;
    int64_t number = 0;
    struct operands operands;
    struct error *err = NULL;
    int count = 0;
    list.count = 0;
    const struct argument table[] = {
        {"flag", 'f', ARGUMENT_FLAG, &flag, NULL, "a flag"},
        {"text", 't', ARGUMENT_TEXT, &value, "TEXT", "a text"},
        {"number", 0, ARGUMENT_NUMBER, &number, "N", "a number"},
        {"list", 'l', ARGUMENT_LIST, &list, "ITEM", "one more"},
        {NULL},
    };
    if (length == 0)
        return;
    int in_order = data[0] % 4 - 1;
    size_t used = length - 1 < sizeof(text) - 1 ? length - 1 : sizeof(text) - 1;
    memcpy(text, data + 1, used);
    text[used] = '\0';
    /* Words end with a newline. */
    for (char *at = text; count < WORDS_MAX && at != NULL; count++) {
        words[count] = strsep(&at, "\n");
    }
    words[count] = NULL;
    if (arguments_read(words, table, in_order, &operands, &err) == 0) {
        FUZZ_HOLDS(operands.count >= 0 && operands.count <= count && number >= 0 &&
                       operands.items[operands.count] == NULL && list.count <= (size_t)count,
                   "operands");
        for (int index = 0; index < operands.count; index++)
            FUZZ_HOLDS(operands.items[index] >= text && operands.items[index] <= text + used,
                       "an operand that nobody gave");
    } else {
        FUZZ_HOLDS(err != NULL, "no error");
    }
    free_error(&err);
}

static void run_state(const uint8_t *data, size_t length) {
    const struct oci_global global = {own_folder, false};
    struct state *state = NULL;
    struct error *err = NULL;
    fuzz_write_file(container, "state.json", data, length);
    if (state_open(&global, "box", true, &state, &err) == 0) {
        enum state_status status = state_status(state, NULL);
        json_t *json = state_to_json(state, status);
        char *text = json_dumps(json, JSON_COMPACT);
        FUZZ_HOLDS(text != NULL, "a state that is no JSON");
        FUZZ_HOLDS(status == STATE_STOPPED || state->pid > 0, "status");
        free(text);
        json_decref(json);
        FUZZ_HOLDS(state_save(state, &err) == 0, "what was read cannot be written");
        state_close(state);
        FUZZ_HOLDS(state_open(&global, "box", false, &state, &err) == 0, "nor read again");
        state_close(state);
    }
    free_error(&err);
}

static void run_supervisor_config(const uint8_t *data, size_t length) {
    struct supervisor_config config;
    struct error *err = NULL;
    fuzz_write_file(own_folder, "supervisor.json", data, length);
    if (supervisor_config_read(own_folder, &config, &err) == 0) {
        FUZZ_HOLDS(config.id[0] != '\0' && config.socket[0] == '/' &&
                       config.exit_record[0] == '/' &&
                       (config.log_path == NULL || config.log_path[0] == '/') &&
                       (config.runtime_path == NULL || config.runtime_path[0] == '/'),
                   "supervisor.json");
        supervisor_config_free(&config);
    }
    free_error(&err);
}

static void run_message(const uint8_t *data, size_t length) {
    char path[300];
    struct error *err = NULL;
    snprintf(path, sizeof(path), "%s/log", own_folder);
    fuzz_write_file(own_folder, "log", data, length);
    FUZZ_HOLDS(message_set(path, -1, 256, "start", "/bin/other", &err) < 0 && err != NULL &&
                   err->exit_code >= 125 && err->exit_code <= 127,
               "message");
    free_error(&err);
}

/* What was given, limits apart, is what another runtime reads. */
static void run_process(const uint8_t *data, size_t length) {
    char path[300];
    struct error *err = NULL;
    json_t *process = json_loadb((const char *)data, length, 0, NULL);
    if (json_is_object(process)) {
        snprintf(path, sizeof(path), "%s/process", own_folder);
        unlink(path);
        FUZZ_HOLDS(foreign_write_process(path, process, &err) == 0, "write");
        json_t *rest = json_load_file(path, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
        json_object_del(process, "rlimits");
        FUZZ_HOLDS(rest != NULL || json_object_size(process) == 0, "what was written is no JSON");
        json_decref(rest);
    }
    json_decref(process);
    free_error(&err);
}

/* Whatever the pieces: the same bytes pass, and the keys end it at the same place. */
static void run_keys(const uint8_t *data, size_t length) {
    struct byte_queue decoded = {0}, whole = {0}, pieces = {0};
    char *text = strndup((const char *)data, length);
    if (base64_decode(text, strlen(text), &decoded))
        FUZZ_HOLDS(decoded.length <= strlen(text), "base64");
    queue_clear(&decoded);
    free(text);
    struct detach_keys keys = {.count = 3, .keys = {'a', 'a', 'b'}}, same = keys;
    bool ended = detach_keys_filter(&keys, data, length, &whole), apart = false;
    for (size_t index = 0; index < length && !apart; index++)
        apart = detach_keys_filter(&same, data + index, 1, &pieces);
    FUZZ_HOLDS(ended == apart && whole.length == pieces.length &&
                   (whole.length == 0 ||
                    memcmp(queue_front(&whole), queue_front(&pieces), whole.length) == 0),
               "detach keys in pieces");
    queue_clear(&whole);
    queue_clear(&pieces);
}

static void run(const uint8_t *data, size_t length) {
    static void (*const runs[])(const uint8_t *, size_t) = {
        run_arguments, run_state, run_supervisor_config, run_message, run_process, run_keys,
    };
    if (length > 0)
        runs[data[0] % (sizeof(runs) / sizeof(runs[0]))](data + 1, length - 1);
}

static size_t mutate(uint8_t *data, size_t length, size_t room, uint64_t random) {
    if (length < 2)
        return 0;
    size_t made = json_mutate(data + 1, length - 1, room - 1, random, WORDS);
    return made == 0 ? 0 : made + 1;
}

const struct fuzz_target fuzz_oci = {"oci", begin, run, mutate};
