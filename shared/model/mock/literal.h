/* Fixed texts in instructions: "just say hello world to everything". */
#ifndef SHARED_MODEL_MOCK_LITERAL_H
#define SHARED_MODEL_MOCK_LITERAL_H

#include "shared/model/mock/mock.h"

struct mock_literal {
    const char *text;
    bool quoted;    /* it stood in quotes */
    bool announced; /* "the word …", "the phrase …" */
    bool total;     /* "to everything …" stood before it */
};

/* Reads what follows the verb at items[verb], before items[to], as a text to be said. False when it is none,
 * but says how or about what to speak. */
bool mock_read_literal(struct arena *arena, const struct mock_words *words, size_t verb, size_t to,
    struct mock_literal *literal);

#endif
