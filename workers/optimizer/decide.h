/* The decision: which candidate, if any, did well enough in rehearsal to go into service. */
#ifndef WORKERS_OPTIMIZER_DECIDE_H
#define WORKERS_OPTIMIZER_DECIDE_H

#include "workers/optimizer/optimizer.h"

/* How one prompt did on the failed inputs and on those that had passed. */
struct rehearsed {
    struct scores failed, passed;
    size_t length;  /* of the prompt, bytes */
    bool served;    /* it was good in service before */
    int unanswered; /* rehearsals without a score: of a candidate each counts as 0; an input on which the
                       active prompt has none counts for nobody */
};

enum verdict_on_candidate {
    CANDIDATE_FIT,
    CANDIDATE_BELOW_THRESHOLD, /* its mean on the failed inputs does not reach the pass score */
    CANDIDATE_NOT_BETTER,      /* it does not beat the active prompt on them */
    CANDIDATE_HARMS,           /* it falls below the active prompt on inputs that passed */
};

/* A mean on the inputs that passed may lie below that of the active prompt by no more than this, since models
 * and judges do not answer the same twice. */
extern const double PASSED_NOISE;

enum verdict_on_candidate judge_candidate(const struct rehearsed *candidate, const struct rehearsed *active);
const char *verdict_text(enum verdict_on_candidate verdict);

/* The index of the best fit candidate: the highest mean over all its inputs, on a tie what was good in
 * service before, then the shorter prompt; -1: none. */
int choose_candidate(const struct rehearsed *candidates, int count, const struct rehearsed *active);

#endif
