/* Verdicts for the optimizer: each failure at once, passes as a count of each prompt every second. */
#ifndef WORKERS_EVALUATOR_VERDICTS_H
#define WORKERS_EVALUATOR_VERDICTS_H

#include "schemas/generation.h"
#include "workers/run.h"

struct verdicts;

struct verdicts *verdicts_open(struct run *run);

/* Takes in a judged evaluation; one of another purpose than serve changes nothing. A failure is emitted with
 * the job, a pass is counted. detail is the evaluation's, JSON text of an object. */
void verdicts_add(struct verdicts *verdicts, struct job *job, const struct generation *generation,
    double score, bool passed, const char *detail);

void verdicts_close(struct verdicts **verdicts);

#endif
