/* Windows of verdicts: when a prompt has crossed the threshold, what counts once, what is forgotten. */
#include "workers/optimizer/windows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MINUTE = 60000 };

static const int64_t NOW = 1763700000000;
static struct windows *windows;

/* The settings' own values; their file belongs to the program. */
struct optimizer_settings optimizer_settings;

static int set_up(void **state) {
    (void)state;
    optimizer_settings = (struct optimizer_settings){
        .failure_threshold = 3, .lookback_minutes = 30, .failure_share = 0.05, .mode = "stream"};
    windows = windows_open();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    windows_close(&windows);
    return 0;
}

/* Taken in at now_ms. */
static struct window_state fail_seen(int64_t prompt_id, int number, int64_t at_ms, int64_t now_ms) {
    char id[37];
    struct window_state state;
    snprintf(id, sizeof id, "018f3c1e-7a2b-7c3d-8e4f-%012d", number);
    windows_add(windows, 0,
        &(struct verdict){.task_type = "code_generation",
            .prompt_id = prompt_id,
            .prompt_version = 99,
            .evaluated_at = at_ms,
            .score_sum = 0.36,
            .score_squares = 0.1296,
            .request_id = id,
            .user_input = "Write a stack",
            .output = "Hello",
            .has_score = true,
            .score = 0.36},
        now_ms, &state);
    return state;
}

static struct window_state fail_at(int64_t prompt_id, int number, int64_t at_ms) {
    return fail_seen(prompt_id, number, at_ms, NOW);
}

static struct window_state pass(int64_t prompt_id, int count) {
    struct window_state state;
    windows_add(windows, 0,
        &(struct verdict){.task_type = "code_generation",
            .prompt_id = prompt_id,
            .evaluated_at = NOW,
            .passed = count,
            .score_sum = 0.9 * count,
            .score_squares = 0.81 * count},
        NOW, &state);
    return state;
}

static void three_failures_cross(void **state) {
    (void)state;
    assert_false(fail_at(7, 1, NOW - 2).crossed);
    assert_false(fail_at(7, 2, NOW - 1).crossed);
    struct window_state third = fail_at(7, 3, NOW);
    assert_true(third.crossed);
    assert_int_equal(third.crossed_at_ms, NOW);
    assert_int_equal(fail_at(7, 4, NOW).crossed_at_ms, NOW);
    assert_false(fail_at(8, 5, NOW).crossed);
}

static void a_request_counts_once(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(fail_at(7, 1, NOW).failures, 1);
}

static void few_among_many_do_not_cross(void **state) {
    (void)state;
    pass(7, 57);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fail_at(7, i, NOW).crossed, i == 2);
    assert_false(pass(7, 1).crossed);
    /* Once it has fallen back below, the next crossing is a new one. */
    assert_true(fail_at(7, 9, NOW).crossed_at_ms == NOW);
}

static void scores_are_of_failures_and_passes(void **state) {
    (void)state;
    pass(7, 2);
    struct window_state seen = fail_at(7, 1, NOW);
    assert_int_equal(seen.scores.count, 3);
    assert_float_equal(seen.scores.sum, 2.16, 1e-9);
}

static void what_is_past_the_window_is_forgotten(void **state) {
    (void)state;
    assert_int_equal(fail_at(7, 1, NOW - 31 * MINUTE).failures, 0);
    assert_int_equal(fail_at(7, 2, NOW - 29 * MINUTE).failures, 1);
    windows_expire(windows, NOW + 31 * MINUTE);
    assert_int_equal(fail_at(7, 2, NOW).failures, 1);
}

static void a_partition_is_dropped_as_a_whole(void **state) {
    (void)state;
    fail_at(7, 1, NOW);
    windows_drop_partition(windows, 1);
    assert_int_equal(fail_at(7, 2, NOW).failures, 2);
    windows_drop_partition(windows, 0);
    assert_int_equal(fail_at(7, 1, NOW).failures, 1);
}

static void the_newest_contents_are_kept(void **state) {
    struct failure failures[100];
    struct window_state seen = {0};
    (void)state;
    for (int i = 0; i < 400; i++)
        seen = fail_at(7, i, NOW);
    assert_int_equal(seen.failures, 400);
    assert_int_equal(windows_failures(windows, 7, failures, 100), 50);
    assert_string_equal(failures[49].request_id, "018f3c1e-7a2b-7c3d-8e4f-000000000399");
    assert_string_equal(failures[0].user_input, "Write a stack");
    assert_int_equal(windows_failures(windows, 8, failures, 100), 0);
}

