/*
 * bin/mydock and bin/mydockd: executes Node with the program that has this one's name, from
 * ../dist (a repository) or ../lib/mydock (an installation) beside the folder that this file is in.
 * A shell script would do the same, and take longer than the kernel takes for a container.
 *
 * Compiled code is kept beside the programs, never in /tmp, where others could plant it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_CANNOT_EXECUTE = 126 };

static const char *const libraries[] = {"../dist", "../lib/mydock"};

static int fail(const char *name, const char *what, const char *object) {
    fprintf(stderr, "%s: %s %s: %s\n", name, what, object, strerror(errno));
    return EXIT_CANNOT_EXECUTE;
}

/* A trace begins where the process does, which Node cannot know. */
static void note_launch(int count, char **arguments) {
    int wanted = getenv("MYDOCK_TRACE") != NULL;
    for (int i = 1; i < count && !wanted; i++)
        wanted = strncmp(arguments[i], "--trace", strlen("--trace")) == 0;
    struct timespec now;
    char text[32];
    if (!wanted || clock_gettime(CLOCK_REALTIME, &now) != 0)
        return;
    snprintf(text, sizeof(text), "%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    setenv("MYDOCK_LAUNCHED_US", text, 1);
}

/*
 * V8 makes its hashes depend on prime numbers that it looks for at each start, which takes a fifth
 * of it, against texts that were chosen to have one hash. Commands that read nothing but what the
 * daemon itself says about what it did (no labels, no lists, no files of others) do without.
 */
static int reads_own_words_only(int count, char **arguments) {
    static const char *const verbs[] = {"create", "exec",  "kill", "pause",   "restart", "rm",
                                        "run",    "start", "stop", "unpause", "wait"};
    int at = count > 1 && strcmp(arguments[1], "container") == 0 ? 2 : 1;
    for (size_t i = 0; at < count && i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(arguments[at], verbs[i]) == 0)
            return 1;
    return 0;
}

/* "--": Node reads no flag of ours. */
static int execute(int count, char **arguments, const char *name, const char *library) {
    char node[PATH_MAX], program[PATH_MAX], cache[PATH_MAX];
    if (snprintf(node, sizeof(node), "%s/node", library) >= (int)sizeof(node) ||
        snprintf(program, sizeof(program), "%s/%s.cjs", library, name) >= (int)sizeof(program) ||
        snprintf(cache, sizeof(cache), "%s/.compile-cache", library) >= (int)sizeof(cache)) {
        errno = ENAMETOOLONG;
        return fail(name, "cannot execute", library);
    }
    char **words = calloc((size_t)count + 5, sizeof(*words));
    int client = strcmp(name, "mydock") == 0;
    int at = 0;
    if (words == NULL || setenv("NODE_COMPILE_CACHE", cache, 1) != 0)
        return fail(name, "cannot execute", node);
    words[at++] = node;
    /* Flags of V8: src/cli/pack/default-flags.ts says what they do, and sets them back. */
    if (client)
        words[at++] = "--min-semi-space-size=4";
    if (client && reads_own_words_only(count, arguments))
        words[at++] = "--no-rehash-snapshot";
    words[at++] = "--";
    words[at++] = program;
    for (int i = 1; i < count; i++)
        words[at++] = arguments[i];
    note_launch(count, arguments);
    execv(node, words);
    return fail(name, "cannot execute", node);
}

int main(int count, char **arguments) {
    char self[PATH_MAX], path[2 * PATH_MAX], library[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length < 0)
        return fail("mydock", "cannot read", "/proc/self/exe");
    self[length] = '\0';
    char *name = strrchr(self, '/');
    if (name == NULL) {
        errno = ENOENT;
        return fail("mydock", "cannot find", self);
    }
    *name++ = '\0';
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", self, libraries[i]);
        if (realpath(path, library) == NULL)
            continue;
        snprintf(path, sizeof(path), "%s/%s.cjs", library, name);
        if (access(path, R_OK) == 0)
            return execute(count, arguments, name, library);
    }
    errno = ENOENT;
    return fail(name, "cannot find the program beside", self);
}
