/* One line, cut into tokens, and what its shape says: code, prose, or neither. */
#ifndef WORKERS_EVALUATOR_SCAN_LINE_H
#define WORKERS_EVALUATOR_SCAN_LINE_H

#include "workers/evaluator/scan_syntax.h"

enum token_type { TOKEN_WORD, TOKEN_NUMBER, TOKEN_STRING, TOKEN_SIGN };

struct token {
    enum token_type type;
    struct text text;
    bool spaced; /* white space stands before it */
};

/* Longer lines are judged by their beginning. */
enum { LINE_TOKENS_MAX = 64, LINE_BYTES_MAX = 320 };

struct line {
    struct text text;                     /* trimmed */
    struct token tokens[LINE_TOKENS_MAX]; /* comments behind code and a last ';' are left out */
    int count;
    bool semicolon; /* it ended in ';' */
    bool cut;       /* there is more of it than the tokens tell */
};

enum line_shape {
    LINE_BLANK,
    LINE_NEUTRAL, /* a comment, or closing brackets: fits code and prose */
    LINE_PROSE,
    LINE_WEAK,   /* code if its neighbours are code too */
    LINE_STRONG, /* no prose looks like this */
};

struct line_verdict {
    enum line_shape shape;
    enum language language; /* what a WEAK or STRONG line speaks for; LANGUAGE_UNKNOWN: no one */
};

void line_read(struct text text, struct line *line);

struct line_verdict line_judge(struct text text);

#endif
