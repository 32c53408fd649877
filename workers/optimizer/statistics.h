/* Welch's t-test, one-sided: is the mean of one sample of scores below that of another? */
#ifndef WORKERS_OPTIMIZER_STATISTICS_H
#define WORKERS_OPTIMIZER_STATISTICS_H

#include "workers/optimizer/optimizer.h"

void scores_add(struct scores *scores, double score);
/* NAN when there are none. */
double scores_mean(const struct scores *scores);
/* Of a sample (divided by count - 1), never below 0; 0 for fewer than two. */
double scores_variance(const struct scores *scores);

/* The probability of a difference at least as large as the one seen if low's true mean were not below high's:
 * Welch's t with Satterthwaite's degrees of freedom (Welch 1947). 1 when either has fewer than two scores or
 * low's mean is not lower. Scores are rounded to a thousandth and models repeat themselves, so each variance
 * counts at least 0.02 squared. */
double welch_below(const struct scores *low, const struct scores *high);

#endif
