/* See signals.h. */
#define _GNU_SOURCE
#include "signals.h"
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int signals_real_time(const char *text) {
    bool from_top = strncasecmp(text, "RTMAX", 5) == 0;
    int base = from_top ? SIGRTMAX : SIGRTMIN;
    char *end = NULL;
    long offset = text[5] == '\0' ? 0 : strtol(text + 5, &end, 10);
    if ((end != NULL && *end != '\0') || labs(offset) > SIGRTMAX - SIGRTMIN ||
        (offset != 0 && (offset < 0) != from_top))
        return -1;
    return base + (int)offset;
}

int signals_number(const char *text) {
    char *end = NULL;
    long number = strtol(text, &end, 10);
    if (end != text && *end == '\0')
        return number >= 0 && number <= SIGRTMAX ? (int)number : -1;
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    if (strncasecmp(text, "RTMIN", 5) == 0 || strncasecmp(text, "RTMAX", 5) == 0)
        return signals_real_time(text);
    /* The names that sigabbrev_np does not give. */
    if (strcasecmp(text, "IOT") == 0)
        return SIGABRT;
    if (strcasecmp(text, "CLD") == 0)
        return SIGCHLD;
    if (strcasecmp(text, "POLL") == 0)
        return SIGIO;
    for (int candidate = 1; candidate < 32; candidate++) {
        const char *name = sigabbrev_np(candidate);
        if (name != NULL && strcasecmp(name, text) == 0)
            return candidate;
    }
    return -1;
}
