/* The circuit breaker: when it opens, who may probe, and what closes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/model/breaker.h"

enum { START_MS = 1000000 };

static void end_many(
    struct breaker *breaker, uint64_t from_ms, uint64_t apart_ms, int count, enum breaker_outcome outcome) {
    for (int i = 0; i < count; i++)
        breaker_ended(breaker, from_ms + (uint64_t)i * apart_ms, breaker->epoch, outcome);
}

static void stays_closed_below_half(void **state) {
    (void)state;
    struct breaker breaker = {0};
    for (int i = 0; i < 100; i++) {
        end_many(&breaker, START_MS + 10 * (uint64_t)i, 1, 2, BREAKER_ALIVE);
        end_many(&breaker, START_MS + 10 * (uint64_t)i, 1, 1, BREAKER_FAILED);
    }
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void opens_when_half_of_enough_failed(void **state) {
    (void)state;
    struct breaker breaker = {0};
    end_many(&breaker, START_MS, 10, BREAKER_CALLS_MIN / 2, BREAKER_ALIVE);
    end_many(&breaker, START_MS + 100, 10, BREAKER_CALLS_MIN / 2 - 1, BREAKER_FAILED);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    end_many(&breaker, START_MS + 200, 10, 1, BREAKER_FAILED);
    assert_int_equal(breaker.state, BREAKER_OPEN);
}

/* 500 calls a second were served until the target died: the short window sees it. */
static void a_busy_targets_death_shows_within_a_second(void **state) {
    (void)state;
    struct breaker breaker = {0};
    uint64_t now = START_MS;
    for (; now < START_MS + 20000; now += 2)
        breaker_ended(&breaker, now, breaker.epoch, BREAKER_ALIVE);
    uint64_t died = now;
    for (; breaker.state == BREAKER_CLOSED && now < died + 5000; now += 2)
        breaker_ended(&breaker, now, breaker.epoch, BREAKER_FAILED);
    assert_true(now - died <= 1000);
}

static void few_calls_suffice_when_nobody_can_connect(void **state) {
    (void)state;
    struct breaker breaker = {0};
    end_many(&breaker, START_MS, 10, BREAKER_IN_ROW - 1, BREAKER_UNREACHABLE);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    end_many(&breaker, START_MS + 100, 10, 1, BREAKER_UNREACHABLE);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    /* As many 500s may be the fault of what was asked. */
    breaker = (struct breaker){0};
    end_many(&breaker, START_MS, 10, BREAKER_IN_ROW, BREAKER_FAILED);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    /* And who just served somebody is not away. */
    end_many(&breaker, START_MS + 1000, 1, 1, BREAKER_ALIVE);
    end_many(&breaker, START_MS + 1001, 1, BREAKER_IN_ROW, BREAKER_UNREACHABLE);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void open_it(struct breaker *breaker) {
    *breaker = (struct breaker){0};
    breaker_trip(breaker, START_MS);
    assert_int_equal(breaker->state, BREAKER_OPEN);
}

static void one_probe_closes_it_or_leaves_it_open(void **state) {
    (void)state;
    struct breaker breaker;
    open_it(&breaker);
    assert_false(breaker_probe_due(&breaker, START_MS + BREAKER_PROBE_MS - 1));
    assert_true(breaker_probe_due(&breaker, START_MS + BREAKER_PROBE_MS));
    breaker_probe(&breaker);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    assert_false(breaker_probe_due(&breaker, START_MS + 100000));
    breaker_ended(&breaker, START_MS + 600, breaker.epoch, BREAKER_FAILED);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_false(breaker_probe_due(&breaker, START_MS + 600 + BREAKER_PROBE_MS - 1));
    breaker_probe(&breaker);
    breaker_ended(&breaker, START_MS + 2000, breaker.epoch, BREAKER_ALIVE);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void a_probe_that_was_given_up_makes_room_at_once(void **state) {
    (void)state;
    struct breaker breaker;
    open_it(&breaker);
    breaker_probe(&breaker);
    breaker_ended(&breaker, START_MS + 600, breaker.epoch, BREAKER_UNKNOWN);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_true(breaker_probe_due(&breaker, START_MS + 600));
}

/* What began before it opened says nothing of now. */
static void late_answers_change_nothing(void **state) {
    (void)state;
    struct breaker breaker = {0};
    unsigned before = breaker.epoch;
    breaker_trip(&breaker, START_MS);
    breaker_ended(&breaker, START_MS + 10, before, BREAKER_ALIVE);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    breaker_probe(&breaker);
    breaker_ended(&breaker, START_MS + 20, before, BREAKER_FAILED);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_closed_below_half),
        cmocka_unit_test(opens_when_half_of_enough_failed),
        cmocka_unit_test(a_busy_targets_death_shows_within_a_second),
        cmocka_unit_test(few_calls_suffice_when_nobody_can_connect),
        cmocka_unit_test(one_probe_closes_it_or_leaves_it_open),
        cmocka_unit_test(a_probe_that_was_given_up_makes_room_at_once),
        cmocka_unit_test(late_answers_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
