/* The json-file log and what it is made of: escapes, line splitting, times, queues. Runs under the
 * sanitizers. */
#include "runtime/supervisor/log.h"
#include "runtime/supervisor/base64.h"
#include "runtime/supervisor/byte_queue.h"
#include "runtime/supervisor/detach_keys.h"
#include "runtime/supervisor/json_escape.h"
#include "runtime/supervisor/timestamp.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static void check_escape(const char *in, size_t length, const char *expected) {
    /* Exact blocks: the sanitizer sees a byte read or written beyond them. */
    unsigned char *bytes = malloc(length + (length == 0));
    unsigned char *out = malloc(JSON_ESCAPE_ROOM(length));
    memcpy(bytes, in, length);
    size_t written = (size_t)(json_escape(out, bytes, length) - out);
    CHECK(written == strlen(expected));
    CHECK(memcmp(out, expected, written) == 0);
    free(bytes);
    free(out);
}

static void test_escape(void) {
    check_escape("", 0, "");
    check_escape("plain text of more than sixteen bytes", 37,
                 "plain text of more than sixteen bytes");
    check_escape("0123456789abcde\"0123456789abcdef", 32, "0123456789abcde\\\"0123456789abcdef");
    check_escape("\0\x1f\x7f\t\r\n\\<>&", 10,
                 "\\u0000\\u001f\x7f\\t\\r\\n\\\\\\u003c\\u003e\\u0026");
    check_escape("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", 9, "\\u2028\\u2029\xe2\x80\xaa");
    check_escape("\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80");
    /* Overlong, surrogate, beyond U+10FFFF, torn, stray: one replacement a byte. */
    check_escape("\xc0\x80", 2, "\\ufffd\\ufffd");
    check_escape("\xed\xa0\x80", 3, "\\ufffd\\ufffd\\ufffd");
    check_escape("\xf4\x90\x80\x80", 4, "\\ufffd\\ufffd\\ufffd\\ufffd");
    check_escape("\xe2\x82", 2, "\\ufffd\\ufffd");
    check_escape("\xe2\x82x", 3, "\\ufffd\\ufffdx");
    check_escape("\x80", 1, "\\ufffd");
    CHECK(json_escape_torn((const unsigned char *)"a\xe2\x82", 3, 0xac) == 2);
    CHECK(json_escape_torn((const unsigned char *)"a\xe2\x82", 3, 'x') == 0);
    CHECK(json_escape_torn((const unsigned char *)"\xe2\x82\xac", 3, 0x80) == 0);
    CHECK(json_escape_torn((const unsigned char *)"\x80\x80\x80\x80", 4, 0x80) == 0);
}

static void check_time(time_t seconds, long nanoseconds, const char *expected) {
    char text[TIMESTAMP_LENGTH + 1];
    struct timespec when = {.tv_sec = seconds, .tv_nsec = nanoseconds};
    timestamp_string(text, &when);
    CHECK(strcmp(text, expected) == 0);
}

static void test_time(void) {
    check_time(0, 0, "");
    check_time(0, 1, "1970-01-01T00:00:00.000000001Z");
    check_time(951782400, 0, "2000-02-29T00:00:00.000000000Z");
    check_time(1795219158, 123456789, "2026-11-20T23:59:18.123456789Z");
    check_time(4107542399, 999999999, "2100-02-28T23:59:59.999999999Z");
    for (time_t at = 86399; at < 5000000000; at += 86400 * 13) {
        struct tm parts;
        char expected[64];
        gmtime_r(&at, &parts);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000000Z", &parts);
        check_time(at, 0, expected);
    }
}

static void test_base64(void) {
    struct byte_queue out = {0};
    CHECK(base64_decode("", 0, &out) && out.length == 0);
    CHECK(base64_decode("aGVhZAA=", 8, &out) && out.length == 5);
    CHECK(memcmp(queue_front(&out), "head\0", 5) == 0);
    queue_clear(&out);
    CHECK(base64_decode("/+8A", 4, &out) && memcmp(queue_front(&out), "\xff\xef\0", 3) == 0);
    queue_clear(&out);
    CHECK(!base64_decode("abc", 3, &out));
    CHECK(!base64_decode("a=bc", 4, &out));
    CHECK(!base64_decode("ab=c", 4, &out));
    CHECK(!base64_decode("====", 4, &out));
    CHECK(!base64_decode("YQ==YQ==", 8, &out));
    queue_clear(&out);
}

static void test_queue(void) {
    struct byte_queue queue = {0};
    unsigned char next_in = 0;
    unsigned char next_out = 0;
    for (int round = 0; round < 2000; round++) {
        unsigned char bytes[300];
        size_t count = (size_t)(rand() % 300);
        for (size_t i = 0; i < count; i++)
            bytes[i] = next_in++;
        CHECK(queue_append(&queue, bytes, count));
        size_t taken = queue.length == 0 ? 0 : (size_t)rand() % (queue.length + 1);
        for (size_t i = 0; i < taken; i++)
            CHECK(queue_front(&queue)[i] == next_out++);
        queue_consume(&queue, taken);
        CHECK(queue.length > 0 || queue.data == NULL);
    }
    queue_clear(&queue);
}

