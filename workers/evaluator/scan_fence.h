/* Markdown's fenced code blocks: an answer is a row of pieces, fenced and not. */
#ifndef WORKERS_EVALUATOR_SCAN_FENCE_H
#define WORKERS_EVALUATOR_SCAN_FENCE_H

#include "workers/evaluator/scan_text.h"

struct piece {
    struct text text; /* whole lines; of a fence those between its two marks */
    struct text tag;  /* "python" of ```python; empty without a tag, and outside of fences */
    bool fenced;
    bool closed; /* false: a fence that runs to the end of the text */
};

/* Takes the next piece off *rest; false at the end. A fence may be indented, quoted with '>' or stand in a
 * list. */
bool fence_next_piece(struct text *rest, struct piece *piece);

#endif
