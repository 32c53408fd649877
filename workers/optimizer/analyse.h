/* The analysis of failures: what the analyst is asked, how its answer is read, and what stands in for it. */
#ifndef WORKERS_OPTIMIZER_ANALYSE_H
#define WORKERS_OPTIMIZER_ANALYSE_H

#include "workers/optimizer/optimizer.h"

struct buffer;

enum { FINDINGS_MAX = 20 };

struct findings {
    const char *items[FINDINGS_MAX];
    int count;
};

/* What was found in failures. */
struct analysed {
    struct findings patterns, causes, suggestions;
    const char *source; /* model, rules */
};

extern const char ANALYST_PROMPT[];
extern const struct model_form ANALYSIS_FORM;

/* The analyst's question, in arena. */
const char *analyst_question(
    struct arena *arena, const char *prompt, const struct failure *failures, int count);

/* False when the answer is not of ANALYSIS_FORM; then *analysis is not to be used. */
bool analysis_read(struct arena *arena, const char *answer, size_t length, struct analysed *analysis);

/* An analysis from the checks and the judge's reasonings in the failures' details, when the model gave none.
 */
void analysis_from_rules(
    struct arena *arena, const struct failure *failures, int count, struct analysed *analysis);

/* Appends it as the JSON object that is kept. */
void analysis_write(struct buffer *buffer, const struct analysed *analysis);

/* Appends <name>, the text cut to bytes_max at a character's border ("(empty)" for none), </name>. */
void write_section(struct buffer *buffer, const char *name, const char *text, size_t bytes_max);

/* Appends failures as sections: input, output, score, details. */
void write_failures(struct buffer *buffer, const struct failure *failures, int count);

#endif
