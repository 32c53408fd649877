/* Do the brackets, strings and comments of a piece of code close? */
#ifndef WORKERS_EVALUATOR_SCAN_SYNTAX_H
#define WORKERS_EVALUATOR_SCAN_SYNTAX_H

#include "workers/evaluator/scan_text.h"

enum language {
    LANGUAGE_UNKNOWN, /* scanned by rules that most languages share */
    LANGUAGE_TEXT,    /* no code: never scanned */
    LANGUAGE_PYTHON,
    LANGUAGE_RUBY,
    LANGUAGE_SHELL,
    LANGUAGE_SQL,
    LANGUAGE_C, /* C, C++, Java, C#, Go and others alike */
    LANGUAGE_RUST,
    LANGUAGE_JAVASCRIPT, /* TypeScript, JSON, Dart */
    LANGUAGE_PHP,
    LANGUAGE_CSS,
    LANGUAGE_HTML,
    LANGUAGE_LUA,
    LANGUAGE_LISP,
    LANGUAGE_OTHER, /* a language whose quotes are not known: brackets and "…" only */
    LANGUAGES,
};

/* By the tag of a fence, in any case; LANGUAGE_UNKNOWN for one that is empty or not known. */
enum language language_of_tag(struct text tag);

bool syntax_is_balanced(struct text code, enum language language);

/* Shell and HTML have scanners of their own; syntax_is_balanced calls them. */
bool shell_is_balanced(struct text code);
bool html_is_balanced(struct text code);

#endif
