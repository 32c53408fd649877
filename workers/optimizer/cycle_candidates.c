/* The analyst is asked; then the author of prompts, once for each angle,
 * side by side. */
#include <string.h>

#include "shared/arena.h"
#include "shared/log.h"
#include "shared/request_id.h"
#include "workers/optimizer/cycle_private.h"

static void analysed(struct cycle *cycle) {
    log_info("failures_analysed", log_string("task_type", cycle->trigger.task_type),
        log_integer("optimization_id", cycle->optimization_id), log_string("source", cycle->analysis.source),
        log_integer("patterns", cycle->analysis.patterns.count),
        log_integer("suggestions", cycle->analysis.suggestions.count));
}

static void take_analysis(struct cycle *cycle, int number, const struct model_answer *answer) {
    const struct failure *failures = cycle->failures + cycle->analysed_from;
    (void)number;
    /* Without an analysis, going back may still be a repair. */
    if (answer->status != MODEL_OK ||
        !analysis_read(cycle->arena, answer->text, answer->length, &cycle->analysis))
        analysis_from_rules(cycle->arena, failures, cycle->analysed_count, &cycle->analysis);
    analysed(cycle);
}

void cycle_analyse(struct cycle *cycle, void (*then)(struct cycle *cycle)) {
    cycle->then = then;
    cycle_ask(cycle,
        &(struct model_request){.system = ANALYST_PROMPT,
            .user = analyst_question(
                cycle->arena, cycle->prompt, cycle->failures + cycle->analysed_from, cycle->analysed_count),
            .temperature = 0.2,
            .form = &ANALYSIS_FORM,
            .purpose = "analyse",
            .task_type = cycle->trigger.task_type},
        0, take_analysis);
}

static bool is_rejected(const struct cycle *cycle, const char *content) {
    char hash[65];
    sha256_hex(content, hash);
    for (int i = 0; i < cycle->rejected_count; i++)
        if (strcmp(cycle->rejected[i], hash) == 0)
            return true;
    return false;
}

static bool is_repeated(const struct cycle *cycle, const struct candidate *candidate) {
    for (const struct candidate *before = cycle->candidates; before < candidate; before++)
        if (before->content && !before->refused && strcmp(before->content, candidate->content) == 0)
            return true;
    return false;
}

static bool copies_an_input(const struct cycle *cycle, const char *content) {
    const char *const allowed[] = {cycle->prompt, cycle->last_good};
    for (int i = 0; i < cycle->failure_count; i++)
        if (copies_words(content, cycle->failures[i].user_input, allowed, 2))
            return true;
    for (int i = 0; i < cycle->passed_count; i++)
        if (copies_words(content, cycle->passed[i].user_input, allowed, 2))
            return true;
    return false;
}

static const char *why_not(const struct cycle *cycle, const struct candidate *candidate) {
    const char *content = candidate->content;
    if (!content || !*content)
        return "it is empty";
    if (strlen(content) > CANDIDATE_BYTES_MAX)
        return "it is too long";
    if (strcmp(content, cycle->prompt) == 0)
        return "it is the active prompt";
    if (is_rejected(cycle, content))
        return "it was rejected or taken back before";
    if (candidate->angle != ANGLE_RETURN && copies_an_input(cycle, content))
        return "it copies words from an input";
    return is_repeated(cycle, candidate) ? "another candidate is the same" : NULL;
}

static void take_candidate(struct cycle *cycle, int number, const struct model_answer *answer) {
    struct candidate *candidate = &cycle->candidates[number];
    candidate->failed = answer->status != MODEL_OK;
    if (candidate->failed)
        candidate->refused = arena_format(cycle->arena, "the model failed: %s", answer->error);
    else if (answer->cut)
        candidate->refused = "it was cut off at the model's limit";
    else
        candidate->content = candidate_clean(cycle->arena, answer->text, answer->length);
}

static void ask_author(struct cycle *cycle, int number) {
    struct candidate *candidate = &cycle->candidates[number];
    candidate->angle = (enum angle)(number % ANGLE_COUNT);
    cycle_ask(cycle,
        &(struct model_request){.system = PROMPT_AUTHOR_PROMPT,
            .user =
                author_question(cycle->arena, candidate->angle, number + 1, cycle->prompt, cycle->last_good,
                    &cycle->analysis, cycle->failures + cycle->analysed_from, cycle->analysed_count),
            /* More than one candidate of an angle is of use only if they differ. */
            .temperature = number < ANGLE_COUNT ? 0.4 : 0.8,
            .purpose = "propose",
            .task_type = cycle->trigger.task_type},
        number, take_candidate);
}

static void on_proposed(struct cycle *cycle) {
    const char *failure = NULL;
    int fit = 0;
    for (int i = 0; i < cycle->candidate_count; i++) {
        struct candidate *candidate = &cycle->candidates[i];
        if (!candidate->refused)
            candidate->refused = why_not(cycle, candidate);
        fit += candidate->refused == NULL;
        failure = candidate->failed ? candidate->refused : failure;
    }
    log_info("candidates_proposed", log_string("task_type", cycle->trigger.task_type),
        log_integer("optimization_id", cycle->optimization_id),
        log_integer("candidates", cycle->candidate_count), log_integer("fit", fit));
    if (!fit && failure)
        cycle_end(cycle, CYCLE_FAILED, failure);
    else
        cycle->after(cycle);
}

void cycle_propose(struct cycle *cycle, void (*then)(struct cycle *cycle)) {
    cycle->after = then;
    cycle->then = on_proposed;
    cycle->candidate_count = (int)optimizer_settings.candidates;
    for (int i = 0; i < cycle->candidate_count; i++)
        ask_author(cycle, i);
    /* Going back is a repair, too. */
    if (cycle->last_good)
        cycle->candidates[cycle->candidate_count++] =
            (struct candidate){.angle = ANGLE_RETURN, .content = cycle->last_good, .rehearsed.served = true};
}
