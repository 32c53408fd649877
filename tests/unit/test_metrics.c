/* Metrics: series by label values, histograms, the cap on series, and the texts for Prometheus and for the
 * docs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/arena.h"
#include "shared/buffer.h"
#include "shared/metrics.h"

static const double SCORES[] = {0.25, 0.5, 1, 0};

enum { PLAIN, LEVEL, SILENT, UNTOUCHED, PAIRS, SCORE, SECONDS, NUMBERS, ESCAPED, CAPPED };

static struct metric rows[] = {
    [PLAIN] = {.name = "test_plain_total", .type = METRIC_COUNTER, .help = "Things that were counted."},
    [LEVEL] = {.name = "test_level", .type = METRIC_GAUGE, .help = "How high it is."},
    [SILENT] = {.name = "test_silent", .type = METRIC_GAUGE, .help = "Never set."},
    [UNTOUCHED] = {.name = "test_untouched_total",
        .type = METRIC_COUNTER,
        .help = "Never counted.",
        .labels = {"kind"}},
    [PAIRS] = {.name = "test_pairs_total",
        .type = METRIC_COUNTER,
        .help = "Pairs.",
        .labels = {"one", "two"}},
    [SCORE] = {.name = "test_score",
        .type = METRIC_HISTOGRAM,
        .help = "Scores.",
        .labels = {"kind"},
        .buckets = SCORES},
    [SECONDS] = {.name = "test_seconds", .type = METRIC_HISTOGRAM, .help = "Durations."},
    [NUMBERS] = {.name = "test_numbers", .type = METRIC_GAUGE, .help = "Numbers.", .labels = {"n"}},
    [ESCAPED] = {.name = "test_escaped", .type = METRIC_GAUGE, .help = "Odd names.", .labels = {"name"}},
    [CAPPED] = {.name = "test_capped_total",
        .type = METRIC_COUNTER,
        .help = "Many.",
        .labels = {"a", "b", "c", "d"}},
    {0},
};
static struct metric second_table[] = {
    {.name = "test_second_table", .type = METRIC_GAUGE, .help = "Brought up to date before each scrape."},
    {0},
};

static struct arena *arena;

static int begin(void **state) {
    (void)state;
    arena = arena_create(0);
    return 0;
}

static int end(void **state) {
    (void)state;
    arena_destroy(&arena);
    return 0;
}

/* What a scrape says of one metric, from its HELP line to the next one's. */
static char *scraped(const char *name) {
    struct buffer buffer = buffer_in(arena);
    metrics_write(&buffer);
    const char *from = strstr(buffer_text(&buffer), arena_format(arena, "# HELP %s ", name));
    assert_non_null(from);
    const char *next = strstr(from + 1, "# HELP ");
    return arena_copy(arena, from, next ? (size_t)(next - from) : strlen(from));
}

static void assert_line(const char *text, const char *line) {
    if (!strstr(text, arena_format(arena, "\n%s\n", line)))
        fail_msg("no line %s in:\n%s", line, text);
}

