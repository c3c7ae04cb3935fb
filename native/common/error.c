/* Errors of the C code: see error.h. Never fails itself: without memory *err stays NULL and only
 * the -1 tells. */
#define _GNU_SOURCE
#include "error.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct error *error_new(int number, const char *step, const char *object) {
    struct error *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return NULL;
    made->number = number < 0 ? -number : number;
    made->exit_code = 125;
    snprintf(made->step, sizeof(made->step), "%s", step == NULL ? "" : step);
    snprintf(made->object, sizeof(made->object), "%s", object == NULL ? "" : object);
    return made;
}

/* An error that is there already is the one nearer to the cause: it is replaced only because the
 * caller asks. */
static void error_put(struct error **err, struct error *made) {
    error_free(*err);
    *err = made;
}

int error_set(struct error **err, int number, const char *step, const char *object) {
    if (err == NULL)
        return -1;
    struct error *made = error_new(number, step, object);
    if (made != NULL) {
        const char *space = made->object[0] == '\0' ? "" : " ";
        if (made->number == 0)
            snprintf(made->message, sizeof(made->message), "%s%s%s", made->step, space,
                     made->object);
        else
            snprintf(made->message, sizeof(made->message), "%s%s%s: %s", made->step, space,
                     made->object, strerror(made->number));
    }
    error_put(err, made);
    return -1;
}

int error_setf(struct error **err, int number, const char *step, const char *object,
               const char *format, ...) {
    if (err == NULL)
        return -1;
    struct error *made = error_new(number, step, object);
    if (made != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(made->message, sizeof(made->message), format, arguments);
        va_end(arguments);
    }
    error_put(err, made);
    return -1;
}

void error_free(struct error *err) {
    free(err);
}

const char *error_name(int number) {
    const char *name = number == 0 ? NULL : strerrorname_np(number < 0 ? -number : number);
    return name == NULL ? "" : name;
}
