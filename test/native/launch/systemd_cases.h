/* systemd's scopes: names of units, hostile answers, a server that plays systemd, and systemd
 * itself where this host runs it. */
#ifndef MYDOCK_LAUNCH_SYSTEMD_CASES_H
#define MYDOCK_LAUNCH_SYSTEMD_CASES_H

#include "cgroup_cases.h"
#include "runtime/launch/systemd_bus.h"
#include "runtime/launch/systemd_scope.h"
#include <sys/socket.h>
#include <sys/un.h>

static void unit_is(const char *path, const char *wanted) {
    struct systemd_unit unit;
    struct error *err = NULL;
    char name[128];
    bool parsed = systemd_unit_parse(path, &unit, &err) == 0;
    snprintf(name, sizeof(name), "unit of \"%s\"", path);
    report(name, parsed == (wanted != NULL) && (!parsed || strcmp(unit.path, wanted) == 0), "%s",
           parsed ? unit.path : err->message);
    if (parsed)
        systemd_unit_free(&unit);
    error_free(err);
}

static void test_systemd_units(void) {
    unit_is("system.slice:docker:abc", "/system.slice/docker-abc.scope");
    unit_is(":docker:abc", "/system.slice/docker-abc.scope");
    unit_is("user-1000-x.slice::abc", "/user.slice/user-1000.slice/user-1000-x.slice/abc.scope");
    unit_is("-.slice:p:abc", "/p-abc.scope");
    unit_is("system.slice:p:x.slice", NULL);
    unit_is("/a/b", NULL);
    unit_is("system.slice:p", NULL);
    unit_is("system.slice:p:a:b", NULL);
    unit_is("system.slice:p:", NULL);
    unit_is("a--b.slice:p:x", NULL);
    unit_is("-a.slice:p:x", NULL);
    unit_is("../a.slice:p:x", NULL);
    unit_is("a.slice:../p:x", NULL);
    unit_is("a.slice:p:x/../../y", NULL);
    char *object = systemd_unit_object("docker-1.scope");
    report("object of a unit",
           strcmp(object, "/org/freedesktop/systemd1/unit/docker_2d1_2escope") == 0, "%s", object);
    free(object);
}

/* A return to the call with the serial, whose body is a variant of a string. */
static void fake_reply(struct systemd_message *out, uint8_t type, uint32_t serial,
                       const char *signature, const struct systemd_message *body,
                       const char *error_name) {
    systemd_put_byte(out, 'l');
    systemd_put_byte(out, type);
    systemd_put_byte(out, 1);
    systemd_put_byte(out, 1);
    systemd_put_u32(out, (uint32_t)body->length);
    systemd_put_u32(out, 77);
    struct systemd_array fields = systemd_begin_array(out, 8);
    systemd_put_byte(out, 5);
    systemd_put_signature(out, "u");
    systemd_put_u32(out, serial);
    systemd_put_align(out, 8);
    systemd_put_byte(out, 8);
    systemd_put_signature(out, "g");
    systemd_put_signature(out, signature);
    if (error_name != NULL) {
        systemd_put_align(out, 8);
        systemd_put_byte(out, 4);
        systemd_put_signature(out, "s");
        systemd_put_text(out, error_name);
    }
    systemd_end_array(out, fields);
    systemd_put_align(out, 8);
    systemd_put_bytes(out, body->bytes, body->length);
}

/* Every byte of a good answer cut and changed: judged, never believed. The sanitizers see what is
 * read beyond the end. */
static void test_systemd_hostile(void) {
    struct systemd_message body = {0}, good = {0};
    systemd_put_signature(&body, "s");
    systemd_put_text(&body, "active");
    fake_reply(&good, 2, 3, "v", &body, NULL);
    struct systemd_incoming message;
    bool read = systemd_decode(good.bytes, good.length, &message) && message.reply_serial == 3 &&
                strcmp(systemd_get_signature(&message.body), "s") == 0 &&
                strcmp(systemd_get_text(&message.body), "active") == 0;
    report("an answer of D-Bus", read, "not read");
    size_t survived = 0;
    for (size_t at = 0; at < good.length; at++) {
        for (unsigned value = 0; value < 256; value++) {
            unsigned char *copy = malloc(good.length);
            memcpy(copy, good.bytes, good.length);
            copy[at] = (unsigned char)value;
            if (systemd_decode(copy, good.length, &message)) {
                systemd_get_signature(&message.body);
                survived += strlen(systemd_get_text(&message.body));
            }
            free(copy);
        }
        unsigned char *cut = malloc(at + 1);
        memcpy(cut, good.bytes, at);
        if (systemd_decode(cut, at, &message))
            report("a cut answer", false, "%zu bytes were taken for a whole answer", at);
        free(cut);
    }
    report("changed answers of D-Bus", survived > 0, "none was read");
    systemd_message_free(&body);
    systemd_message_free(&good);
}

/* What the server does instead of its duty. */
enum fake {
    FAKE_GOOD,
    FAKE_REFUSES,
    FAKE_HANGS_UP,
    FAKE_TOO_LONG,
    FAKE_NEVER_STARTS,
    /* A scope of the name is there: without processes, with one, and again after it was removed. */
    FAKE_STALE,
    FAKE_TAKEN,
    FAKE_STUBBORN
};

