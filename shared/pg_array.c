/* Writes the text form of Postgres arrays, for statements that take many rows as unnest($1, $2, …). */
#include <stddef.h>
#include <string.h>

#include "shared/buffer.h"
#include "shared/json.h"
#include "shared/pg.h"

void pg_array_begin(struct buffer *buffer) {
    buffer_byte(buffer, '{');
}

void pg_array_add(struct buffer *buffer, const char *value) {
    /* An element ends with '"', the L of NULL or a digit, so '{' here means that this is the first. */
    if (buffer->data[buffer->length - 1] != '{')
        buffer_byte(buffer, ',');
    if (value == NULL) {
        buffer_string(buffer, "NULL");
        return;
    }
    buffer_byte(buffer, '"');
    while (*value != '\0') {
        size_t plain = strcspn(value, "\"\\");
        buffer_append(buffer, value, plain);
        value += plain;
        if (*value != '\0') {
            buffer_byte(buffer, '\\');
            buffer_byte(buffer, *value++);
        }
    }
    buffer_byte(buffer, '"');
}

void pg_array_add_integer(struct buffer *buffer, int64_t value) {
    if (buffer->data[buffer->length - 1] != '{')
        buffer_byte(buffer, ',');
    json_write_integer(buffer, value);
}

void pg_array_end(struct buffer *buffer) {
    buffer_byte(buffer, '}');
}
