/*
 * Decodes base64 (RFC 4648, section 4), in which a message carries bytes.
 */
#ifndef MYDOCK_BASE64_H
#define MYDOCK_BASE64_H

#include "byte_queue.h"

/* Appends the decoded bytes. False where the text is not padded base64, or without memory. */
bool base64_decode(const char *text, size_t length, struct byte_queue *out);

#endif