static void fake_read(int fd, void *bytes, size_t length) {
    for (size_t filled = 0; filled < length;) {
        ssize_t got = read(fd, (char *)bytes + filled, length - filled);
        if (got <= 0)
            _exit(0);
        filled += (size_t)got;
    }
}

static bool fake_has(const unsigned char *bytes, size_t length, const char *text) {
    return memmem(bytes, length, text, strlen(text)) != NULL;
}

/* One connection: authentication, then an answer to each call. */
static void fake_serve(int fd, enum fake how) {
    char line[64] = "";
    unsigned char *bytes = malloc(1 << 16);
    size_t filled = 0;
    do {
        fake_read(fd, line + filled, 1);
    } while (line[filled++] != '\n' && filled < sizeof(line) - 1);
    if (memcmp(line, "\0AUTH EXTERNAL 30\r\n", 19) != 0 || write(fd, "OK 1234\r\n", 9) != 9)
        _exit(1);
    fake_read(fd, line, 7);
    bool there = how >= FAKE_STALE, stopped = false;
    for (int asked = 0;;) {
        fake_read(fd, bytes, SYSTEMD_FIXED_HEADER);
        size_t length = systemd_message_length(bytes);
        uint32_t serial;
        memcpy(&serial, bytes + 8, 4);
        fake_read(fd, bytes + SYSTEMD_FIXED_HEADER, length - SYSTEMD_FIXED_HEADER);
        struct systemd_message body = {0}, out = {0};
        if (fake_has(bytes, length, "StartTransientUnit") && how == FAKE_HANGS_UP)
            _exit(0);
        if (fake_has(bytes, length, "StartTransientUnit") && how == FAKE_REFUSES) {
            systemd_put_text(&body, "Unit mydock.slice is masked.");
            fake_reply(&out, 3, serial, "s", &body, "org.freedesktop.systemd1.UnitMasked");
        } else if (fake_has(bytes, length, "StartTransientUnit") && there) {
            systemd_put_text(&body, "Unit mydock-x.scope was already loaded.");
            fake_reply(&out, 3, serial, "s", &body, "org.freedesktop.systemd1.UnitExists");
        } else if (fake_has(bytes, length, "GetUnitProcesses")) {
            struct systemd_array processes = systemd_begin_array(&body, 8);
            if (how == FAKE_TAKEN) {
                systemd_put_text(&body, "/system.slice/mydock-x.scope");
                systemd_put_u32(&body, 4711);
                systemd_put_text(&body, "sleep");
            }
            systemd_end_array(&body, processes);
            fake_reply(&out, 2, serial, "a(sus)", &body, NULL);
        } else if (fake_has(bytes, length, "ResetFailedUnit")) {
            there = there && (!stopped || how == FAKE_STUBBORN);
            stopped = false;
            systemd_put_text(&body, "Unit mydock-x.scope not loaded.");
            fake_reply(&out, 3, serial, "s", &body, "org.freedesktop.systemd1.NoSuchUnit");
        } else if (fake_has(bytes, length, "StopUnit")) {
            stopped = true;
            fake_reply(&out, 2, serial, "", &body, NULL);
        } else if (fake_has(bytes, length, "ActiveState")) {
            asked++;
            const char *state = how == FAKE_NEVER_STARTS ? "failed"
                                : stopped                ? "inactive"
                                                         : "active";
            systemd_put_signature(&body, "s");
            systemd_put_text(&body, asked < 3 ? "activating" : state);
            fake_reply(&out, 2, serial, "v", &body, NULL);
        } else {
            fake_reply(&out, 2, serial, "", &body, NULL);
        }
        if (how == FAKE_TOO_LONG)
            memset(out.bytes + 4, 0x7f, 4);
        if (write(fd, out.bytes, out.length) < 0)
            _exit(1);
        systemd_message_free(&body);
        systemd_message_free(&out);
    }
}

/* Starts a scope at such a server. */
static void fake_case(const char *name, enum fake how, const char *wanted) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char variable[160];
    snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/bus", bundle_directory);
    snprintf(variable, sizeof(variable), "unix:path=%s", address.sun_path);
    unlink(address.sun_path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 4) < 0)
        bundle_fail(address.sun_path);
    pid_t server = fork();
    if (server == 0) {
        alarm(60);
        fake_serve(accept(listener, NULL, NULL), how);
    }
    close(listener);
    setenv("DBUS_SYSTEM_BUS_ADDRESS", variable, 1);
    struct systemd_scope *scope = NULL;
    struct error *err = NULL;
    struct cgroup_request request = {"system.slice:mydock:x", "x", true};
    bool started = systemd_scope_new(&request, &scope, &err) == 0 &&
                   systemd_scope_start(scope, "x", &err) == 0;
    bool placed = scope != NULL && scope->placeholder > 0 && kill(scope->placeholder, 0) == 0;
    report(name, wanted == NULL ? started && placed : !started && strstr(err->message, wanted),
           "%s", err == NULL ? "started" : err->message);
    pid_t placeholder = scope == NULL ? 0 : scope->placeholder;
    systemd_scope_free(scope);
    report("the placeholder is gone", placeholder == 0 || kill(placeholder, 0) < 0, "%d lives",
           (int)placeholder);
    error_free(err);
    unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
    kill(server, SIGKILL);
    run_wait(server);
    unlink(address.sun_path);
}

