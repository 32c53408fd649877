/* Probation: a version that the optimizer put into service is watched over its first evaluations, and put
 * back if it does worse than the one it replaced. */
#ifndef WORKERS_OPTIMIZER_WATCH_H
#define WORKERS_OPTIMIZER_WATCH_H

#include "workers/optimizer/optimizer.h"

struct watch *watch_open(struct optimizer *optimizer);
void watch_close(struct watch **watch);

/* Judges every open probation by its first OPTIMIZER_PROBATION scores in table results: puts back what does
 * worse than what it replaced, begins a cycle for what does worse than in rehearsal, ends what has proved
 * itself. In mode off no cycle begins: what would need one stays open. done (may be NULL) is called once,
 * later, when the cycles have ended, too, with how many were put back, -1 when Postgres did not answer or a
 * cycle failed. Does nothing, and calls no done, while one is under way. */
void watch_review(struct watch *watch, void (*done)(void *context, int put_back), void *context);

enum probation_verdict {
    PROBATION_GOES_ON,
    PROBATION_WORSE_THAN_REPLACED,
    PROBATION_WORSE_THAN_REHEARSED,
    PROBATION_PASSED,
};

/* Judges scores in the order they came: Welch's one-sided t-test after a quarter, a half, three quarters and
 * all of `length` evaluations, with the error of 0.05 shared among the four looks. *p is the smallest
 * probability that was seen against the verdict's sample. */
enum probation_verdict probation_judge(const double *seen, int count, int length,
    const struct scores *replaced, const struct scores *rehearsed, double *p);

#endif
