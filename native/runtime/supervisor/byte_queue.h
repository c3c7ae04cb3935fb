/*
 * A first-in first-out queue of bytes in one growing block, released when it runs empty.
 */
#ifndef MYDOCK_BYTE_QUEUE_H
#define MYDOCK_BYTE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty queue. The bytes are data[start] to data[start + length - 1]. */
struct byte_queue {
    unsigned char *data;
    size_t start;
    size_t length;
    size_t capacity;
};

/* Appends a copy. False without memory: the queue is as it was. */
bool queue_append(struct byte_queue *queue, const void *bytes, size_t length);
/* Drops the first `length` bytes (at most all). */
void queue_consume(struct byte_queue *queue, size_t length);
/* Drops everything and releases the memory. */
void queue_clear(struct byte_queue *queue);
/* The first byte, valid until the next change. */
static inline const unsigned char *queue_front(const struct byte_queue *queue) {
    return queue->data + queue->start;
}

#endif
