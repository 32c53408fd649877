/* Welch's t-test against a numeric integration of Student's density, and the edges of what it is given. */
#include "workers/optimizer/statistics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct scores sample(double mean, double deviation, int count) {
    struct scores scores = {0};
    /* Half above and half below; the deviation of the sample is then deviation * sqrt(n / (n - 1)). */
    for (int i = 0; i < count; i++)
        scores_add(&scores, mean + (i % 2 ? deviation : -deviation));
    return scores;
}

/* The upper tail of Student's distribution, by Simpson's rule on t = tan(angle). */
static double tail(double t, double freedom) {
    const int steps = 20000;
    double from = atan(t), to = M_PI / 2, h = (to - from) / steps, sum = 0;
    double front = exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2)) / sqrt(freedom * M_PI);
    for (int i = 0; i < steps; i++) {
        double angle = from + i * h, x = tan(angle);
        double density = front * pow(1 + x * x / freedom, -(freedom + 1) / 2) * (1 + x * x);
        sum += density * (i == 0 ? 1 : i % 2 ? 4 : 2);
    }
    return sum * h / 3;
}

static double expected(const struct scores *low, const struct scores *high) {
    double a = fmax(4e-4, scores_variance(low)) / (double)low->count;
    double b = fmax(4e-4, scores_variance(high)) / (double)high->count;
    double t = (scores_mean(high) - scores_mean(low)) / sqrt(a + b);
    double freedom =
        (a + b) * (a + b) / (a * a / (double)(low->count - 1) + b * b / (double)(high->count - 1));
    return tail(t, freedom);
}

static void means_and_variances(void **state) {
    struct scores scores = {0};
    (void)state;
    assert_true(isnan(scores_mean(&scores)));
    scores_add(&scores, 0.2);
    assert_float_equal(scores_variance(&scores), 0, 0);
    scores_add(&scores, 0.6);
    assert_float_equal(scores_mean(&scores), 0.4, 1e-12);
    assert_float_equal(scores_variance(&scores), 0.08, 1e-12);
}

static void agrees_with_an_integration(void **state) {
    const struct {
        double low, low_deviation, high, high_deviation;
        int low_count, high_count;
    } cases[] = {{0.5, 0.2, 0.7, 0.1, 10, 8}, {0.36, 0.01, 0.874, 0.01, 5, 3}, {0.6, 0.3, 0.61, 0.3, 20, 40},
        {0.4, 0.25, 0.5, 0.05, 4, 100}, {0.8, 0.05, 0.85, 0.2, 30, 6}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scores low = sample(cases[i].low, cases[i].low_deviation, cases[i].low_count);
        struct scores high = sample(cases[i].high, cases[i].high_deviation, cases[i].high_count);
        assert_float_equal(welch_below(&low, &high), expected(&low, &high), 1e-5);
    }
}

/* Student's t of 1.812 with ten degrees of freedom has 5 % above it: a line of every printed table. */
static void agrees_with_the_printed_table(void **state) {
    struct scores low = sample(0.5, 0.1, 6), high = sample(0.5, 0.1, 6);
    double error = 2 * scores_variance(&low) / 6;
    (void)state;
    high.sum += 6 * 1.812461 * sqrt(error);
    high.squares = scores_variance(&low) * 5 + high.sum * high.sum / 6;
    assert_float_equal(welch_below(&low, &high), 0.05, 1e-4);
}

static void says_nothing_where_nothing_can_be_said(void **state) {
    struct scores one = sample(0.1, 0, 1), many = sample(0.9, 0.1, 10), same = sample(0.9, 0.1, 10);
    (void)state;
    assert_float_equal(welch_below(&one, &many), 1, 0);
    assert_float_equal(welch_below(&many, &one), 1, 0);
    assert_float_equal(welch_below(&many, &same), 1, 0);
}

/* A model that repeats itself has no variance: a thousandth less must not look certain. */
static void equal_scores_do_not_make_it_certain(void **state) {
    struct scores low = sample(0.873, 0, 5), high = sample(0.874, 0, 20), far = sample(0.36, 0, 5);
    (void)state;
    assert_true(welch_below(&low, &high) > 0.05);
    assert_true(welch_below(&far, &high) < 1e-6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_and_variances),
        cmocka_unit_test(agrees_with_an_integration),
        cmocka_unit_test(agrees_with_the_printed_table),
        cmocka_unit_test(says_nothing_where_nothing_can_be_said),
        cmocka_unit_test(equal_scores_do_not_make_it_certain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
