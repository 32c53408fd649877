/* The rules an answer is scored by without asking a model: each is a check that passes or does not. */
#ifndef WORKERS_EVALUATOR_RULES_H
#define WORKERS_EVALUATOR_RULES_H

#include <stdbool.h>

enum { RULES_MAX = 8 };

struct rule_check {
    const char *name; /* as it stands in rule_details */
    bool (*passes)(const char *output);
    double weight; /* beside the other checks of the same task type; above 0 */
};

struct rule_result {
    double score; /* 0…1: the weights of the passed checks over all weights */
    int count;
    struct {
        const char *name; /* static */
        bool passed;
    } checks[RULES_MAX];
};

/* Runs the checks of task_type on output (UTF-8, not NULL). A task type that has no row of its own gets the
 * checks that suit any text. Time is linear in the output's length. */
void rules_apply(const char *task_type, const char *output, struct rule_result *result);

#endif
