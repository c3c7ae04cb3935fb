/*
 * Options of a command line, read by a table: "--name value", "--name=value", "-n value", flags,
 * and (as the other runtimes' users have it) long names behind a single dash. "--" ends them.
 */
#ifndef MYDOCK_OCI_ARGUMENTS_H
#define MYDOCK_OCI_ARGUMENTS_H

#include "../../common/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGUMENTS_LIST_MAX 1024

enum argument_kind {
    /* bool: there, or "=true" and "=false". */
    ARGUMENT_FLAG,
    /* const char *. */
    ARGUMENT_TEXT,
    /* int64_t, 0 or more. */
    ARGUMENT_NUMBER,
    /* struct argument_list: each time one more. */
    ARGUMENT_LIST,
};

struct argument_list {
    const char *items[ARGUMENTS_LIST_MAX];
    size_t count;
};

struct argument {
    const char *name;
    /* 0: none. */
    char letter;
    enum argument_kind kind;
    /* What it is read into; unset where it is absent. */
    void *out;
    /* For --help: the value's name (NULL for flags) and a sentence. */
    const char *value, *help;
};

/* What is no option. */
struct operands {
    char **items;
    int count;
};

/* Reads the options of arguments (which are moved about) and leaves the operands. Behind the first
 * in_order operands everything is an operand (in_order < 0: options may stand anywhere). */
int arguments_read(char **arguments, const struct argument *table, int in_order,
                   struct operands *operands, struct error **err);

/* A whole number; name stands in the message. */
int arguments_number(const char *name, const char *text, int64_t minimum, int64_t *out,
                     struct error **err);

void arguments_print_help(const struct argument *table);

#endif
