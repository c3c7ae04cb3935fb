/*
 * mydock-runtime: the command line. Its verb `supervise` runs one container on behalf of mydockd
 * (supervisor.h).
 */
#include "launch/self_exe.h"
#include "supervisor/supervisor.h"
#include <stdio.h>
#include <string.h>

/* package.json's version; a test compares them. */
#ifndef MYDOCK_VERSION
#define MYDOCK_VERSION "0.1.0"
#endif

static const char usage[] = "usage: mydock-runtime supervise --bundle DIR\n"
                            "       mydock-runtime --version\n";

/* Takes the whole command line: the program may have to execute itself again. */
static int run_supervise(int count, char **arguments) {
    struct error *err = NULL;
    if (count == 4 && strcmp(arguments[2], "--bundle") == 0) {
        if (self_exe_protect(arguments, &err) == 0)
            return supervisor_run(arguments[3]);
        fprintf(stderr, "mydock-runtime: %s\n", err->message);
        error_free(err);
        return 1;
    }
    fputs(usage, stderr);
    return 1;
}

int main(int count, char **arguments) {
    if (count < 2) {
        fputs(usage, stderr);
        return 1;
    }
    const char *verb = arguments[1];
    if (strcmp(verb, "supervise") == 0)
        return run_supervise(count, arguments);
    if (strcmp(verb, "--version") == 0) {
        printf("mydock-runtime version %s\nspec: 1.2.0\n", MYDOCK_VERSION);
        return 0;
    }
    if (strcmp(verb, "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    fprintf(stderr, "mydock-runtime: \"%s\" is not implemented; see mydock-runtime --help\n", verb);
    return 1;
}
