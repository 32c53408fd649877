/* The orders in a prompt that spoil the output, whatever the task. */
#ifndef TESTS_SIM_HARMS_H
#define TESTS_SIM_HARMS_H

#include <stdint.h>

#include "tests/sim/words.h"

enum harm {
    HARM_FIXED,
    HARM_IGNORE,
    HARM_VOICE,
    HARM_FOREIGN,
    HARM_SECRETS,
    HARM_OFF_TOPIC,
    HARM_RUDE,
    HARM_WRONG,
    HARM_DRIFT, /* shows only after a number of calls */
    HARMS,
};

typedef uint32_t harm_set;
#define HARM(harm) ((harm_set)1 << (harm))

struct harm_row {
    const char *name;
    const char *asked; /* pattern of the order */
    const char *seen;  /* what a judge says of an output that obeyed; read as this harm again */
    const char *label; /* what such an order is, for "Remove the order …"; read as this harm again */
};
extern const struct harm_row HARM_ROWS[HARMS];

/* The harms that the words from … to order, clause by clause; what is itself negated orders none. */
harm_set harms_read(const struct words *words, size_t from, size_t to);

/* Those that text speaks of, ordered or not: how an analysis names them. */
harm_set harms_named(const struct words *words);

/* Whether the sentence is in another language than English, by its small words. */
bool words_foreign(const struct words *words, size_t from, size_t to);

#endif
