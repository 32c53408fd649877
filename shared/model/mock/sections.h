/* Labelled sections of a text: what stands behind "Active prompt:", "## Failure 2" or between <output> and
 * </output>. */
#ifndef SHARED_MODEL_MOCK_SECTIONS_H
#define SHARED_MODEL_MOCK_SECTIONS_H

#include "shared/model/mock/mock.h"

enum mock_label {
    LABEL_NONE,
    LABEL_END,     /* closes the section before */
    LABEL_OTHER,   /* closes it, too; what follows is of no interest */
    LABEL_FAILURE, /* "Failure 2": the next case begins */
    LABEL_TASK,
    LABEL_ORDER, /* what is to be done with all of it */
    LABEL_PROMPT,
    LABEL_GOOD_PROMPT, /* one that worked */
    LABEL_INPUT,
    LABEL_OUTPUT,
    LABEL_DETAIL,
    LABEL_REASONING,
    LABEL_ANALYSIS,
    LABEL_PATTERNS,
    LABEL_CAUSES,
    LABEL_SUGGESTIONS,
};

/* What label[0, length) names; LABEL_NONE when any of its words is none that labels are made of. */
enum mock_label mock_read_label(const char *label, size_t length);

/* text[0, length) is borrowed and not terminated. */
typedef void (*mock_section)(void *context, enum mock_label label, const char *text, size_t length);

/* Calls section for each label of text in turn. */
void mock_read_sections(const char *text, mock_section section, void *context);

#endif
