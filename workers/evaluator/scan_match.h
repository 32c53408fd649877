/* Shapes of lines, written as patterns of tokens. */
#ifndef WORKERS_EVALUATOR_SCAN_MATCH_H
#define WORKERS_EVALUATOR_SCAN_MATCH_H

#include "workers/evaluator/scan_line.h"

enum strength {
    WEAK,    /* a LINE_WEAK */
    EITHER,  /* LINE_STRONG if the line is busy with signs that prose does not use, else LINE_WEAK */
    STRONG,  /* a LINE_STRONG */
    IF_BUSY, /* LINE_STRONG if it is busy, else the shape does not count */
};

/* A pattern is a list of items, matched from the line's first token on; an item is
 *   word, sign   that token; a|b|c any of them; ~word in any case
 *   W C V        a word; one with a capital; a $variable
 *   D S          a dotted name (a.b, a::b); a string
 *   E            tokens up to the next item that may be an expression: operands with operators between them
 *   *            any tokens, or none; \* the sign itself
 *   _item        with no white space before it
 *   $ ;          the line's end; its end with a semicolon
 * A pattern that ends in neither $, ; nor * leaves no tokens over either. */
struct shape {
    enum strength strength;
    enum language language;
    const char *pattern; /* NULL ends the table */
};

extern const struct shape SHAPES[];

/* shape is a row of SHAPES. */
bool shape_matches(const struct shape *shape, const struct line *line);

/* True when tokens begin…end could be an expression: not empty, operators between operands, no sentence. */
bool line_is_expression(const struct line *line, int begin, int end);

/* True when the line has signs that code is full of and prose is not. */
bool line_is_busy(const struct line *line);

bool token_is_sign(const struct token *token, const char *sign);

#endif
