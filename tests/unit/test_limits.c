/* What bounds the calls of a model: concurrency, rates a minute, back-off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/backoff.h"
#include "shared/model/concurrency.h"
#include "shared/model/rate.h"

enum { START_MS = 1000000, ROUND_MS = 1000 };

/* Rounds in which the limit's calls are in flight and served after ROUND_MS each. */
static uint64_t serve_rounds(struct concurrency *concurrency, uint64_t now, int rounds, uint64_t latency_ms) {
    for (int i = 0; i < rounds; i++) {
        int64_t calls = concurrency_limit(concurrency);
        now += latency_ms;
        for (int64_t call = 0; call < calls; call++)
            concurrency_ended(
                concurrency, now, now - latency_ms, concurrency_limit(concurrency), CONCURRENCY_SERVED);
    }
    return now;
}

static void ten_thousand_are_reached_in_seconds(void **state) {
    (void)state;
    struct concurrency concurrency;
    concurrency_open(&concurrency, 1, 10000);
    assert_int_equal(concurrency_limit(&concurrency), CONCURRENCY_START);
    serve_rounds(&concurrency, START_MS, 6, ROUND_MS);
    assert_int_equal(concurrency_limit(&concurrency), 10000);
}

static void a_burst_of_429_cuts_once_a_round_trip(void **state) {
    (void)state;
    struct concurrency concurrency;
    concurrency_open(&concurrency, 1, 1000);
    uint64_t now = serve_rounds(&concurrency, START_MS, 4, ROUND_MS);
    assert_int_equal(concurrency_limit(&concurrency), 1000);
    for (int i = 0; i < 1000; i++)
        concurrency_ended(&concurrency, now + 5, now, 1000, CONCURRENCY_LIMITED);
    assert_int_equal(concurrency_limit(&concurrency), 700);
    /* Those that began after the cut, but no round trip after it. */
    concurrency_ended(&concurrency, now + 20, now + 10, 700, CONCURRENCY_LIMITED);
    assert_int_equal(concurrency_limit(&concurrency), 700);
    concurrency_ended(&concurrency, now + 2000, now + 1500, 700, CONCURRENCY_LIMITED);
    assert_int_equal(concurrency_limit(&concurrency), 490);
    /* From there on a twentieth a round. */
    serve_rounds(&concurrency, now + 2000, 1, ROUND_MS);
    assert_in_range(concurrency_limit(&concurrency), 510, 520);
}

static void a_limit_that_was_none_is_left_behind(void **state) {
    (void)state;
    struct concurrency concurrency;
    concurrency_open(&concurrency, 1, 10000);
    concurrency_restart(&concurrency); /* the model was away while little was asked of it */
    uint64_t now = serve_rounds(&concurrency, START_MS, 6, ROUND_MS);
    assert_int_equal(concurrency_limit(&concurrency), 10000);
    concurrency_ended(&concurrency, now + 5, now, 10000, CONCURRENCY_LIMITED);
    concurrency_restart(&concurrency); /* away under load: doubles to half of that, then by twentieths */
    now = serve_rounds(&concurrency, now + 2000, 5, ROUND_MS);
    assert_in_range(concurrency_limit(&concurrency), 3400, 3700);
    now = serve_rounds(&concurrency, now, 10, ROUND_MS);
    assert_in_range(concurrency_limit(&concurrency), 5500, 6200);
    serve_rounds(&concurrency, now, 5, ROUND_MS);
    assert_int_equal(concurrency_limit(&concurrency), 10000);
}

static void bounds_hold(void **state) {
    (void)state;
    struct concurrency concurrency;
    concurrency_open(&concurrency, 5, 50);
    assert_int_equal(concurrency_limit(&concurrency), 50);
    for (uint64_t i = 1; i < 100; i++)
        concurrency_ended(
            &concurrency, START_MS + i * 2000, START_MS + i * 2000 - 1, 50, CONCURRENCY_LIMITED);
    assert_int_equal(concurrency_limit(&concurrency), 5);
}

static void what_is_not_used_does_not_grow(void **state) {
    (void)state;
    struct concurrency concurrency;
    concurrency_open(&concurrency, 1, 10000);
    for (int i = 0; i < 1000; i++)
        concurrency_ended(
            &concurrency, START_MS + (uint64_t)i, START_MS + (uint64_t)i - 100, 10, CONCURRENCY_SERVED);
    assert_int_equal(concurrency_limit(&concurrency), CONCURRENCY_START);
}

