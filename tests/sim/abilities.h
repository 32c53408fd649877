/* The abilities: how each is asked for, what is said when it is missing, and how it is ordered. */
#ifndef TESTS_SIM_ABILITIES_H
#define TESTS_SIM_ABILITIES_H

#include <stdint.h>

#include "tests/sim/words.h"

enum ability {
    ONLY_CODE,
    DOCSTRING,
    TYPE_HINTS,
    ERROR_HANDLING,
    PROGRAMMING_LANGUAGE,
    EXAMPLE,
    JSON,
    NULLS,
    UNITS,
    NO_PREAMBLE,
    BULLETS,
    STEPS,
    BREVITY,
    CITATION,
    CONCLUSION,
    TITLE,
    GREETING,
    SIGN_OFF,
    FORMAL,
    FRIENDLY,
    ABILITIES,
};

/* A set of abilities, a bit each. */
typedef uint32_t ability_set;
#define ABILITY(ability) ((ability_set)1 << (ability))

enum { WORDINGS = 2 };

struct ability_row {
    const char *name;
    const char *asked;             /* pattern (words.h) of what asks for it */
    const char *against;           /* pattern of what asks for its contrary; NULL: none */
    const char *missing[WORDINGS]; /* what a judge says of an output without it */
    const char *order[WORDINGS];   /* an order that asks for it and nothing else */
};
extern const struct ability_row ABILITY_ROWS[ABILITIES];

/* The abilities that the words from … to ask for, and those that they forbid. */
void abilities_read(
    const struct words *words, size_t from, size_t to, ability_set *asked, ability_set *forbidden);

#endif
