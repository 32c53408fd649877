/* Which checks each task type has, and the score that they add up to. */
#include "workers/evaluator/rules.h"

#include <string.h>

#include "workers/evaluator/scan_code.h"
#include "workers/evaluator/scan_secrets.h"
#include "workers/evaluator/scan_text.h"

enum { SUBSTANCE_CODE_POINTS = 20, REASONABLE_CODE_POINTS = 5 };

static bool has_substance(const char *output) {
    return text_code_points(text_trim(text_of(output))) > SUBSTANCE_CODE_POINTS;
}

static bool reasonable_length(const char *output) {
    return text_code_points(text_trim(text_of(output))) > REASONABLE_CODE_POINTS;
}

/* To give a task type checks of its own, add a row before the last, which serves all others. */
static const struct task_rules {
    const char *task_type;
    struct rule_check checks[RULES_MAX]; /* a NULL name ends them early */
} RULES[] = {
    {"code_generation",
        {
            {"has_code", scan_has_code, 1},
            {"has_substance", has_substance, 1},
            {"balanced_syntax", scan_balanced_syntax, 1},
            {"no_sensitive_data", scan_no_sensitive_data, 1},
            {"reasonable_length", reasonable_length, 1},
        }},
    {NULL,
        {
            {"has_substance", has_substance, 1},
            {"no_sensitive_data", scan_no_sensitive_data, 1},
            {"reasonable_length", reasonable_length, 1},
        }},
};

static const struct task_rules *rules_of(const char *task_type) {
    const struct task_rules *rules = RULES;
    while (rules->task_type != NULL && strcmp(rules->task_type, task_type) != 0)
        rules++;
    return rules;
}

void rules_apply(const char *task_type, const char *output, struct rule_result *result) {
    const struct task_rules *rules = rules_of(task_type);
    double passed = 0, total = 0;
    memset(result, 0, sizeof *result);
    for (int i = 0; i < RULES_MAX && rules->checks[i].name != NULL; i++) {
        const struct rule_check *check = &rules->checks[i];
        result->checks[i].name = check->name;
        result->checks[i].passed = check->passes(output);
        result->count++;
        total += check->weight;
        if (result->checks[i].passed)
            passed += check->weight;
    }
    /* One division, so that all checks passed is exactly 1. */
    result->score = passed / total;
}