static void test_systemd_server(void) {
    fake_case("a scope is started", FAKE_GOOD, NULL);
    fake_case("systemd's refusal is told", FAKE_REFUSES, "is masked");
    fake_case("systemd hangs up", FAKE_HANGS_UP, "Connection reset");
    fake_case("an endless answer", FAKE_TOO_LONG, "Bad message");
    fake_case("a scope that fails", FAKE_NEVER_STARTS, "could not start");
    fake_case("what is left of a scope makes room", FAKE_STALE, NULL);
    fake_case("a scope with processes stays", FAKE_TAKEN,
              "mydock-x.scope exists already and has processes");
    fake_case("room is made once", FAKE_STUBBORN, "already loaded");
}

static bool systemd_runs(void) {
    struct systemd_bus bus;
    if (systemd_bus_open(&bus, NULL) < 0)
        return false;
    systemd_bus_close(&bus);
    return true;
}

/* The number in a file of the container's group, wherever the controller is; -1 without. */
static long long group_number(const struct cgroup *cgroup, const char *controller, const char *v1,
                              const char *v2) {
    char text[64];
    const struct cgroup_hierarchy *from = cgroup_find_v1(cgroup, controller);
    const char *file = from != NULL ? v1 : v2;
    from = from != NULL ? from : cgroup_find_v2(cgroup);
    if (from == NULL || cgroup_read(from->directory_fd, file, text, sizeof(text)) < 0)
        return -1;
    return strtoll(text, NULL, 10);
}

static void test_systemd_container(void) {
    char id[32], path[96], output[256];
    int exit_code = -1;
    snprintf(id, sizeof(id), "t%d", (int)getpid());
    snprintf(path, sizeof(path), "mydock-test.slice:mydock:%s", id);
    json_t *config = bundle_config("trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done");
    json_object_set_new(bundle_at(config, "linux"), "cgroupsPath", json_string(path));
    json_object_set_new(resources_of(config), "pids", json_pack("{s:i}", "limit", 33));
    json_object_set_new(resources_of(config), "memory", json_pack("{s:i}", "limit", 64 << 20));
    struct run run;
    run_systemd = true;
    bool begun = run_begin(&run, config);
    run_systemd = false;
    report("a container in a scope", begun, "%s", run_error(&run));
    if (!begun) {
        json_decref(config);
        return;
    }
    struct cgroup *cgroup = launch_cgroup(run.container);
    long long before = group_number(cgroup, "pids", "pids.max", "pids.max");
    int reloaded = system("systemctl daemon-reload");
    struct error *err = NULL;
    struct resources more = {.pids_limit = {true, 44}, .memory_limit = {true, 80 << 20}};
    bool updated = cgroup_update(cgroup, &more, &err) == 0;
    int again = system("systemctl daemon-reload");
    /* A limit that systemd wrote is still ours after it has read its files anew. */
    report("limits in a scope",
           before == 33 && reloaded == 0 && updated && again == 0 &&
               group_number(cgroup, "pids", "pids.max", "pids.max") == 44 &&
               group_number(cgroup, "memory", "memory.limit_in_bytes", "memory.max") == 80 << 20,
           "before %lld, %s", before, err == NULL ? "updated" : err->message);
    error_free(err);
    bool ran = run_exec(&run, bundle_process(config, "mknod /tmp/fuse c 10 229; (: < /tmp/fuse)"),
                        output, sizeof(output), &exit_code);
    report("an exec in a scope, where no reload has opened devices",
           ran && strstr(output, "not permitted") != NULL, "%s, \"%s\"", run_error(&run), output);
    json_decref(config);
    struct cgroup *found = NULL;
    struct cgroup_request request = {path, id, true};
    bool open = cgroup_open(&request, &found, NULL) == 0;
    pid_t *pids = NULL;
    size_t count = 0;
    report("a scope is found by others",
           open && cgroup_pids(found, &pids, &count, NULL) == 0 && count >= 1, "%zu processes",
           count);
    free(pids);
    cgroup_close(found);
    launch_kill_all(run.container, SIGKILL, NULL);
    run_finish(&run);
    char command[160];
    snprintf(command, sizeof(command), "systemctl status mydock-%s.scope >/dev/null 2>&1", id);
    int status = system(command);
    report("the scope is gone", WIFEXITED(status) && WEXITSTATUS(status) == 4, "status %d", status);
}

static void test_systemd(void) {
    test_systemd_units();
    test_systemd_hostile();
    test_systemd_server();
    if (systemd_runs())
        test_systemd_container();
    else
        printf("skip containers in scopes: this host does not run systemd\n");
}

#endif
