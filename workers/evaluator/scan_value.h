/* Names of secrets, and whether a value given to one is a secret or only looks like one. */
#ifndef WORKERS_EVALUATOR_SCAN_VALUE_H
#define WORKERS_EVALUATOR_SCAN_VALUE_H

#include "workers/evaluator/scan_text.h"

enum secret_kind {
    SECRET_NONE,
    SECRET_PASSWORD, /* whatever is given to it is secret */
    SECRET_WORD,     /* "secret" alone: may be the word of a guessing game */
    SECRET_TOKEN,    /* may as well be a token of a grammar: its value must look like a key */
};

/* By the words of name (snake_case, kebab-case, camelCase or dotted); *word is the one that says so. */
enum secret_kind secret_kind_of_name(struct text name, struct text *word);

/* A quick look at one word of a name: false when no name that ends in it is one of a secret. */
bool may_end_secret_name(struct text word);

/* True when value looks like a real secret of this kind. Placeholders, messages, names of fields, patterns
 * and interpolations do not. */
bool value_is_secret(struct text value, enum secret_kind kind, struct text word);

/* True when value has a letter and a digit, and at least length_min characters. */
bool value_is_mixed(struct text value, size_t length_min);

#endif
