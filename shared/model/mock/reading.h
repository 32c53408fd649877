/* A system prompt while it is read, clause by clause. */
#ifndef SHARED_MODEL_MOCK_READING_H
#define SHARED_MODEL_MOCK_READING_H

#include "shared/model/mock/mock.h"

/* How much a directive weighs. */
enum {
    HELPFUL = 10,     /* "help the user" */
    SOMETHING = 20,   /* "write product descriptions": nothing that the lexicon knows */
    ROLE = 30,        /* "you are a programmer" */
    MANNER = 40,      /* "explain": goes along with code */
    WEAK = 45,        /* "always return results" may be a text to say, or not */
    INSTRUCTION = 50, /* "write Python code" */
    ABSOLUTE = 60,    /* "only", "no matter what", "instead" */
};

struct directive {
    int strength; /* 0: none */
    int order;
    const char *voice, *literal, *language;
};

struct reading {
    struct arena *arena;
    struct mock_words words;
    struct directive best[PRODUCTS];
    int order;                       /* counts clauses */
    int no_code, no_verse, no_fence; /* the clause that forbids it; 0: none */
    bool bare, explained, silence_soft;
    size_t from, to;           /* the clause */
    unsigned clause, sentence; /* classes of their words that are not negated */
    bool strict;               /* "only", not just "always" */
    bool firm;                 /* "whatever is asked", "no matter what" */
};

/* Takes a directive unless a stronger one for the same product is known; more (may be NULL) holds its
 * details. */
void mock_direct(
    struct reading *reading, enum mock_product product, int strength, const struct directive *more);

/* The sentence speaks of one case only ("if it is unclear, say …"). */
bool mock_is_conditional(const struct reading *reading);

/* The first of list's words (NULL-terminated) from items[from] to the clause's end, or that end. */
size_t mock_find_word(const struct reading *reading, size_t from, const char *const *list);

/* Take the clause when it wants a fixed text, or silence; false otherwise. */
bool mock_read_fixed(struct reading *reading);
bool mock_read_silence(struct reading *reading);

#endif
