/* What the optimizer shows its analyst and its author of prompts: prompts, failures, an analysis. */
#ifndef SHARED_MODEL_MOCK_EVIDENCE_H
#define SHARED_MODEL_MOCK_EVIDENCE_H

#include "shared/model/mock/mock.h"

enum { MOCK_PROMPTS_MAX = 4, MOCK_FAILURES_MAX = 40, MOCK_FINDINGS_MAX = 16 };

enum mock_part { PART_INPUT, PART_OUTPUT, PART_DETAIL, PART_REASONING, PARTS };

/* NULL: not shown. */
struct mock_failure {
    const char *parts[PARTS];
};

struct mock_findings {
    const char *items[MOCK_FINDINGS_MAX];
    size_t count;
};

/* All texts live in the arena it was read into. */
struct mock_evidence {
    const char *task_type;                 /* NULL: not shown */
    const char *order;                     /* what is to be done; NULL: not told */
    const char *prompts[MOCK_PROMPTS_MAX]; /* in the order shown; "" is an empty prompt */
    bool good[MOCK_PROMPTS_MAX];           /* it worked once */
    size_t prompt_count;
    struct mock_failure failures[MOCK_FAILURES_MAX]; /* inputs that passed are among them, without output */
    size_t failure_count;
    bool closed;                                        /* the next part belongs to a new failure */
    struct mock_findings patterns, causes, suggestions; /* of an analysis that is shown */
};

/* Sections are told apart by their labels: "Active prompt:", "## Failure 2", "<output>", or the members of a
 * JSON document. */
void mock_read_evidence(struct arena *arena, const char *user, struct mock_evidence *evidence);

/* What the inputs (or, without any, the task type or the analysis) ask for. */
struct mock_wish {
    enum mock_product product; /* PRODUCT_HELP: nothing in particular */
    const char *language;      /* of code, where all inputs that name one name the same; NULL: none */
    bool languages;            /* inputs name several of them */
    bool speech;               /* inputs name a language that people speak */
    const char *noun;          /* PRODUCT_PROSE: what is to be written, as the task type calls it */
};

struct mock_wish mock_read_wish(struct arena *arena, const struct mock_evidence *evidence);

/* Why an order of a prompt does harm. */
enum mock_harm {
    HARM_NONE,
    HARM_FIXED,
    HARM_SILENCE,
    HARM_REFUSAL,
    HARM_ECHO,
    HARM_IGNORES,
    HARM_VERSE,
    HARM_FORBIDS,
    HARM_LANGUAGE, /* of code */
    HARM_SPEECH,   /* the language people speak */
    HARM_DANGER,
    HARM_ASTRAY, /* it orders something else than what is wanted */
    HARMS,
};

/* One sentence of a prompt: text[from, to), with the mark of the list item that it begins. */
struct mock_order {
    size_t from, to;
    const char *text; /* the sentence alone, on one line */
    enum mock_harm harm;
    enum mock_product product; /* what it asks for on its own */
};

struct mock_orders {
    struct mock_order *items;
    size_t count;
};

struct mock_orders mock_read_orders(struct arena *arena, const char *prompt, const struct mock_wish *wish);

#endif
