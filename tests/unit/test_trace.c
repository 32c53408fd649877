/* W3C trace context: which traceparent is continued, and what begins a trace of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/trace.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static void assert_well_formed(const struct trace *trace) {
    assert_int_equal(strlen(trace->parent), 55);
    assert_int_equal(strlen(trace->id), 32);
    assert_int_equal(strspn(trace->id, "0123456789abcdef"), 32);
    assert_memory_equal(trace->parent, "00-", 3);
    assert_memory_equal(trace->parent + 3, trace->id, 32);
    assert_int_equal(trace->parent[35], '-');
    assert_int_equal(strspn(trace->parent + 36, "0123456789abcdef"), 16);
    assert_int_equal(trace->parent[52], '-');
    assert_true(strspn(trace->id, "0") < 32);
    assert_true(strspn(trace->parent + 36, "0") < 16);
}

static void assert_continued(const char *traceparent, const char *flags) {
    struct trace trace;
    trace_continue(&trace, traceparent);
    assert_well_formed(&trace);
    assert_string_equal(trace.id, TRACE);
    assert_memory_not_equal(trace.parent + 36, SPAN, 16);
    assert_string_equal(trace.from, SPAN);
    assert_memory_equal(trace_span_id(&trace), trace.parent + 36, 16);
    assert_int_equal(trace_sampled(&trace), strcmp(flags, "00") != 0);
    assert_string_equal(trace.parent + 53, flags);
}

static void assert_begun(const char *traceparent) {
    struct trace trace;
    trace_continue(&trace, traceparent);
    assert_well_formed(&trace);
    assert_string_equal(trace.parent + 53, "01");
    assert_string_equal(trace.from, "");
    assert_true(trace_sampled(&trace));
    assert_string_not_equal(trace.id, TRACE);
    if (traceparent && strlen(traceparent) >= 35)
        assert_memory_not_equal(trace.id, traceparent + 3, 32);
}

static void a_valid_parent_is_continued_with_its_flags(void **state) {
    (void)state;
    assert_continued("00-" TRACE "-" SPAN "-01", "01");
    assert_continued("00-" TRACE "-" SPAN "-00", "00");
    assert_continued("00-" TRACE "-" SPAN "-ff", "ff");
}

static void a_later_version_may_be_longer(void **state) {
    (void)state;
    assert_continued("01-" TRACE "-" SPAN "-01", "01");
    assert_continued("cc-" TRACE "-" SPAN "-00-what-the-future-brings", "00");
    assert_continued("fe-" TRACE "-" SPAN "-01-", "01");
    assert_begun("cc-" TRACE "-" SPAN "-01what");
    assert_begun("cc-" TRACE "-" SPAN "-01.what");
}

static void what_is_not_valid_begins_a_trace(void **state) {
    (void)state;
    static const char *const INVALID[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-01 ",
        "00-" TRACE "-" SPAN "-01-",
        "00-" TRACE "-" SPAN "-011",
        " 00-" TRACE "-" SPAN "-01",
        "ff-" TRACE "-" SPAN "-01",
        "0g-" TRACE "-" SPAN "-01",
        "FE-" TRACE "-" SPAN "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00-" TRACE "-" SPAN "-0A",
        "00-" TRACE "-" SPAN "-0g",
        "00-4bf92f3577b34da6a3ce929d0e0e473z-" SPAN "-01",
        "00-" TRACE "-00f067aa0ba902bz-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
    };
    for (size_t i = 0; i < sizeof INVALID / sizeof *INVALID; i++)
        assert_begun(INVALID[i]);
    assert_begun(NULL);
}

static void a_very_long_parent_does_no_harm(void **state) {
    (void)state;
    enum { LENGTH = 100000 };
    char *text = malloc(LENGTH + 1);
    assert_non_null(text);
    memset(text, 'a', LENGTH);
    text[LENGTH] = '\0';
    assert_begun(text);
    free(text);
}

static void a_trace_is_continued_in_its_own_place(void **state) {
    (void)state;
    struct trace trace, before;
    trace_continue(&trace, "00-" TRACE "-" SPAN "-00");
    before = trace;
    trace_continue(&trace, trace.parent);
    assert_well_formed(&trace);
    assert_string_equal(trace.id, before.id);
    assert_string_equal(trace.parent + 53, "00");
    assert_string_not_equal(trace.parent, before.parent);
}

static int by_number(const void *one, const void *other) {
    uint64_t left = *(const uint64_t *)one, right = *(const uint64_t *)other;
    return left < right ? -1 : left > right;
}

static void assert_distinct(uint64_t *numbers, size_t count) {
    qsort(numbers, count, sizeof *numbers, by_number);
    for (size_t i = 1; i < count; i++)
        assert_true(numbers[i - 1] != numbers[i]);
}

static void every_hop_has_a_span_of_its_own(void **state) {
    (void)state;
    enum { HOPS = 1000 };
    static uint64_t spans[HOPS], high[HOPS], low[HOPS];
    for (int i = 0; i < HOPS; i++) {
        struct trace trace;
        trace_continue(&trace, "00-" TRACE "-" SPAN "-01");
        spans[i] = strtoull(trace.parent + 36, NULL, 16);
    }
    assert_distinct(spans, HOPS);
    for (int i = 0; i < HOPS; i++) {
        struct trace trace;
        trace_continue(&trace, NULL);
        low[i] = strtoull(trace.id + 16, NULL, 16);
        trace.id[16] = '\0';
        high[i] = strtoull(trace.id, NULL, 16);
        spans[i] = strtoull(trace.parent + 36, NULL, 16);
    }
    assert_distinct(high, HOPS);
    assert_distinct(low, HOPS);
    assert_distinct(spans, HOPS);
}

/* 100 trace ids that spread evenly over the 56 bits that a share is taken of. */
static int sampled_of_100(const char *flags) {
    int sampled = 0;
    for (int i = 0; i < 100; i++) {
        char parent[64];
        struct trace trace;
        snprintf(parent, sizeof parent, "00-aaaaaaaaaaaaaaaaaa%014llx-" SPAN "-%s",
            (unsigned long long)((i + 0.5) / 100 * (double)(UINT64_C(1) << 56)), flags);
        trace_continue(&trace, parent);
        sampled += trace_sampled(&trace);
    }
    return sampled;
}

