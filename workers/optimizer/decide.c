/* Compares what candidates and the active prompt did with the same inputs. */
#include "workers/optimizer/decide.h"

#include "workers/optimizer/statistics.h"

const double PASSED_NOISE = 0.02;
/* As the evaluator's. */
static const double PASS_SCORE = 0.7;
/* Sums of the same scores differ in their last digits with the order in which they were added. */
static const double ROUNDING = 1e-9;

enum verdict_on_candidate judge_candidate(const struct rehearsed *candidate, const struct rehearsed *active) {
    if (!(scores_mean(&candidate->failed) >= PASS_SCORE - ROUNDING))
        return CANDIDATE_BELOW_THRESHOLD;
    if (!(scores_mean(&candidate->failed) > scores_mean(&active->failed) + ROUNDING))
        return CANDIDATE_NOT_BETTER;
    if (active->passed.count &&
        !(scores_mean(&candidate->passed) >= scores_mean(&active->passed) - PASSED_NOISE - ROUNDING))
        return CANDIDATE_HARMS;
    return CANDIDATE_FIT;
}

const char *verdict_text(enum verdict_on_candidate verdict) {
    static const char *const TEXTS[] = {[CANDIDATE_FIT] = "fit",
        [CANDIDATE_BELOW_THRESHOLD] = "its mean on the failed inputs does not reach the pass score",
        [CANDIDATE_NOT_BETTER] = "it does no better than the active prompt on the failed inputs",
        [CANDIDATE_HARMS] = "it does worse than the active prompt on inputs that passed"};
    return TEXTS[verdict];
}

static double mean_of_all(const struct rehearsed *rehearsed) {
    struct scores all = {.count = rehearsed->failed.count + rehearsed->passed.count,
        .sum = rehearsed->failed.sum + rehearsed->passed.sum};
    return scores_mean(&all);
}

static bool is_preferred(const struct rehearsed *candidate, const struct rehearsed *best) {
    return candidate->served != best->served ? candidate->served : candidate->length < best->length;
}

int choose_candidate(const struct rehearsed *candidates, int count, const struct rehearsed *active) {
    int best = -1;
    for (int i = 0; i < count; i++) {
        if (judge_candidate(&candidates[i], active) != CANDIDATE_FIT)
            continue;
        double mean = mean_of_all(&candidates[i]), best_mean = best < 0 ? -1 : mean_of_all(&candidates[best]);
        if (mean > best_mean + ROUNDING ||
            (mean >= best_mean - ROUNDING && is_preferred(&candidates[i], &candidates[best])))
            best = i;
    }
    return best;
}