static void note(void *context, const struct window_state *state) {
    struct window_state *noted = context;
    noted->failures += state->failures;
    noted->scores.count += state->scores.count;
    noted->crossed = noted->crossed || state->crossed;
}

/* All windows, added up. */
static struct window_state all(int64_t now_ms) {
    struct window_state noted = {0};
    windows_each(windows, now_ms, note, &noted);
    return noted;
}

static void contents_leave_with_the_window(void **state) {
    struct failure failures[10];
    (void)state;
    fail_at(7, 1, NOW);
    fail_at(7, 2, NOW);
    fail_seen(7, 3, NOW + 20 * MINUTE, NOW + 20 * MINUTE);
    assert_true(all(NOW + 20 * MINUTE).crossed);
    assert_false(all(NOW + 32 * MINUTE).crossed);
    windows_expire(windows, NOW + 32 * MINUTE);
    assert_int_equal(windows_failures(windows, 7, failures, 10), 1);
    assert_string_equal(failures[0].request_id, "018f3c1e-7a2b-7c3d-8e4f-000000000003");
    /* The same without a call of windows_expire. */
    assert_int_equal(fail_seen(7, 4, NOW + 51 * MINUTE, NOW + 51 * MINUTE).failures, 1);
    assert_int_equal(windows_failures(windows, 7, failures, 10), 1);
    assert_string_equal(failures[0].request_id, "018f3c1e-7a2b-7c3d-8e4f-000000000004");
}

static void crossing_again_is_a_new_moment(void **state) {
    (void)state;
    for (int i = 1; i <= 3; i++)
        fail_seen(7, i, NOW + i * 10 * MINUTE, NOW + i * 10 * MINUTE);
    /* The first has left by now, so that there were but two when the next one came. */
    struct window_state again = fail_seen(7, 4, NOW + 42 * MINUTE, NOW + 42 * MINUTE);
    assert_int_equal(again.failures, 3);
    assert_int_equal(again.crossed_at_ms, NOW + 42 * MINUTE);
}

static void a_time_to_come_counts_as_now(void **state) {
    (void)state;
    fail_at(7, 1, NOW - 29 * MINUTE);
    assert_int_equal(fail_at(7, 2, NOW + 365 * 24 * 60 * (int64_t)MINUTE).failures, 2);
    assert_int_equal(all(NOW + 31 * MINUTE).failures, 0);
}

static char *text_of(const char *unit, size_t count) {
    size_t length = strlen(unit);
    char *text = calloc(count, length + 1);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * length, unit, length);
    return text;
}

static void long_texts_are_cut_and_inputs_stay_whole(void **state) {
    char *input = text_of("안", 100000), *output = text_of("한", 1000000),
         *detail = text_of("{\"a\":1}", 100000);
    struct window_state seen;
    struct failure failure;
    (void)state;
    windows_add(windows, 0,
        &(struct verdict){.task_type = "code_generation",
            .prompt_id = 7,
            .evaluated_at = NOW,
            .request_id = "018f3c1e-7a2b-7c3d-8e4f-000000000001",
            .user_input = input,
            .refined_input = output,
            .output = output,
            .detail = detail},
        NOW, &seen);
    assert_int_equal(windows_failures(windows, 7, &failure, 1), 1);
    assert_string_equal(failure.user_input, input);
    /* 8,192 bytes hold 2,730 characters of three. */
    assert_int_equal(strlen(failure.output), 8190);
    assert_int_equal(strlen(failure.refined_input), 8190);
    assert_string_equal(failure.detail, "{}");
    free(input);
    free(output);
    free(detail);
}

static void the_number_of_prompts_is_bounded(void **state) {
    struct window_state seen = {0};
    (void)state;
    for (int64_t id = 1; id <= 10001; id++)
        seen = pass(-id, 1);
    assert_int_equal(seen.scores.count, 0);
    assert_int_equal(all(NOW).scores.count, 10000);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(three_failures_cross),
        TEST(a_request_counts_once),
        TEST(few_among_many_do_not_cross),
        TEST(scores_are_of_failures_and_passes),
        TEST(what_is_past_the_window_is_forgotten),
        TEST(a_partition_is_dropped_as_a_whole),
        TEST(the_newest_contents_are_kept),
        TEST(contents_leave_with_the_window),
        TEST(crossing_again_is_a_new_moment),
        TEST(a_time_to_come_counts_as_now),
        TEST(long_texts_are_cut_and_inputs_stay_whole),
        TEST(the_number_of_prompts_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
