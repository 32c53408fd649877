/* Text as the words, clauses and sentences that orders are made of, with what a "not" reaches marked. */
#ifndef TESTS_SIM_WORDS_H
#define TESTS_SIM_WORDS_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

struct word {
    const char *text; /* lower case; letters, digits and inner apostrophes */
    size_t from, to;  /* its bytes in the source */
    bool sentence;    /* begins a sentence */
    bool comma;       /* a comma, colon, bracket or dash stands before it */
    bool clause;      /* begins a clause: what one verb orders */
    bool negated;     /* inside the reach of a "not", "without", "avoid", ... */
};

struct words {
    const char *source; /* borrowed */
    struct word *items;
    size_t count;
};

/* Reads at most WORDS_MAX words. */
enum { WORDS_MAX = 20000 };
struct words words_read(struct arena *arena, const char *text);

/* Where the clause, or the sentence, that begins at word `from` ends. */
size_t words_clause_end(const struct words *words, size_t from);
size_t words_sentence_end(const struct words *words, size_t from);

/* True when word is one of list, "code|program*|source"; '*' stands for any ending. */
bool word_in(const char *word, const char *list);

/* A pattern is "term term; term": all terms of one alternative (divided by ';') occur among the words from …
 * to, in any order; a term is such a list, and one that begins with '-' occurs only inside a negation. */
enum pattern_found {
    PATTERN_ABSENT,
    PATTERN_NEGATED, /* its words occur, but at least one only inside a negation */
    PATTERN_PRESENT,
};
enum pattern_found pattern_find(const struct words *words, size_t from, size_t to, const char *pattern);

#endif
