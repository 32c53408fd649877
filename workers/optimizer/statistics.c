/* Welch's t-test: t, its degrees of freedom, and the tail of Student's distribution through the incomplete
 * beta function. */
#include "workers/optimizer/statistics.h"

#include <math.h>

static const double VARIANCE_MIN = 0.02 * 0.02;

void scores_add(struct scores *scores, double score) {
    scores->count++;
    scores->sum += score;
    scores->squares += score * score;
}

double scores_mean(const struct scores *scores) {
    return scores->count ? scores->sum / (double)scores->count : NAN;
}

double scores_variance(const struct scores *scores) {
    if (scores->count < 2)
        return 0;
    double mean = scores_mean(scores);
    return fmax(0, (scores->squares - mean * scores->sum) / (double)(scores->count - 1));
}

/* The continued fraction of the incomplete beta function by Lentz's method (Numerical Recipes, 6.4): even and
 * odd steps in turn, until a step changes nothing. */
static double beta_fraction(double a, double b, double x) {
    static const double TINY = 1e-300;
    double c = 1, d = 1 / fmax(TINY, 1 - (a + b) * x / (a + 1)), fraction = d;
    for (int m = 1; m < 500; m++) {
        double step[2] = {m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))};
        double change = 1;
        for (int i = 0; i < 2; i++) {
            d = 1 + step[i] * d;
            d = 1 / (fabs(d) < TINY ? TINY : d);
            c = 1 + step[i] / c;
            c = fabs(c) < TINY ? TINY : c;
            change = c * d;
            fraction *= change;
        }
        if (fabs(change - 1) < 1e-12)
            break;
    }
    return fraction;
}

/* The regularised incomplete beta function, from the side where its fraction converges. */
static double incomplete_beta(double a, double b, double x) {
    if (x <= 0 || x >= 1)
        return x >= 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double welch_below(const struct scores *low, const struct scores *high) {
    if (low->count < 2 || high->count < 2 || !(scores_mean(low) < scores_mean(high)))
        return 1;
    double low_error = fmax(VARIANCE_MIN, scores_variance(low)) / (double)low->count;
    double high_error = fmax(VARIANCE_MIN, scores_variance(high)) / (double)high->count;
    double error = low_error + high_error;
    double t = (scores_mean(high) - scores_mean(low)) / sqrt(error);
    double freedom = error * error /
                     (low_error * low_error / (double)(low->count - 1) +
                         high_error * high_error / (double)(high->count - 1));
    return 0.5 * incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t));
}
