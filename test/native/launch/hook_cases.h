/* Hooks of a container whose creator starts it, as the supervisor's are: those of CDI devices among
 * them. (test/integration/runtime/hooks.test.ts has the rest.) */
#ifndef MYDOCK_LAUNCH_HOOK_CASES_H
#define MYDOCK_LAUNCH_HOOK_CASES_H

#include "expect.h"

/* Appends a hook that runs a script of the host's shell. */
static void hook_add(json_t *config, const char *kind, const char *script) {
    json_t *hooks = bundle_at(config, "hooks");
    if (json_object_get(hooks, kind) == NULL)
        json_object_set_new(hooks, kind, json_array());
    json_array_append_new(
        json_object_get(hooks, kind),
        json_pack("{s:s, s:[s,s,s]}", "path", "/bin/sh", "args", "sh", "-c", script));
}

/* The bundle's file of that name: text, or "" where it is missing. */
static void hook_read(const char *name, char text[256]) {
    char path[PATH_MAX * 2];
    snprintf(path, sizeof(path), "%s/%s", bundle_directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, 255);
    text[got < 0 ? 0 : got] = '\0';
    if (fd >= 0)
        close(fd);
    unlink(path);
}

static void test_hooks_order(void) {
    static const char *const kinds[] = {"prestart",       "createRuntime", "createContainer",
                                        "startContainer", "poststart",     "poststop"};
    json_t *config = bundle_config("cat /tmp/start");
    char script[256], said[256];
    for (size_t index = 0; index < sizeof(kinds) / sizeof(kinds[0]); index++) {
        bool inside = strcmp(kinds[index], "startContainer") == 0;
        snprintf(script, sizeof(script), "echo %s >> %s", kinds[index],
                 inside ? "/tmp/start" : "order");
        hook_add(config, kinds[index], script);
    }
    struct run *run = run_all(config);
    hook_read("order", said);
    report("hooks in their order",
           run->err == NULL && strcmp(run->output, "startContainer\n") == 0 &&
               strcmp(said, "prestart\ncreateRuntime\ncreateContainer\npoststart\npoststop\n") == 0,
           "%s, output \"%s\", order \"%s\"", run_error(run), run->output, said);
}

static void test_hooks_mounts(void) {
    json_t *config = bundle_config("cat /dev/from-hook");
    json_object_set_new(json_object_get(config, "root"), "readonly", json_true());
    hook_add(config, "createContainer",
             "test -c rootfs/dev/null && echo made > rootfs/dev/from-hook");
    expect("a createContainer hook finds what is mounted", config, 0, "made\n");
}

static void test_hooks_failing(void) {
    static const char *const kinds[] = {"prestart", "createRuntime", "createContainer",
                                        "startContainer"};
    char name[64], text[64];
    for (size_t index = 0; index < sizeof(kinds) / sizeof(kinds[0]); index++) {
        json_t *config = bundle_config("echo ran");
        hook_add(config, kinds[index], "echo broken >&2; exit 3");
        snprintf(name, sizeof(name), "a %s hook that fails", kinds[index]);
        snprintf(text, sizeof(text), "%s hook /bin/sh failed with exit status 3: broken",
                 kinds[index]);
        expect_failure(name, config, 125, text);
    }
    json_t *config = bundle_config("echo ran");
    hook_add(config, "poststart", "exit 1");
    expect("a poststart hook that fails is a warning", config, 0, "ran\n");
}

static void test_hooks(void) {
    test_hooks_order();
    test_hooks_mounts();
    test_hooks_failing();
}

#endif
