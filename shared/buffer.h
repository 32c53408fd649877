/* Text that grows at its end, in an arena; what messages, answers and log lines are written into. */
#ifndef SHARED_BUFFER_H
#define SHARED_BUFFER_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

struct buffer {
    struct arena *arena; /* borrowed; owns data */
    char *data;          /* NULL while empty, else NUL-terminated */
    size_t length;       /* bytes, without the NUL */
    size_t capacity;
};

/* An empty buffer that takes its memory from arena. */
struct buffer buffer_in(struct arena *arena);

/* Where length more bytes are to be written by the caller, who writes all of them before anything else is
 * added; the NUL after them stands. */
char *buffer_extend(struct buffer *buffer, size_t length);

void buffer_append(struct buffer *buffer, const void *data, size_t length);
void buffer_string(struct buffer *buffer, const char *string);
void buffer_byte(struct buffer *buffer, char byte);
void buffer_format(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text so far, NUL-terminated, never NULL. */
const char *buffer_text(struct buffer *buffer);

#endif
