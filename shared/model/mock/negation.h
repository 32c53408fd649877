/* What an instruction forbids. */
#ifndef SHARED_MODEL_MOCK_NEGATION_H
#define SHARED_MODEL_MOCK_NEGATION_H

#include "shared/model/mock/mock.h"

struct mock_forbidden {
    bool code, prose, verse, fence;
    bool answer;          /* "do not answer" */
    bool firmly;          /* with a verb of speech, not of output */
    bool everything_else; /* "nothing but …": what follows is wanted, and only that */
};

/* Finds what items[from, to), one clause, forbids, and marks its words as negated. */
struct mock_forbidden mock_read_negation(struct mock_words *words, size_t from, size_t to);

#endif