static int lines_of(const char *text) {
    int lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void metrics_without_labels_start_at_zero(void **state) {
    (void)state;
    assert_string_equal(scraped("test_plain_total"), "# HELP test_plain_total Things that were counted.\n# "
                                                     "TYPE test_plain_total counter\ntest_plain_total 0\n");
    assert_string_equal(
        scraped("test_silent"), "# HELP test_silent Never set.\n# TYPE test_silent gauge\ntest_silent 0\n");
    assert_string_equal(scraped("test_untouched_total"),
        "# HELP test_untouched_total Never counted.\n# TYPE test_untouched_total counter\n");
}

static void counters_add_and_gauges_are_set(void **state) {
    (void)state;
    metric_count(&rows[PLAIN], 1);
    metric_count(&rows[PLAIN], 41);
    metric_set(&rows[LEVEL], 7);
    metric_set(&rows[LEVEL], -2.5);
    assert_line(scraped("test_plain_total"), "test_plain_total 42");
    assert_line(scraped("test_level"), "test_level -2.5");
    assert_int_equal(lines_of(scraped("test_level")), 3);
}

static void each_combination_of_label_values_is_a_series(void **state) {
    (void)state;
    char value[] = "ab";
    metric_count(&rows[PAIRS], 1, value, "c");
    value[0] = 'X';
    metric_count(&rows[PAIRS], 10, "a", "bc");
    metric_count(&rows[PAIRS], 100, "ab", "c");
    metric_count(&rows[PAIRS], 1000, "c", "ab");
    metric_count(&rows[PAIRS], 10000, "", "abc");
    char *text = scraped("test_pairs_total");
    assert_line(text, "test_pairs_total{one=\"ab\",two=\"c\"} 101");
    assert_line(text, "test_pairs_total{one=\"a\",two=\"bc\"} 10");
    assert_line(text, "test_pairs_total{one=\"c\",two=\"ab\"} 1000");
    assert_line(text, "test_pairs_total{one=\"\",two=\"abc\"} 10000");
    assert_int_equal(lines_of(text), 6);
    assert_int_equal(rows[PAIRS].series_count, 4);
}

static void a_histogram_counts_up_to_each_bound(void **state) {
    (void)state;
    metric_observe(&rows[SCORE], 0.125, "code");
    metric_observe(&rows[SCORE], 0.25, "code");
    metric_observe(&rows[SCORE], 0.75, "code");
    metric_observe(&rows[SCORE], 1.5, "code");
    metric_observe(&rows[SCORE], 0.5, "prose");
    char *text = scraped("test_score");
    assert_non_null(strstr(text, "# TYPE test_score histogram\n"));
    assert_non_null(strstr(text, "test_score_bucket{kind=\"code\",le=\"0.25\"} 2\n"
                                 "test_score_bucket{kind=\"code\",le=\"0.5\"} 2\n"
                                 "test_score_bucket{kind=\"code\",le=\"1\"} 3\n"
                                 "test_score_bucket{kind=\"code\",le=\"+Inf\"} 4\n"
                                 "test_score_sum{kind=\"code\"} 2.625\n"
                                 "test_score_count{kind=\"code\"} 4\n"));
    assert_line(text, "test_score_bucket{kind=\"prose\",le=\"0.25\"} 0");
    assert_line(text, "test_score_bucket{kind=\"prose\",le=\"0.5\"} 1");
    assert_line(text, "test_score_count{kind=\"prose\"} 1");
    assert_int_equal(lines_of(text), 2 + 2 * 6);
}

static void a_histogram_without_buckets_takes_seconds(void **state) {
    (void)state;
    metric_observe(&rows[SECONDS], 0.0004);
    metric_observe(&rows[SECONDS], 119);
    metric_observe(&rows[SECONDS], 500);
    char *text = scraped("test_seconds");
    assert_line(text, "test_seconds_bucket{le=\"0.0005\"} 1");
    assert_line(text, "test_seconds_bucket{le=\"60\"} 1");
    assert_line(text, "test_seconds_bucket{le=\"120\"} 2");
    assert_line(text, "test_seconds_bucket{le=\"+Inf\"} 3");
    assert_line(text, "test_seconds_count 3");
    assert_non_null(strstr(text, "\ntest_seconds_sum 619.000"));
}

static void numbers_read_back_as_they_were(void **state) {
    (void)state;
    metric_set(&rows[NUMBERS], 0.1, "tenth");
    metric_set(&rows[NUMBERS], 0.1 + 0.2, "inexact");
    metric_set(&rows[NUMBERS], 100, "hundred");
    metric_set(&rows[NUMBERS], 123456789012345, "large");
    metric_set(&rows[NUMBERS], NAN, "nan");
    metric_set(&rows[NUMBERS], INFINITY, "up");
    metric_set(&rows[NUMBERS], -INFINITY, "down");
    char *text = scraped("test_numbers");
    assert_line(text, "test_numbers{n=\"tenth\"} 0.1");
    assert_line(text, "test_numbers{n=\"inexact\"} 0.30000000000000004");
    assert_line(text, "test_numbers{n=\"hundred\"} 100");
    assert_line(text, "test_numbers{n=\"large\"} 123456789012345");
    assert_line(text, "test_numbers{n=\"nan\"} NaN");
    assert_line(text, "test_numbers{n=\"up\"} +Inf");
    assert_line(text, "test_numbers{n=\"down\"} -Inf");
}

static void label_values_are_escaped(void **state) {
    (void)state;
    metric_set(&rows[ESCAPED], 1, "say \"hi\" \\ there\nnow");
    metric_set(&rows[ESCAPED], 2, "\xea\xb0\x80\xff\xc3");
    char *text = scraped("test_escaped");
    assert_line(text, "test_escaped{name=\"say \\\"hi\\\" \\\\ there\\nnow\"} 1");
    assert_line(text, "test_escaped{name=\"\xea\xb0\x80\xef\xbf\xbd\xef\xbf\xbd\"} 2");
    assert_int_equal(lines_of(text), 4);
}

static void too_many_series_are_counted_as_other(void **state) {
    (void)state;
    char name[16];
    for (int i = 0; i < METRIC_SERIES_MAX + 500; i++) {
        snprintf(name, sizeof name, "n%d", i);
        metric_count(&rows[CAPPED], 1, "x", name, "y", "z");
    }
    metric_count(&rows[CAPPED], 6, "x", "n7", "y", "z");
    char *text = scraped("test_capped_total");
    assert_line(text, "test_capped_total{a=\"x\",b=\"n7\",c=\"y\",d=\"z\"} 7");
    assert_line(text, "test_capped_total{a=\"x\",b=\"n1999\",c=\"y\",d=\"z\"} 1");
    assert_line(text, "test_capped_total{a=\"other\",b=\"other\",c=\"other\",d=\"other\"} 500");
    assert_int_equal(lines_of(text), 2 + METRIC_SERIES_MAX + 1);
}

static int updates;

static void update(void *context) {
    updates++;
    metric_set(context, updates);
}

static void gauges_are_brought_up_to_date_before_each_scrape(void **state) {
    (void)state;
    updates = 0;
    metrics_before_scrape(update, &second_table[0]);
    assert_int_equal(updates, 0);
    assert_line(scraped("test_second_table"), "test_second_table 1");
    assert_line(scraped("test_second_table"), "test_second_table 2");
}

static void all_rows_stand_in_the_docs(void **state) {
    (void)state;
    struct buffer buffer = buffer_in(arena);
    metrics_describe(&buffer);
    const char *text = buffer_text(&buffer);
    const char *head = "| metric | type | labels | what it says |\n| --- | --- | --- | --- |\n";
    assert_ptr_equal(strstr(text, head), text);
    assert_line(text, "| `test_plain_total` | counter |  | Things that were counted. |");
    assert_line(text, "| `test_pairs_total` | counter | `one`, `two` | Pairs. |");
    assert_line(text, "| `test_score` | histogram | `kind` | Scores. |");
    assert_line(text, "| `test_second_table` | gauge |  | Brought up to date before each scrape. |");
    assert_int_equal(lines_of(text), 2 + 10 + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(metrics_without_labels_start_at_zero, begin, end),
        cmocka_unit_test_setup_teardown(counters_add_and_gauges_are_set, begin, end),
        cmocka_unit_test_setup_teardown(each_combination_of_label_values_is_a_series, begin, end),
        cmocka_unit_test_setup_teardown(a_histogram_counts_up_to_each_bound, begin, end),
        cmocka_unit_test_setup_teardown(a_histogram_without_buckets_takes_seconds, begin, end),
        cmocka_unit_test_setup_teardown(numbers_read_back_as_they_were, begin, end),
        cmocka_unit_test_setup_teardown(label_values_are_escaped, begin, end),
        cmocka_unit_test_setup_teardown(too_many_series_are_counted_as_other, begin, end),
        cmocka_unit_test_setup_teardown(gauges_are_brought_up_to_date_before_each_scrape, begin, end),
        cmocka_unit_test_setup_teardown(all_rows_stand_in_the_docs, begin, end),
    };
    metrics_add_table(rows);
    metrics_add_table(second_table);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
