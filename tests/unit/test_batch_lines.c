/* Lines cut out of pieces: the same lines wherever the pieces end, long ones dropped, memory bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/batch_lines.h"

enum { LINE_MAX_BYTES = 10 };

static struct line_cutter cutter;
static char seen[400]; /* each line in brackets, "!" for one that is too long */

static int set_up(void **state) {
    (void)state;
    seen[0] = '\0';
    lines_open(&cutter, LINE_MAX_BYTES);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    lines_close(&cutter);
    return 0;
}

static void take_all(void) {
    const char *line, *again;
    size_t length, length_again, used = strlen(seen);
    for (enum line_kind kind; (kind = lines_see(&cutter, &line, &length)) != LINE_NONE; lines_next(&cutter)) {
        assert_int_equal(lines_see(&cutter, &again, &length_again), kind);
        if (kind == LINE_WHOLE)
            assert_true(again == line && length_again == length);
        used += (size_t)(kind == LINE_WHOLE
                             ? snprintf(seen + used, sizeof seen - used, "[%.*s]", (int)length, line)
                             : snprintf(seen + used, sizeof seen - used, "!"));
        assert_true(used < sizeof seen);
    }
}

static void add(const char *text) {
    lines_add(&cutter, text, strlen(text));
    take_all();
}

static void end(void) {
    lines_end(&cutter);
    take_all();
    take_all();
}

static void lines_end_with_a_line_feed_or_the_body(void **state) {
    (void)state;
    add("one\n\ntwo\r\nthree");
    assert_string_equal(seen, "[one][][two\r]");
    end();
    assert_string_equal(seen, "[one][][two\r][three]");
}

static void nothing_after_the_last_line_feed_is_no_line(void **state) {
    (void)state;
    add("one\n");
    end();
    assert_string_equal(seen, "[one]");
}

static void an_empty_body_has_no_line(void **state) {
    (void)state;
    end();
    assert_string_equal(seen, "");
}

static void a_line_may_be_cut_anywhere(void **state) {
    static const char TEXT[] = "a\n0123456789\n\n0123456789A\nb\nABCDEFGHIJKLMNOPQRSTUVWXYZ\nc";
    (void)state;
    for (size_t first = 0; first < sizeof TEXT; first++)
        for (size_t second = first; second < sizeof TEXT; second++) {
            lines_close(&cutter);
            set_up(NULL);
            lines_add(&cutter, TEXT, first);
            take_all();
            lines_add(&cutter, TEXT + first, second - first);
            take_all();
            lines_add(&cutter, TEXT + second, sizeof TEXT - 1 - second);
            end();
            assert_string_equal(seen, "[a][0123456789][]![b]![c]");
        }
}

static void a_long_line_may_be_the_last_one(void **state) {
    (void)state;
    add("0123456789");
    add("A");
    end();
    assert_string_equal(seen, "!");
    lines_close(&cutter);
    set_up(NULL);
    add("0123456789ABC\n");
    end();
    assert_string_equal(seen, "!");
}

static void lines_wait_until_they_are_taken(void **state) {
    (void)state;
    const char *line;
    size_t length;
    lines_add(&cutter, "a\nb\nc", 5);
    assert_int_equal(lines_see(&cutter, &line, &length), LINE_WHOLE);
    lines_add(&cutter, "\nd", 2);
    lines_end(&cutter);
    take_all();
    assert_string_equal(seen, "[a][b][c][d]");
}

static void memory_is_bounded_by_a_line_and_a_piece(void **state) {
    char piece[100];
    (void)state;
    memset(piece, 'x', sizeof piece);
    for (int i = 0; i < 10000; i++) {
        lines_add(&cutter, piece, sizeof piece);
        take_all();
    }
    add("\nshort\n");
    for (int i = 0; i < 10000; i++) {
        seen[0] = '\0';
        add("1\n");
    }
    assert_in_range(cutter.capacity, 1, 2 * (LINE_MAX_BYTES + sizeof piece + 1));
}

int main(void) {
#define LINES_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LINES_TEST(lines_end_with_a_line_feed_or_the_body),
        LINES_TEST(nothing_after_the_last_line_feed_is_no_line),
        LINES_TEST(an_empty_body_has_no_line),
        LINES_TEST(a_line_may_be_cut_anywhere),
        LINES_TEST(a_long_line_may_be_the_last_one),
        LINES_TEST(lines_wait_until_they_are_taken),
        LINES_TEST(memory_is_bounded_by_a_line_and_a_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