/* A server that queues: with more in flight than it serves at once, all wait longer. */
static void latency_stops_the_growth(void **state) {
    (void)state;
    struct concurrency concurrency;
    concurrency_open(&concurrency, 1, 100000);
    uint64_t now = START_MS;
    for (int round = 0; round < 40; round++) {
        uint64_t latency = ROUND_MS, in_flight = (uint64_t)concurrency_limit(&concurrency);
        if (in_flight > 1000)
            latency = latency * in_flight / 1000;
        now = serve_rounds(&concurrency, now, 1, latency);
    }
    assert_in_range(concurrency_limit(&concurrency), 1000, 4500);
}

static void latency_that_is_the_models_own_stops_nothing_for_long(void **state) {
    (void)state;
    struct concurrency concurrency;
    concurrency_open(&concurrency, 1, 10000);
    uint64_t now = serve_rounds(&concurrency, START_MS, 1, ROUND_MS / 10);
    serve_rounds(&concurrency, now, 40, ROUND_MS);
    assert_int_equal(concurrency_limit(&concurrency), 10000);
}

static void a_rate_is_spread_over_its_minute(void **state) {
    (void)state;
    struct rate rate;
    rate_open(&rate, 600, START_MS); /* 10 a second */
    int served = 0;
    for (uint64_t now = START_MS; now < START_MS + 6000; now++)
        if (!rate_wait_ms(&rate, now, 1)) {
            rate_take(&rate, 1);
            served++;
        }
    assert_in_range(served, 69, 70); /* a second's worth at once, then 10 a second */
    assert_in_range(rate_wait_ms(&rate, START_MS + 6000, 1), 0, 100);
}

static void more_than_a_second_s_worth_is_paid_back(void **state) {
    (void)state;
    struct rate rate;
    rate_open(&rate, 6000, START_MS); /* 100 a second */
    assert_int_equal(rate_wait_ms(&rate, START_MS, 1000), 0);
    rate_take(&rate, 1000);
    assert_int_equal(rate_wait_ms(&rate, START_MS, 1), 9010);
    rate_take(&rate, -900); /* it was less in the end */
    assert_int_equal(rate_wait_ms(&rate, START_MS, 1), 10);
}

static void a_false_count_of_tokens_stops_nobody_for_long(void **state) {
    (void)state;
    struct rate rate;
    rate_open(&rate, 6000, START_MS);
    rate_take(&rate, 1e15);
    assert_in_range(rate_wait_ms(&rate, START_MS, 1), 60000, 61000);
}

static void no_rate_is_no_limit(void **state) {
    (void)state;
    struct rate rate;
    rate_open(&rate, 0, START_MS);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(rate_wait_ms(&rate, START_MS, 1e9), 0);
        rate_take(&rate, 1e9);
    }
}

static void back_off_doubles_up_to_its_bound(void **state) {
    (void)state;
    assert_int_equal(backoff_ms(1, 200, 5000, 199), 200);
    assert_int_equal(backoff_ms(1, 200, 5000, 200), 1);
    assert_int_equal(backoff_ms(3, 200, 5000, 799), 800);
    assert_int_equal(backoff_ms(30, 200, 5000, 4999), 5000);
    for (int failures = 0; failures < 100; failures++)
        assert_in_range(backoff_ms(failures, 200, 5000, backoff_random()), 1, 5000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_are_reached_in_seconds),
        cmocka_unit_test(a_burst_of_429_cuts_once_a_round_trip),
        cmocka_unit_test(a_limit_that_was_none_is_left_behind),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(what_is_not_used_does_not_grow),
        cmocka_unit_test(latency_stops_the_growth),
        cmocka_unit_test(latency_that_is_the_models_own_stops_nothing_for_long),
        cmocka_unit_test(a_rate_is_spread_over_its_minute),
        cmocka_unit_test(more_than_a_second_s_worth_is_paid_back),
        cmocka_unit_test(a_false_count_of_tokens_stops_nobody_for_long),
        cmocka_unit_test(no_rate_is_no_limit),
        cmocka_unit_test(back_off_doubles_up_to_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
