/* Every candidate and the active prompt beside them, on the failed inputs and on those that passed, all at
 * once. */
#include "shared/arena.h"
#include "shared/log.h"
#include "workers/optimizer/cycle_private.h"
#include "workers/optimizer/rehearse.h"
#include "workers/optimizer/statistics.h"

#include <string.h>

enum { BYTES_A_TOKEN = 4, JUDGE_TOKENS = 500 };

/* One rehearsal under way. */
struct trial {
    struct cycle *cycle;
    struct rehearsed *rehearsed;
    bool failed_input;
};

static void on_rehearsed(void *context, bool valid, double score, bool passed, const char *reason) {
    struct trial *trial = context;
    struct cycle *cycle = trial->cycle;
    (void)passed;
    if (!valid) {
        trial->rehearsed->unanswered++;
        log_warn("rehearsal_without_score", log_string("task_type", cycle->trigger.task_type),
            log_integer("optimization_id", cycle->optimization_id), log_string("reason", reason));
    }
    scores_add(
        trial->failed_input ? &trial->rehearsed->failed : &trial->rehearsed->passed, valid ? score : 0);
    cycle_answered(cycle);
}

static void try_input(struct cycle *cycle, int candidate, const char *prompt, const struct sample *sample,
    bool failed_input, struct rehearsed *rehearsed) {
    struct trial *trial = arena_alloc(cycle->arena, sizeof *trial);
    *trial = (struct trial){cycle, rehearsed, failed_input};
    cycle->waiting++;
    cycle->tokens +=
        (int64_t)(strlen(prompt) + 2 * strlen(sample->user_input)) / BYTES_A_TOKEN + JUDGE_TOKENS;
    rehearse(cycle_rehearsals(cycle),
        &(struct rehearsal){.task_type = cycle->trigger.task_type,
            .user_input = sample->user_input,
            .prompt = prompt,
            .origin_id = sample->request_id,
            .optimization_id = cycle->optimization_id,
            .candidate = candidate},
        on_rehearsed, trial);
}

static void try_prompt(struct cycle *cycle, int candidate, const char *prompt, struct rehearsed *rehearsed) {
    rehearsed->length = strlen(prompt);
    for (int i = 0; i < cycle->rehearsed_count; i++) {
        const struct failure *failure = &cycle->failures[cycle->rehearsed_from + i];
        try_input(cycle, candidate, prompt, &(struct sample){failure->request_id, failure->user_input}, true,
            rehearsed);
    }
    for (int i = 0; i < cycle->passed_count; i++)
        try_input(cycle, candidate, prompt, &cycle->passed[i], false, rehearsed);
}

static void on_all_rehearsed(struct cycle *cycle) {
    log_info("candidates_rehearsed", log_string("task_type", cycle->trigger.task_type),
        log_integer("optimization_id", cycle->optimization_id),
        log_double("active_score", scores_mean(&cycle->active.failed)));
    cycle->after(cycle);
}

void cycle_rehearse(struct cycle *cycle, void (*then)(struct cycle *cycle)) {
    cycle->after = then;
    cycle->then = on_all_rehearsed;
    try_prompt(cycle, 0, cycle->prompt, &cycle->active);
    for (int i = 0; i < cycle->candidate_count; i++)
        if (!cycle->candidates[i].refused)
            try_prompt(cycle, i + 1, cycle->candidates[i].content, &cycle->candidates[i].rehearsed);
}
