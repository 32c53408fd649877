/* Every candidate and the active prompt beside them, on the failed inputs and on those that passed: some at a
 * time, so that those who wait for answers of the same workers hardly notice. */
#include "shared/arena.h"
#include "shared/log.h"
#include "workers/optimizer/cycle_private.h"
#include "workers/optimizer/rehearse.h"
#include "workers/optimizer/statistics.h"

#include <math.h>
#include <string.h>

enum { BYTES_A_TOKEN = 4, JUDGE_TOKENS = 500 };

/* One rehearsal under way. */
struct trial {
    struct cycle *cycle;
    double *result;
};

static int inputs_of(const struct cycle *cycle) {
    return cycle->rehearsed_count + cycle->passed_count;
}

static struct sample input_of(const struct cycle *cycle, int input) {
    if (input >= cycle->rehearsed_count)
        return cycle->passed[input - cycle->rehearsed_count];
    const struct failure *failure = &cycle->failures[cycle->rehearsed_from + input];
    return (struct sample){failure->request_id, failure->user_input};
}

static void begin_next(struct cycle *cycle);

static void on_rehearsed(void *context, bool valid, double score, bool passed, const char *reason) {
    struct trial *trial = context;
    struct cycle *cycle = trial->cycle;
    (void)passed;
    if (!valid)
        log_warn("rehearsal_without_score", log_string("task_type", cycle->trigger.task_type),
            log_integer("optimization_id", cycle->optimization_id), log_string("reason", reason));
    *trial->result = valid ? score : NAN;
    begin_next(cycle);
    cycle_answered(cycle);
}

/* Candidate 0 is the active prompt. */
static void try_prompt(struct cycle *cycle, int candidate, int input) {
    const char *prompt = candidate ? cycle->candidates[candidate - 1].content : cycle->prompt;
    struct trial *trial = arena_alloc(cycle->arena, sizeof *trial);
    struct sample sample = input_of(cycle, input);
    *trial = (struct trial){cycle, &cycle->results[candidate * inputs_of(cycle) + input]};
    cycle->waiting++;
    cycle->tokens += (int64_t)(strlen(prompt) + 2 * strlen(sample.user_input)) / BYTES_A_TOKEN + JUDGE_TOKENS;
    rehearse(cycle_rehearsals(cycle),
        &(struct rehearsal){.task_type = cycle->trigger.task_type,
            .user_input = sample.user_input,
            .prompt = prompt,
            .origin_id = sample.request_id,
            .optimization_id = cycle->optimization_id,
            .candidate = candidate},
        on_rehearsed, trial);
}

static void begin_next(struct cycle *cycle) {
    int inputs = inputs_of(cycle), trials = (cycle->candidate_count + 1) * inputs;
    while (cycle->next_trial < trials) {
        int candidate = cycle->next_trial / inputs, input = cycle->next_trial % inputs;
        cycle->next_trial++;
        if (candidate && cycle->candidates[candidate - 1].refused)
            continue;
        try_prompt(cycle, candidate, input);
        return;
    }
}

/* Inputs on which the control has no score tell nothing of the candidates. */
static struct rehearsed count_results(const struct cycle *cycle, int candidate, const char *prompt) {
    const double *active = cycle->results, *results = &cycle->results[candidate * inputs_of(cycle)];
    struct rehearsed rehearsed = {.length = strlen(prompt)};
    for (int i = 0; i < inputs_of(cycle); i++) {
        struct scores *scores = i < cycle->rehearsed_count ? &rehearsed.failed : &rehearsed.passed;
        rehearsed.unanswered += isnan(results[i]) != 0;
        if (!isnan(active[i]))
            scores_add(scores, isnan(results[i]) ? 0 : results[i]);
    }
    return rehearsed;
}

static void on_all_rehearsed(struct cycle *cycle) {
    cycle->active = count_results(cycle, 0, cycle->prompt);
    for (int i = 0; i < cycle->candidate_count; i++)
        if (!cycle->candidates[i].refused)
            cycle->candidates[i].rehearsed = count_results(cycle, i + 1, cycle->candidates[i].content);
    log_info("candidates_rehearsed", log_string("task_type", cycle->trigger.task_type),
        log_integer("optimization_id", cycle->optimization_id),
        log_double("active_score", scores_mean(&cycle->active.failed)));
    cycle->after(cycle);
}

void cycle_rehearse(struct cycle *cycle, void (*then)(struct cycle *cycle)) {
    cycle->after = then;
    cycle->then = on_all_rehearsed;
    cycle->results = arena_alloc(
        cycle->arena, (size_t)(cycle->candidate_count + 1) * (size_t)inputs_of(cycle) * sizeof(double));
    cycle->next_trial = 0;
    for (int64_t i = 0; i < optimizer_settings.rehearsals_at_once; i++)
        begin_next(cycle);
}
