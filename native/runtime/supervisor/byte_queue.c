/* A queue of bytes: see byte_queue.h. */
#include "byte_queue.h"
#include <stdlib.h>
#include <string.h>

enum { QUEUE_SMALLEST = 512 };

/* Makes room for `extra` bytes behind the last one, by moving the bytes to the front before
 * growing. */
static bool make_room(struct byte_queue *queue, size_t extra) {
    if (queue->capacity - queue->start - queue->length >= extra)
        return true;
    if (queue->start > 0 && queue->length + extra <= queue->capacity / 2) {
        memmove(queue->data, queue->data + queue->start, queue->length);
        queue->start = 0;
        return true;
    }
    size_t capacity = queue->capacity < QUEUE_SMALLEST ? QUEUE_SMALLEST : queue->capacity;
    while (capacity < queue->length + extra)
        capacity *= 2;
    unsigned char *data = malloc(capacity);
    if (data == NULL)
        return false;
    if (queue->length > 0)
        memcpy(data, queue->data + queue->start, queue->length);
    free(queue->data);
    queue->data = data;
    queue->start = 0;
    queue->capacity = capacity;
    return true;
}

bool queue_append(struct byte_queue *queue, const void *bytes, size_t length) {
    if (length == 0)
        return true;
    if (!make_room(queue, length))
        return false;
    memcpy(queue->data + queue->start + queue->length, bytes, length);
    queue->length += length;
    return true;
}

void queue_consume(struct byte_queue *queue, size_t length) {
    if (length >= queue->length) {
        queue_clear(queue);
        return;
    }
    queue->start += length;
    queue->length -= length;
}

void queue_clear(struct byte_queue *queue) {
    free(queue->data);
    *queue = (struct byte_queue){0};
}
