/* Judges a version on probation by the scores it has so far. */
#include "workers/optimizer/statistics.h"
#include "workers/optimizer/watch.h"

enum { LOOKS = 4, LOOK_MIN = 2 };

static const double ERROR_OF_A_LOOK = 0.05 / LOOKS;

enum probation_verdict probation_judge(const double *seen, int count, int length,
    const struct scores *replaced, const struct scores *rehearsed, double *p) {
    struct scores scores = {0};
    enum probation_verdict verdict = PROBATION_GOES_ON;
    int taken = 0;
    for (int look = 1; look <= LOOKS && verdict == PROBATION_GOES_ON; look++) {
        int until = length * look / LOOKS > LOOK_MIN ? length * look / LOOKS : LOOK_MIN;
        if (count < until)
            return PROBATION_GOES_ON;
        while (taken < until)
            scores_add(&scores, seen[taken++]);
        *p = welch_below(&scores, replaced);
        if (*p < ERROR_OF_A_LOOK)
            return PROBATION_WORSE_THAN_REPLACED;
        *p = welch_below(&scores, rehearsed);
        if (*p < ERROR_OF_A_LOOK)
            verdict = PROBATION_WORSE_THAN_REHEARSED;
    }
    return verdict == PROBATION_GOES_ON ? PROBATION_PASSED : verdict;
}
