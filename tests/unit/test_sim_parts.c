/* How the simulated model takes messages apart: by tags, by headings, and as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/arena.h"
#include "tests/sim/parts.h"

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

static void check(const char *message, const char *prompt, const char *input, const char *analysis) {
    struct parts parts = parts_read(arena, message);
    assert_string_equal(parts_find(&parts, PART_PROMPT), prompt);
    assert_string_equal(parts_find(&parts, PART_INPUT), input);
    assert_string_equal(parts_find(&parts, PART_ANALYSIS), analysis);
}

static void test_parts_stand_between_tags(void **state) {
    (void)state;
    check("<active_prompt>\nBe brief.\nOutput: JSON\n</active_prompt>\n<analysis>\n- too "
          "long\n</analysis>\n\nFailure 1:\n"
          "<input>\nhello\n</input>\n<your_task>\nRepair the active prompt: add what is "
          "missing.\n</your_task>\n",
        "Be brief.\nOutput: JSON", "hello", "- too long");
    struct parts parts =
        parts_read(arena, "<input>x</input>\n<your_task>\nRepair the active prompt: now.\n</your_task>\n");
    assert_null(parts_find(&parts, PART_PROMPT));
}

static void test_parts_stand_below_headings(void **state) {
    (void)state;
    check("Active prompt (version 3):\nBe brief.\n\nFailure 1:\nInput: hello\n\nRoot causes:\n- The prompt "
          "does not ask: why.\n",
        "Be brief.", "hello", "- The prompt does not ask: why.");
    check("## Active prompt\n\nBe brief.\n\n### Input\nhello\n## Analysis\nlong\n", "Be brief.", "hello",
        "long");
    check("=== PROMPT ===\nBe brief.\n=== INPUT ===\nhello\n=== ANALYSIS ===\nlong\n", "Be brief.", "hello",
        "long");
}

static void test_parts_are_members_of_an_object(void **state) {
    (void)state;
    check("{\"active_prompt\": \"Be brief.\", \"input\": \"hello\", \"analysis\": {\"causes\": [\"one\", "
          "\"two\"]}}",
        "Be brief.\n", "hello\n", "one\ntwo\n");
}

static void test_nothing_is_written_as_empty(void **state) {
    (void)state;
    struct parts parts = parts_read(arena, "<active_prompt>\n(empty)\n</active_prompt>\n");
    assert_string_equal(parts_find(&parts, PART_PROMPT), "");
}

static void test_a_judge_finds_the_whole_output(void **state) {
    (void)state;
    const char *input, *output;
    assert_true(parts_of_judgement(arena,
        "User input:\nhi\nthere\n\nRefined input:\nhello\n\nOutput:\nSubject: x\n\nInput: y\n\nYour last "
        "answer was not JSON.\n",
        &input, &output));
    assert_string_equal(input, "hi\nthere");
    assert_string_equal(output, "Subject: x\n\nInput: y");
    assert_false(parts_of_judgement(arena, "nothing here", &input, &output));
}

static void test_reasonings_are_found_in_json_and_in_escaped_json(void **state) {
    (void)state;
    assert_string_equal(
        parts_reasonings(
            arena, "{\"reasoning\":\"One.\"} and {\\\"reasoning\\\": \\\"Two.\\\"}\nReasoning: Three.\n"),
        "One.\nTwo.\nThree.\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parts_stand_between_tags, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_stand_below_headings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts_are_members_of_an_object, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_is_written_as_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_judge_finds_the_whole_output, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_reasonings_are_found_in_json_and_in_escaped_json, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
