/* Price files are read or refused with a reason, and costs are what the formula says, to the 10^-9 US dollar.
 */
#include "shared/model/prices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/arena.h"
#include "shared/model/model.h"

static const char FILE_TEXT[] =
    "{\"as_of\": \"2026-01\", \"openai/gpt-4o-mini\": {\"input\": 0.15, \"cached\": 0.075, \"output\": 0.6},"
    "\"anthropic/claude\": {\"input\": 3, \"cached\": 0.3, \"cache_write\": 3.75, \"output\": 15},"
    "\"openai/org/model\": {\"input\": 0.000001, \"output\": 10000}}";

static const struct prices *read_text(struct arena *arena, const char *text, const char **why) {
    *why = NULL;
    return prices_read(arena, text, strlen(text), why);
}

static void names_are_found_whole(void **state) {
    (void)state;
    struct arena *arena = arena_create(0);
    const char *why;
    const struct prices *prices = read_text(arena, FILE_TEXT, &why);
    assert_non_null(prices);
    assert_non_null(prices_find(prices, "openai", "gpt-4o-mini"));
    assert_non_null(prices_find(prices, "openai", "org/model"));
    assert_null(prices_find(prices, "openai", "gpt-4o"));
    assert_null(prices_find(prices, "openai", "gpt-4o-mini-2024"));
    assert_null(prices_find(prices, "open", "gpt-4o-mini"));
    assert_null(prices_find(NULL, "openai", "gpt-4o-mini"));
    arena_destroy(&arena);
}

static void each_token_is_charged_once(void **state) {
    (void)state;
    struct arena *arena = arena_create(0);
    const char *why;
    const struct prices *prices = read_text(arena, FILE_TEXT, &why);
    const struct price *mini = prices_find(prices, "openai", "gpt-4o-mini");
    struct model_answer answer = {
        .prompt_tokens = 1500, .cached_tokens = 1000, .completion_tokens = 300, .reasoning_tokens = 200};
    /* 500 × 150 + 1000 × 75 + 300 × 600: the reasoning is among the completion. */
    assert_int_equal(price_cost_nanousd(mini, &answer), 330000);
    /* Without a price of its own a cache write costs what input costs. */
    answer.cache_write_tokens = 100;
    assert_int_equal(price_cost_nanousd(mini, &answer), 330000);
    const struct price *claude = prices_find(prices, "anthropic", "claude");
    /* 400 × 3000 + 1000 × 300 + 100 × 3750 + 300 × 15000 */
    assert_int_equal(price_cost_nanousd(claude, &answer), 6375000);
    arena_destroy(&arena);
}

static void odd_counts_cost_nothing_negative(void **state) {
    (void)state;
    const struct price price = {
        .input = 1000000, .cached = 500000, .cache_write = 2000000, .output = 4000000};
    assert_int_equal(price_cost_nanousd(&price, &(struct model_answer){0}), 0);
    assert_int_equal(
        price_cost_nanousd(&price, &(struct model_answer){.prompt_tokens = 10, .cached_tokens = 30}), 15000);
    assert_int_equal(price_cost_nanousd(&price, &(struct model_answer){.prompt_tokens = -5}), 0);
    const struct price dearest = {10000000000, 10000000000, 10000000000, 10000000000};
    const struct model_answer huge = {.prompt_tokens = INT64_MAX, .completion_tokens = INT64_MAX};
    assert_true(price_cost_nanousd(&dearest, &huge) == 2 * INT64_C(2147483647) * 10000000);
}

static void fractions_are_rounded_and_bounds_rounded_up(void **state) {
    (void)state;
    const struct price price = {.input = 1, .cached = 1, .cache_write = 1, .output = 0};
    assert_int_equal(price_cost_nanousd(&price, &(struct model_answer){.prompt_tokens = 499}), 0);
    assert_int_equal(price_cost_nanousd(&price, &(struct model_answer){.prompt_tokens = 500}), 1);
    assert_int_equal(price_most_nanousd(&price, 1, 0), 1);
    assert_int_equal(price_most_nanousd(&price, 0, 0), 0);
}

static void the_most_covers_the_dearest_kind(void **state) {
    (void)state;
    const struct price price = {
        .input = 3000000, .cached = 300000, .cache_write = 3750000, .output = 15000000};
    int64_t most = price_most_nanousd(&price, 1000, 200);
    assert_int_equal(most, 1000 * 3750 + 200 * 15000);
    const struct model_answer written = {
        .prompt_tokens = 1000, .cache_write_tokens = 1000, .completion_tokens = 200};
    assert_true(price_cost_nanousd(&price, &written) <= most);
}

static void a_bad_file_says_why(void **state) {
    (void)state;
    static const struct {
        const char *text, *why;
    } BAD[] = {
        {"[]", "it is no JSON object"},
        {"{", "it is no JSON"},
        {"{\"gpt\": {\"input\": 1, \"output\": 1}}", "a name that is not <provider>/<model>"},
        {"{\"/gpt\": {\"input\": 1, \"output\": 1}}", "a name that is not <provider>/<model>"},
        {"{\"openai/\": {\"input\": 1, \"output\": 1}}", "a name that is not <provider>/<model>"},
        {"{\"openai/gpt\": {\"input\": 1}}", "\"openai/gpt\" has no prices: /output: is missing"},
        {"{\"openai/gpt\": 1}", "\"openai/gpt\" has no prices: must be an object"},
        {"{\"openai/gpt\": {\"input\": -1, \"output\": 1}}", "/input"},
        {"{\"openai/gpt\": {\"input\": 1, \"output\": 1, \"outptu\": 2}}", "/outptu"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct arena *arena = arena_create(0);
        const char *why;
        assert_null(read_text(arena, BAD[i].text, &why));
        if (!strstr(why, BAD[i].why))
            fail_msg("%s: %s", BAD[i].text, why);
        arena_destroy(&arena);
    }
}

static void the_example_can_be_read(void **state) {
    (void)state;
    struct arena *arena = arena_create(0);
    const struct prices *prices = prices_load(arena, "deploy/prices.json");
    assert_non_null(prices_find(prices, "gemini", "gemini-2.0-flash"));
    arena_destroy(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_whole),
        cmocka_unit_test(each_token_is_charged_once),
        cmocka_unit_test(odd_counts_cost_nothing_negative),
        cmocka_unit_test(fractions_are_rounded_and_bounds_rounded_up),
        cmocka_unit_test(the_most_covers_the_dearest_kind),
        cmocka_unit_test(a_bad_file_says_why),
        cmocka_unit_test(the_example_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
