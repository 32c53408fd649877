/* What a whole system prompt orders. */
#ifndef TESTS_SIM_ORDERS_H
#define TESTS_SIM_ORDERS_H

#include "tests/sim/abilities.h"
#include "tests/sim/harms.h"

struct arena;

enum code_language { CODE_UNNAMED, CODE_PYTHON, CODE_JAVASCRIPT, CODE_GO, CODE_OTHER, CODE_LANGUAGES };

struct orders {
    ability_set asked, forbidden; /* may overlap in a prompt that contradicts itself */
    harm_set harms;
    const char *literal;                           /* of HARM_FIXED: the text to say; NULL: none was given */
    uint32_t fixed_languages, forbidden_languages; /* a bit for each code language that is named */
    enum code_language last_language;
    bool exclusive_language; /* "only Python", "always in Go" */
    bool language_of_user;   /* "the programming language that the user asks for" */
};

/* Reads what the words from … to order; literals are copied into arena. */
struct orders orders_read(struct arena *arena, const struct words *words, size_t from, size_t to);

/* The same of a whole text. */
struct orders orders_of(struct arena *arena, const char *prompt);

/* The language of code that a word names. */
enum code_language code_language_of(const char *word);

/* The one that text names first; CODE_UNNAMED: none. */
enum code_language code_language_named(const struct words *words);

#endif