/* Feeds `in` in pieces of `step` bytes: what passes, and whether the keys were found. */
static bool filter(const char *keys, const char *in, size_t step, const char *expected) {
    struct detach_keys matcher = {.count = strlen(keys)};
    struct byte_queue out = {0};
    bool found = false;
    memcpy(matcher.keys, keys, matcher.count);
    for (size_t at = 0; at < strlen(in) && !found; at += step) {
        size_t left = strlen(in) - at;
        const unsigned char *piece = (const unsigned char *)in + at;
        size_t length = left < step ? left : step;
        if (detach_keys_pass(&matcher, piece, length))
            queue_append(&out, piece, length);
        else
            found = detach_keys_filter(&matcher, piece, length, &out);
    }
    CHECK(out.length == strlen(expected));
    CHECK(out.length == 0 || memcmp(queue_front(&out), expected, out.length) == 0);
    queue_clear(&out);
    return found;
}

static void test_detach_keys(void) {
    for (size_t step = 1; step < 8; step++) {
        CHECK(!filter("", "abc", step, "abc"));
        CHECK(filter("pq", "xpq!", step, "x"));
        CHECK(filter("pq", "ppqq", step, "p"));
        CHECK(!filter("pq", "pxp", step, "px"));
        CHECK(filter("aab", "aaab", step, "a"));
        CHECK(filter("abab", "abaabab", step, "aba"));
        CHECK(!filter("abac", "ababab", step, "abab"));
    }
}

static char *read_file(const char *path) {
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    char *text = malloc(16 * 1024 * 1024);
    size_t length = fread(text, 1, 16 * 1024 * 1024 - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

/* Logs `in` in random pieces of at most `step` bytes and returns the file. */
static char *logged(const char *folder, const unsigned char *in, size_t length, size_t step) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/log.json", folder);
    unlink(path);
    struct log *log = NULL;
    struct log_stream stream = {.name = "stderr"};
    struct timespec now = {.tv_sec = 1795219158, .tv_nsec = 5};
    struct log_options options = {.path = path, .max_files = 1, .attributes = "{\"a\":\"b\"}"};
    CHECK(log_open(&options, NULL, &log, NULL) == 0);
    for (size_t at = 0; at < length;) {
        size_t piece = (size_t)rand() % step + 1;
        piece = piece > length - at ? length - at : piece;
        unsigned char *copy = malloc(piece);
        memcpy(copy, in + at, piece);
        log_write(log, &stream, copy, piece, &now);
        free(copy);
        if (rand() % 8 == 0)
            log_trim(log);
        at += piece;
    }
    log_finish(log, &stream, &now);
    CHECK(stream.held == NULL);
    log_close(log);
    char *text = read_file(path);
    unlink(path);
    return text;
}

/* Every line is JSON of the right shape, and only the last part of a line ends in "\n". */
static void check_lines(char *text) {
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        json_t *object = json_loads(line, JSON_ALLOW_NUL, NULL);
        CHECK(json_object_size(object) == 4);
        CHECK(strcmp(json_string_value(json_object_get(object, "stream")), "stderr") == 0);
        CHECK(json_string_length(json_object_get(object, "log")) <= 3 * LOG_LINE_MAX + 1);
        CHECK(strcmp(json_string_value(json_object_get(object, "time")),
                     "2026-11-20T23:59:18.000000005Z") == 0);
        json_decref(object);
    }
}

/* What stands in the file does not depend on how the output came. */
static void test_pieces(const char *folder) {
    enum { LENGTH = 400 * 1000 };
    static const char *const words[] = {"word ", "\xe2\x82\xac", "\xff",
                                        "\"",    "\n",           "\xf0\x9f\x98\x80"};
    unsigned char *in = malloc(LENGTH);
    for (int round = 0; round < 12; round++) {
        size_t length = 0;
        while (length < LENGTH - 8) {
            /* Line ends are rare in some rounds, so that lines are long. */
            const char *word = words[rand() % 6];
            if (word[0] == '\n' && round % 3 != 0 && rand() % 4000 != 0)
                continue;
            memcpy(in + length, word, strlen(word));
            length += strlen(word);
        }
        char *whole = logged(folder, in, length, LENGTH);
        char *pieces = logged(folder, in, length, round % 2 == 0 ? 700 : 40000);
        CHECK(strcmp(whole, pieces) == 0);
        check_lines(whole);
        free(whole);
        free(pieces);
    }
    free(in);
}

int main(void) {
    char folder[] = "/tmp/mydock-log-test-XXXXXX";
    CHECK(mkdtemp(folder) != NULL);
    srand(1);
    test_escape();
    test_time();
    test_base64();
    test_queue();
    test_detach_keys();
    test_pieces(folder);
    CHECK(rmdir(folder) == 0);
    return 0;
}
