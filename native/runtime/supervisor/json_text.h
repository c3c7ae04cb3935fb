/*
 * Text of any bytes as a JSON string.
 */
#ifndef MYDOCK_JSON_TEXT_H
#define MYDOCK_JSON_TEXT_H

#include <jansson.h>

/* A new string value; bytes beyond ASCII become '?' where the text is not UTF-8 (an error may quote
 * any path). NULL without memory. */
json_t *json_text(const char *text);

#endif
