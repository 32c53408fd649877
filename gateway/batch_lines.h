/* Lines of a body that comes in pieces, wherever the pieces were cut. */
#ifndef GATEWAY_BATCH_LINES_H
#define GATEWAY_BATCH_LINES_H

#include <stdbool.h>
#include <stddef.h>

enum line_kind {
    LINE_NONE, /* none is whole yet */
    LINE_WHOLE,
    LINE_TOO_LONG, /* its bytes are dropped */
};

struct line_cutter {
    char *bytes;                    /* malloc's */
    size_t start, length, capacity; /* the next line begins at start; length bytes are there in all */
    size_t searched;                /* no line feed stands from start up to here */
    size_t line_bytes_max;
    bool skipping; /* inside a line that is too long */
    bool ended;
};

/* line_bytes_max: of a line without its line feed; what a cutter holds is bounded by it and one piece. */
void lines_open(struct line_cutter *cutter, size_t line_bytes_max);
void lines_close(struct line_cutter *cutter);

void lines_add(struct line_cutter *cutter, const char *bytes, size_t length);

/* Nothing more will be added: what stands after the last line feed, if anything, is a line too. */
void lines_end(struct line_cutter *cutter);

/* The next line, without its line feed; the same at each call until lines_next. Borrowed until lines_next or
 * lines_add. */
enum line_kind lines_see(struct line_cutter *cutter, const char **line, size_t *length);

/* Done with the line that lines_see showed. */
void lines_next(struct line_cutter *cutter);

#endif
