/*
 * Errors of the C code. A function that can fail returns 0, or a negative number with *err set; the
 * caller owns *err and frees it with error_free. An error names the step that failed, the object it
 * failed on, and errno.
 */
#ifndef MYDOCK_ERROR_H
#define MYDOCK_ERROR_H

struct error {
    /* The errno value; 0 where none applies. */
    int number;
    /* What the failure means for a process that was to be started: 125, 126 (cannot execute), 127
     * (not found). */
    int exit_code;
    /* What was being done: "mount", "pivot_root", "exec". Static or owned text of at most 31 bytes.
     */
    char step[32];
    /* On what: a path, a capability, a value. May be empty. */
    char object[256];
    /* The whole sentence: step object: strerror, or a text of its own. */
    char message[512];
};

/* Sets *err (when err is not NULL) with exit_code 125 and returns -1. number 0: no strerror text.
 */
int error_set(struct error **err, int number, const char *step, const char *object);
/* The same with a sentence of its own in place of strerror. */
int error_setf(struct error **err, int number, const char *step, const char *object,
               const char *format, ...) __attribute__((format(printf, 5, 6)));
void error_free(struct error *err);
/* errno's name ("ENOENT"), or "" for 0 and unknown ones. */
const char *error_name(int number);

#endif
