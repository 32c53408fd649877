/* Text that grows at its end, doubling its place in an arena. */
#include "shared/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/arena.h"

enum { FIRST_CAPACITY = 256 };

struct buffer buffer_in(struct arena *arena) {
    return (struct buffer){.arena = arena};
}

static void grow(struct buffer *buffer, size_t needed) {
    size_t capacity = buffer->capacity ? buffer->capacity * 2 : FIRST_CAPACITY;
    if (capacity < needed)
        capacity = needed;
    buffer->data = arena_grow(buffer->arena, buffer->data, buffer->capacity, capacity);
    buffer->capacity = capacity;
}

/* Makes room for length more bytes and a NUL. */
static inline char *reserve(struct buffer *buffer, size_t length) {
    size_t needed = buffer->length + length + 1;
    if (needed > buffer->capacity)
        grow(buffer, needed);
    return buffer->data + buffer->length;
}

char *buffer_extend(struct buffer *buffer, size_t length) {
    char *end = reserve(buffer, length);
    end[length] = '\0';
    buffer->length += length;
    return end;
}

void buffer_append(struct buffer *buffer, const void *data, size_t length) {
    char *end = buffer_extend(buffer, length);
    if (length)
        memcpy(end, data, length);
}

void buffer_string(struct buffer *buffer, const char *string) {
    buffer_append(buffer, string, strlen(string));
}

void buffer_byte(struct buffer *buffer, char byte) {
    *buffer_extend(buffer, 1) = byte;
}

void buffer_format(struct buffer *buffer, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        abort();
    vsnprintf(reserve(buffer, (size_t)length), (size_t)length + 1, format, again);
    va_end(again);
    buffer->length += (size_t)length;
}

const char *buffer_text(struct buffer *buffer) {
    if (!buffer->data)
        *reserve(buffer, 0) = '\0';
    return buffer->data;
}
