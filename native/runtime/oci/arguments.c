/* See arguments.h. */
#define _GNU_SOURCE
#include "arguments.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int arguments_number(const char *name, const char *text, int64_t minimum, int64_t *out,
                     struct error **err) {
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < minimum)
        return error_setf(err, EINVAL, "read", name,
                          "--%s %s: must be a whole number, %lld or more", name, text,
                          (long long)minimum);
    *out = number;
    return 0;
}

static int arguments_store(const struct argument *option, const char *value, struct error **err) {
    struct argument_list *list = option->out;
    switch (option->kind) {
    case ARGUMENT_FLAG:
        if (value != NULL && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return error_setf(err, EINVAL, "read", option->name, "--%s=%s: must be true or false",
                              option->name, value);
        *(bool *)option->out = value == NULL || strcmp(value, "true") == 0;
        return 0;
    case ARGUMENT_TEXT:
        *(const char **)option->out = value;
        return 0;
    case ARGUMENT_NUMBER:
        return arguments_number(option->name, value, 0, option->out, err);
    default:
        if (list->count == ARGUMENTS_LIST_MAX)
            return error_setf(err, E2BIG, "read", option->name, "--%s stands more than %d times",
                              option->name, ARGUMENTS_LIST_MAX);
        list->items[list->count++] = value;
        return 0;
    }
}

static const struct argument *arguments_find(const struct argument *table, const char *name,
                                             size_t length) {
    for (; table->name != NULL; table++) {
        if (strlen(table->name) == length && memcmp(table->name, name, length) == 0)
            return table;
        if (length == 1 && table->letter == name[0])
            return table;
    }
    return NULL;
}

/* The option at **at; moves on to its value where that is the next argument. */
static int arguments_read_one(char ***at, const struct argument *table, struct error **err) {
    const char *text = **at, *name = text + (text[1] == '-' ? 2 : 1);
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    const struct argument *option = arguments_find(table, name, length);
    if (option == NULL && text[1] != '-' && (option = arguments_find(table, name, 1)) != NULL) {
        if (option->kind == ARGUMENT_FLAG)
            option = NULL;
        else
            value = name + 1;
    }
    if (option == NULL)
        return error_setf(err, EINVAL, "read", text, "unknown option %s", text);
    if (option->kind != ARGUMENT_FLAG && value == NULL) {
        value = (*at)[1];
        if (value == NULL)
            return error_setf(err, EINVAL, "read", text, "option %s needs a value", text);
        (*at)++;
    }
    return arguments_store(option, value, err);
}

int arguments_read(char **arguments, const struct argument *table, int in_order,
                   struct operands *operands, struct error **err) {
    bool options = true;
    *operands = (struct operands){arguments, 0};
    for (char **at = arguments; *at != NULL; at++) {
        if (in_order >= 0 && operands->count >= in_order)
            options = false;
        if (options && strcmp(*at, "--") == 0) {
            options = false;
        } else if (options && (*at)[0] == '-' && (*at)[1] != '\0') {
            if (arguments_read_one(&at, table, err) < 0)
                return -1;
        } else {
            operands->items[operands->count++] = *at;
        }
    }
    operands->items[operands->count] = NULL;
    return 0;
}

void arguments_print_help(const struct argument *table) {
    for (; table->name != NULL; table++) {
        char names[64];
        snprintf(names, sizeof(names), "%c%c%s--%s%s%s", table->letter == 0 ? ' ' : '-',
                 table->letter == 0 ? ' ' : table->letter, table->letter == 0 ? "  " : ", ",
                 table->name, table->value == NULL ? "" : " ",
                 table->value == NULL ? "" : table->value);
        printf("  %-32s %s\n", names, table->help);
    }
}
