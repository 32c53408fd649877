/* Which candidate goes into service, and when a version on probation is taken
 * back. */
#include "workers/optimizer/decide.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "workers/optimizer/statistics.h"
#include "workers/optimizer/watch.h"

static struct scores times(double score, int count) {
    struct scores scores = {0};
    while (count--)
        scores_add(&scores, score);
    return scores;
}

static struct rehearsed rehearsed(double failed, double passed, size_t length) {
    return (struct rehearsed){.failed = times(failed, 4), .passed = times(passed, 4), .length = length};
}

static void must_reach_the_pass_score(void **state) {
    struct rehearsed active = rehearsed(0.36, 0.9, 10), close = rehearsed(0.699, 0.9, 10);
    (void)state;
    assert_int_equal(judge_candidate(&close, &active), CANDIDATE_BELOW_THRESHOLD);
    struct rehearsed at = rehearsed(0.7, 0.9, 10);
    assert_int_equal(judge_candidate(&at, &active), CANDIDATE_FIT);
}

/* The number-th order of count scores. */
static struct scores in_order(const double *scores, int count, int number) {
    struct scores sum = {0};
    bool taken[8] = {false};
    for (int left = count; left; number /= left--) {
        int skip = number % left, i = 0;
        while (taken[i] || skip--)
            i++;
        taken[i] = true;
        scores_add(&sum, scores[i]);
    }
    return sum;
}

/* Sums differ in their last digits with the order in which answers came. */
static void the_order_of_scores_decides_nothing(void **state) {
    (void)state;
    static const double scores[] = {0.72, 0.811, 0.907, 0.763, 0.874, 0.701};
    for (int number = 0; number < 720; number++) {
        struct rehearsed active = {.failed = in_order(scores, 6, 0)},
                         candidate = {.failed = in_order(scores, 6, number)};
        assert_int_equal(judge_candidate(&candidate, &active), CANDIDATE_NOT_BETTER);
        assert_int_equal(judge_candidate(&active, &candidate), CANDIDATE_NOT_BETTER);
    }
}

/* Three times 0.7 add up to a little less than 2.1. */
static void the_pass_score_itself_is_enough(void **state) {
    struct rehearsed active = {.failed = times(0.36, 3)}, candidate = {.failed = times(0.7, 3)};
    (void)state;
    assert_int_equal(judge_candidate(&candidate, &active), CANDIDATE_FIT);
}

static void must_beat_the_active_prompt(void **state) {
    struct rehearsed active = rehearsed(0.8, 0.9, 10), same = rehearsed(0.8, 0.9, 10);
    (void)state;
    assert_int_equal(judge_candidate(&same, &active), CANDIDATE_NOT_BETTER);
}

static void must_not_fall_where_it_passed(void **state) {
    struct rehearsed active = rehearsed(0.36, 0.9, 10), worse = rehearsed(0.9, 0.87, 10);
    struct rehearsed noise = rehearsed(0.9, 0.885, 10);
    (void)state;
    assert_int_equal(judge_candidate(&worse, &active), CANDIDATE_HARMS);
    assert_int_equal(judge_candidate(&noise, &active), CANDIDATE_FIT);
    active.passed = (struct scores){0};
    worse.passed = (struct scores){0};
    assert_int_equal(judge_candidate(&worse, &active), CANDIDATE_FIT);
}

static void the_best_wins_and_on_a_tie_the_shorter(void **state) {
    struct rehearsed active = rehearsed(0.36, 0.9, 10);
    struct rehearsed candidates[] = {rehearsed(0.5, 1, 1), rehearsed(0.8, 0.9, 50), rehearsed(0.9, 0.95, 90),
        rehearsed(0.9, 0.95, 80), rehearsed(0.9, 0.5, 5)};
    (void)state;
    assert_int_equal(choose_candidate(candidates, 5, &active), 3);
    assert_int_equal(choose_candidate(candidates, 1, &active), -1);
    assert_int_equal(choose_candidate(candidates, 0, &active), -1);
}

static void what_served_well_wins_a_tie(void **state) {
    struct rehearsed active = rehearsed(0.36, 0.9, 10);
    struct rehearsed candidates[] = {rehearsed(0.9, 0.95, 5), rehearsed(0.9, 0.95, 90)};
    (void)state;
    candidates[1].served = true;
    assert_int_equal(choose_candidate(candidates, 2, &active), 1);
    candidates[0].failed = times(0.91, 4);
    assert_int_equal(choose_candidate(candidates, 2, &active), 0);
}

enum { LENGTH = 20 };

static enum probation_verdict judge(const double *seen, int count, double replaced, double rehearsal) {
    struct scores before = times(replaced, 8), tried = times(rehearsal, 8);
    double p;
    return probation_judge(seen, count, LENGTH, &before, &tried, &p);
}

static void a_probation_waits_for_its_looks(void **state) {
    double awful[LENGTH];
    (void)state;
    for (int i = 0; i < LENGTH; i++)
        awful[i] = 0.1;
    assert_int_equal(judge(awful, 4, 0.4, 0.9), PROBATION_GOES_ON);
    assert_int_equal(judge(awful, 5, 0.4, 0.9), PROBATION_WORSE_THAN_REPLACED);
}

static void worse_than_rehearsed_is_told_apart(void **state) {
    double between[LENGTH];
    (void)state;
    for (int i = 0; i < LENGTH; i++)
        between[i] = 0.6;
    assert_int_equal(judge(between, 5, 0.4, 0.9), PROBATION_WORSE_THAN_REHEARSED);
}

static void what_does_as_rehearsed_passes(void **state) {
    double good[LENGTH];
    (void)state;
    for (int i = 0; i < LENGTH; i++)
        good[i] = i % 3 ? 0.9 : 0.88;
    assert_int_equal(judge(good, 19, 0.4, 0.9), PROBATION_GOES_ON);
    assert_int_equal(judge(good, 20, 0.4, 0.9), PROBATION_PASSED);
}

/* Harm that shows late counts over all looks, not only over the first. */
static void late_harm_is_seen(void **state) {
    double late[LENGTH];
    (void)state;
    for (int i = 0; i < LENGTH; i++)
        late[i] = i < 5 ? 0.87 : 0.1;
    assert_int_not_equal(judge(late, LENGTH, 0.6, 0.87), PROBATION_PASSED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(must_reach_the_pass_score),
        cmocka_unit_test(the_order_of_scores_decides_nothing),
        cmocka_unit_test(the_pass_score_itself_is_enough),
        cmocka_unit_test(must_beat_the_active_prompt),
        cmocka_unit_test(must_not_fall_where_it_passed),
        cmocka_unit_test(the_best_wins_and_on_a_tie_the_shorter),
        cmocka_unit_test(what_served_well_wins_a_tie),
        cmocka_unit_test(a_probation_waits_for_its_looks),
        cmocka_unit_test(worse_than_rehearsed_is_told_apart),
        cmocka_unit_test(what_does_as_rehearsed_passes),
        cmocka_unit_test(late_harm_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
