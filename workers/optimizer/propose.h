/* Candidates: what the author of prompts is asked, from three angles, and which of its answers are fit to be
 * tried. */
#ifndef WORKERS_OPTIMIZER_PROPOSE_H
#define WORKERS_OPTIMIZER_PROPOSE_H

#include "workers/optimizer/analyse.h"

enum { CANDIDATES_MAX = 16, CANDIDATE_BYTES_MAX = 20000, COPIED_WORDS = 5 };

enum angle {
    ANGLE_REPAIR,  /* the active prompt, without what failed and with what was missing */
    ANGLE_REWRITE, /* from the last version that was good; without one, anew */
    ANGLE_MERGE,   /* both */
    ANGLE_COUNT,
    ANGLE_RETURN = ANGLE_COUNT, /* the last good version as it was; no author is asked */
};

const char *angle_name(enum angle angle);

extern const char PROMPT_AUTHOR_PROMPT[];

/* The author's question, in arena. last_good: NULL when there is none. number: of the candidate, since one
 * angle may be asked for more than one. */
const char *author_question(struct arena *arena, enum angle angle, int number, const char *active,
    const char *last_good, const struct analysed *analysis, const struct failure *failures, int count);

/* The prompt in an answer, in arena: without a fence or quotes around it and white space at its ends. */
const char *candidate_clean(struct arena *arena, const char *answer, size_t length);

/* True when text has COPIED_WORDS words in a row that stand in input, and not in any of allowed (count texts,
 * NULL ones are passed over). Words are runs of letters and digits, in lower case. */
bool copies_words(const char *text, const char *input, const char *const *allowed, int count);

#endif
