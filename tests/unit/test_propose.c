/* Candidates are cleaned, copies of inputs found; an analyst's answer is read, or replaced by what the checks
 * say. */
#include "workers/optimizer/propose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "shared/arena.h"
#include "shared/buffer.h"

static struct arena *arena;

static int set_up(void **state) {
    (void)state;
    arena = arena_create(0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_destroy(&arena);
    return 0;
}

static const char *clean(const char *answer) {
    return candidate_clean(arena, answer, strlen(answer));
}

static void takes_the_prompt_out_of_an_answer(void **state) {
    (void)state;
    assert_string_equal(clean("  Write code.\n"), "Write code.");
    assert_string_equal(clean("```text\nWrite code.\n```"), "Write code.");
    assert_string_equal(clean("```\nA\n\nB\n```\n"), "A\n\nB");
    assert_string_equal(clean("\"Write code.\""), "Write code.");
    assert_string_equal(clean("\"A\" and \"B\""), "\"A\" and \"B\"");
    assert_string_equal(clean("```"), "```");
    assert_string_equal(clean(" \n"), "");
}

static bool copies(const char *text, const char *input, const char *allowed) {
    return copies_words(text, input, &allowed, 1);
}

static void finds_five_words_in_a_row(void **state) {
    (void)state;
    assert_true(
        copies("Always write a fast sorting FUNCTION, please", "Write a fast, sorting function!", NULL));
    assert_false(copies("write a fast sorting method", "Write a fast sorting function", NULL));
    assert_false(copies("write a fast sorting", "write a fast sorting", NULL));
    assert_false(copies("", "write a fast sorting function now", NULL));
    assert_true(copies("x write a fast sorting function", "first write a fast sorting function last", NULL));
}

static void what_the_prompt_already_says_is_no_copy(void **state) {
    (void)state;
    assert_false(copies("answer in plain words of English", "Please answer in plain words of English now",
        "You answer in plain words of English."));
    assert_true(copies("answer in plain words of English for my cat Tom today",
        "answer in plain words of English for my cat Tom today", "You answer in plain words of English."));
}

static bool reads(const char *answer, struct analysis *analysis) {
    return analysis_read(arena, answer, strlen(answer), analysis);
}

static void reads_an_analysis(void **state) {
    struct analysis analysis;
    (void)state;
    assert_true(reads("Here it is: {\"failure_patterns\":[\"a\",\"a\",\"b\"],\"root_causes\":[],"
                     "\"improvement_suggestions\":[\"c\"]} done",
        &analysis));
    assert_int_equal(analysis.patterns.count, 2);
    assert_string_equal(analysis.suggestions.items[0], "c");
    assert_string_equal(analysis.source, "model");
    assert_false(reads("no JSON", &analysis));
    assert_false(reads("{\"failure_patterns\":[],\"root_causes\":[]}", &analysis));
    assert_false(
        reads("{\"failure_patterns\":[1],\"root_causes\":[],\"improvement_suggestions\":[]}", &analysis));
    assert_false(
        reads("{\"failure_patterns\":\"a\",\"root_causes\":[],\"improvement_suggestions\":[]}", &analysis));
}

static void analyses_by_the_checks(void **state) {
    const struct failure failures[] = {
        {.detail = "{\"rule_details\":{\"has_code\":false,\"has_substance\":true},\"llm_details\":{"
                   "\"reasoning\":\"No "
                   "code.\"}}"},
        {.detail = "no JSON at all"},
    };
    struct analysis analysis;
    struct buffer text = buffer_in(arena);
    (void)state;
    analysis_from_rules(arena, failures, 2, &analysis);
    analysis_write(&text, &analysis);
    assert_non_null(strstr(buffer_text(&text), "has code"));
    assert_non_null(strstr(buffer_text(&text), "No code."));
    assert_null(strstr(buffer_text(&text), "has substance"));
    assert_non_null(strstr(buffer_text(&text), "\"source\":\"rules\""));
    analysis_from_rules(arena, &failures[1], 1, &analysis);
    assert_true(analysis.patterns.count > 0 && analysis.suggestions.count > 0);
}

static void shows_inputs_as_data_and_cut(void **state) {
    char *huge = arena_alloc(arena, 100001);
    memset(huge, 'x', 100000);
    const struct failure failure = {.user_input = huge, .output = "", .detail = "{}"};
    (void)state;
    const char *question = analyst_question(arena, "", &failure, 1, false);
    assert_true(strlen(question) < 5000);
    assert_non_null(strstr(question, "<active_prompt>\n(empty)\n</active_prompt>"));
    assert_non_null(strstr(question, "[...]"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(takes_the_prompt_out_of_an_answer),
        TEST(finds_five_words_in_a_row),
        TEST(what_the_prompt_already_says_is_no_copy),
        TEST(reads_an_analysis),
        TEST(analyses_by_the_checks),
        TEST(shows_inputs_as_data_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
