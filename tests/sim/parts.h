/* A message's parts: what it is made of, by its headings, as a reader would tell them apart. */
#ifndef TESTS_SIM_PARTS_H
#define TESTS_SIM_PARTS_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

enum part_kind { PART_OTHER, PART_PROMPT, PART_INPUT, PART_OUTPUT, PART_DETAIL, PART_ANALYSIS, PART_FAILURE };

struct part {
    enum part_kind kind;
    const char *text; /* without the heading and white space at its ends */
};

struct parts {
    struct part *items;
    size_t count;
};

/* Splits text at lines that name a part ("Active prompt:", "## Failure 1", "<output>"). */
struct parts parts_read(struct arena *arena, const char *text);

/* The text of the first part of this kind; NULL: there is none. */
const char *parts_find(const struct parts *parts, enum part_kind kind);

/* What a judge is shown: the input (to its end) and the output, which is all that stands behind its heading.
 */
bool parts_of_judgement(struct arena *arena, const char *text, const char **input, const char **output);

/* The texts of all members or lines named "reasoning", one a line. */
const char *parts_reasonings(struct arena *arena, const char *text);

#endif
