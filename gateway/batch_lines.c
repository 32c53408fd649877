/* Pieces are gathered behind what is left of the ones before; a line is shown where it lies. */
#include "gateway/batch_lines.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void lines_open(struct line_cutter *cutter, size_t line_bytes_max) {
    *cutter = (struct line_cutter){.line_bytes_max = line_bytes_max};
}

void lines_close(struct line_cutter *cutter) {
    free(cutter->bytes);
    *cutter = (struct line_cutter){0};
}

/* The line feed that ends the next line, as an index; length when there is none. */
static size_t find_end(struct line_cutter *cutter) {
    const char *found = cutter->searched < cutter->length ? memchr(cutter->bytes + cutter->searched, '\n',
                                                                cutter->length - cutter->searched)
                                                          : NULL;
    cutter->searched = found ? (size_t)(found - cutter->bytes) : cutter->length;
    return cutter->searched;
}

static void drop_used(struct line_cutter *cutter) {
    if (cutter->start == 0)
        return;
    cutter->length -= cutter->start;
    cutter->searched -= cutter->start;
    if (cutter->length)
        memmove(cutter->bytes, cutter->bytes + cutter->start, cutter->length);
    cutter->start = 0;
}

void lines_add(struct line_cutter *cutter, const char *bytes, size_t length) {
    assert(!cutter->ended);
    drop_used(cutter);
    if (cutter->length + length > cutter->capacity) {
        cutter->capacity = (cutter->length + length) * 2;
        if (!(cutter->bytes = realloc(cutter->bytes, cutter->capacity)))
            abort();
    }
    if (length)
        memcpy(cutter->bytes + cutter->length, bytes, length);
    cutter->length += length;
}

void lines_end(struct line_cutter *cutter) {
    cutter->ended = true;
}

enum line_kind lines_see(struct line_cutter *cutter, const char **line, size_t *length) {
    size_t end = find_end(cutter), held = end - cutter->start;
    if (held > cutter->line_bytes_max || cutter->skipping) {
        cutter->skipping = true;
        cutter->start = end;
    }
    if (end == cutter->length && !(cutter->ended && (held || cutter->skipping)))
        return LINE_NONE;
    *line = cutter->bytes + cutter->start;
    *length = held;
    return cutter->skipping ? LINE_TOO_LONG : LINE_WHOLE;
}

void lines_next(struct line_cutter *cutter) {
    cutter->skipping = false;
    cutter->start = cutter->searched < cutter->length ? cutter->searched + 1 : cutter->length;
    cutter->searched = cutter->start;
}