static int sampled_of_roots(void) {
    int sampled = 0;
    for (int i = 0; i < 4000; i++) {
        struct trace trace;
        trace_continue(&trace, NULL);
        sampled += trace_sampled(&trace);
    }
    return sampled;
}

static void a_share_of_the_traces_is_sampled_the_same_ones_everywhere(void **state) {
    (void)state;
    trace_sample(false, 0.25);
    assert_int_equal(sampled_of_100("00"), 25);
    assert_int_equal(sampled_of_100("01"), 25);
    assert_in_range(sampled_of_roots(), 700, 1300);
    trace_sample(false, 0);
    assert_int_equal(sampled_of_100("01") + sampled_of_roots(), 0);
    trace_sample(false, 1);
    assert_int_equal(sampled_of_100("00") + sampled_of_roots(), 4100);
    trace_sample(true, 1);
}

static void a_parent_decides_for_its_trace_and_the_share_for_those_that_begin_here(void **state) {
    (void)state;
    trace_sample(true, 0.25);
    assert_int_equal(sampled_of_100("01"), 100);
    assert_int_equal(sampled_of_100("00"), 0);
    assert_int_equal(sampled_of_100("0b"), 100);
    assert_int_equal(sampled_of_100("0a"), 0);
    assert_in_range(sampled_of_roots(), 700, 1300);
    trace_sample(true, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_valid_parent_is_continued_with_its_flags),
        cmocka_unit_test(a_later_version_may_be_longer),
        cmocka_unit_test(what_is_not_valid_begins_a_trace),
        cmocka_unit_test(a_very_long_parent_does_no_harm),
        cmocka_unit_test(a_trace_is_continued_in_its_own_place),
        cmocka_unit_test(every_hop_has_a_span_of_its_own),
        cmocka_unit_test(a_share_of_the_traces_is_sampled_the_same_ones_everywhere),
        cmocka_unit_test(a_parent_decides_for_its_trace_and_the_share_for_those_that_begin_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
