/* Pacing: a quiet stream waits for nothing, a busy one keeps its gap, and one that has become quiet is told
 * so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/pace.h"

enum { GAP_MS = 4, RATE = 1000 };

/* Batches of items each, step_ms apart, from now_ms on; returns the time of the last. */
static uint64_t send(struct pace *pace, uint64_t now_ms, int batches, uint64_t step_ms, size_t items) {
    for (int i = 0; i < batches; i++) {
        pace_sent(pace, now_ms, items, RATE);
        now_ms += step_ms;
    }
    return now_ms - step_ms;
}

static void a_quiet_stream_never_waits(void **state) {
    (void)state;
    struct pace pace = {0};
    assert_int_equal(pace_wait_ms(&pace, 100000, GAP_MS), 0);
    uint64_t last = send(&pace, 100000, 100, 2, 1);
    assert_int_equal(pace_wait_ms(&pace, last, GAP_MS), 0);
}

static void a_busy_stream_keeps_its_gap(void **state) {
    (void)state;
    struct pace pace = {0};
    uint64_t last = send(&pace, 100000, 100, 2, 3);
    assert_int_equal(pace_wait_ms(&pace, last, GAP_MS), 4);
    assert_int_equal(pace_wait_ms(&pace, last + 1, GAP_MS), 3);
    assert_int_equal(pace_wait_ms(&pace, last + 4, GAP_MS), 0);
    assert_int_equal(pace_wait_ms(&pace, last + 5000, GAP_MS), 0);
}

static void a_stream_that_was_busy_waits_no_more(void **state) {
    (void)state;
    struct pace pace = {0};
    uint64_t last = send(&pace, 100000, 100, 2, 3);
    /* The first batch after the pause ends the window that the pause is part of. */
    pace_sent(&pace, last + 5000, 1, RATE);
    assert_int_equal(pace_wait_ms(&pace, last + 5000, GAP_MS), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_stream_never_waits),
        cmocka_unit_test(a_busy_stream_keeps_its_gap),
        cmocka_unit_test(a_stream_that_was_busy_waits_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
