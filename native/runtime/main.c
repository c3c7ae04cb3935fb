/*
 * mydock-runtime: the command line. Its verb `supervise` runs one container on behalf of mydockd
 * (supervisor.h), `limit` changes its limits (limit_command.h); all others are those of an OCI
 * runtime (oci/oci.h).
 */
#include "../common/step_times.h"
#include "launch/limit_command.h"
#include "launch/self_exe.h"
#include "oci/oci.h"
#include "supervisor/supervisor.h"
#include <stdio.h>
#include <string.h>

static int supervise(const char *bundle) {
    step_times_begin();
    return supervisor_run(bundle);
}

/* Takes the whole command line: the program may have to execute itself again. */
static int run_supervise(int count, char **arguments) {
    struct error *err = NULL;
    if (count == 4 && strcmp(arguments[2], "--bundle") == 0) {
        if (self_exe_protect(arguments, &err) == 0)
            return supervise(arguments[3]);
        fprintf(stderr, "mydock-runtime: %s\n", err == NULL ? "out of memory" : err->message);
        error_free(err);
        return 1;
    }
    fputs("usage: mydock-runtime supervise --bundle DIR\n", stderr);
    return 1;
}

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "supervise") == 0)
        return run_supervise(count, arguments);
    if (count > 1 && strcmp(arguments[1], "limit") == 0)
        return limit_command(count - 1, arguments + 1);
    return oci_run(arguments);
}
