/* The evaluator's rules on a table of good and bad answers, and on hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/arena.h"
#include "workers/evaluator/rules.h"

enum { HOSTILE_BYTES = 4 * 1024 * 1024 };

struct sample {
    const char *name;   /* NULL: it says enough itself */
    const char *passes; /* a letter for each check in order, '-' for one that fails */
    const char *output;
};

static const struct sample SAMPLES[] = {
#include "tests/unit/rules_samples_code.inc"
#include "tests/unit/rules_samples_secrets.inc"
#include "tests/unit/rules_samples_short.inc"
};

static void samples_pass_the_checks_they_should(void **state) {
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof SAMPLES / sizeof SAMPLES[0]; i++) {
        const struct sample *sample = &SAMPLES[i];
        struct rule_result result;
        rules_apply("code_generation", sample->output, &result);
        assert_int_equal(result.count, 5);
        int passed = 0;
        for (int j = 0; j < result.count; j++) {
            passed += result.checks[j].passed;
            if (result.checks[j].passed == (sample->passes[j] != '-'))
                continue;
            print_error("%s: %s is %s\n", sample->name == NULL ? sample->output : sample->name,
                result.checks[j].name, result.checks[j].passed ? "true" : "false");
            wrong++;
        }
        assert_true(result.score == passed / 5.0);
    }
    assert_int_equal(wrong, 0);
}

static void checks_are_named_and_ordered_as_the_task_type_has_them(void **state) {
    (void)state;
    static const char *const CODE[] = {
        "has_code", "has_substance", "balanced_syntax", "no_sensitive_data", "reasonable_length"};
    struct rule_result result;
    rules_apply("code_generation", "Hello World", &result);
    for (int i = 0; i < 5; i++)
        assert_string_equal(result.checks[i].name, CODE[i]);
    assert_true(result.score == 0.6);
}

static void other_task_types_have_three_checks(void **state) {
    (void)state;
    static const char *const NAMES[] = {"has_substance", "no_sensitive_data", "reasonable_length"};
    struct rule_result result;
    rules_apply("poetry", "A poem of more than twenty letters, it's (fine", &result);
    assert_int_equal(result.count, 3);
    for (int i = 0; i < 3; i++)
        assert_string_equal(result.checks[i].name, NAMES[i]);
    assert_true(result.score == 1.0);
    rules_apply("", "Hello World", &result);
    assert_true(result.score == 2.0 / 3.0);
    rules_apply("code_generation2", "", &result);
    assert_true(result.score == 1.0 / 3.0);
}

static void lengths_are_code_points_without_white_space_around(void **state) {
    (void)state;
    struct rule_result result;
    rules_apply("x", "  \u00e9\u00e9\u00e9\u00e9\u00e9 \n", &result);
    assert_false(result.checks[2].passed);
    rules_apply("x", "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9", &result);
    assert_true(result.checks[2].passed);
    rules_apply("x", "\u3000aaaaaaaaaa\u00e9aaaaaaaaa\u00a0", &result);
    assert_false(result.checks[0].passed);
    rules_apply("x", "aaaaaaaaaa\u00e9aaaaaaaaaa", &result);
    assert_true(result.checks[0].passed);
}

/* output repeated to HOSTILE_BYTES, behind a beginning that makes it code. */
static bool applies_to_hostile(const char *begin, const char *repeated) {
    struct arena *arena = arena_create(0);
    char *output = arena_alloc(arena, HOSTILE_BYTES + 1);
    size_t length = strlen(begin), step = strlen(repeated);
    memcpy(output, begin, length);
    for (; length + step <= HOSTILE_BYTES; length += step)
        memcpy(output + length, repeated, step);
    struct rule_result result;
    rules_apply("code_generation", output, &result);
    arena_destroy(&arena);
    return result.checks[2].passed;
}

/* Ends in time only because all scans are linear; an answer of this size is the largest there is. */
static void huge_hostile_outputs_are_scanned_to_their_end(void **state) {
    (void)state;
    static const char *const REPEATED[] = {"\"", "'", "(", ")", "4", "4111 ", "`", "```\n", "eyJ", "eyJ.",
        "sk-", "-----BEGIN ", "://a:", "pwd:", "a.", "a\n", "=/[", "$$", "<<A\n", "<script", "${", "/*",
        "'a ", "R\"(", "\\"};
    static const char *const BEGIN[] = {"", "```python\n", "```js\n", "```sh\n", "```sql\n", "```rust\n",
        "```php\n", "```html\n", "```\nint x = 1;\n"};
    for (size_t i = 0; i < sizeof REPEATED / sizeof REPEATED[0]; i++)
        applies_to_hostile(BEGIN[i % (sizeof BEGIN / sizeof BEGIN[0])], REPEATED[i]);
    assert_false(applies_to_hostile("x = f(1)\n", "("));
    assert_false(applies_to_hostile("print('", "a"));
    assert_true(applies_to_hostile("x = f(1)\n", "()"));
    assert_true(applies_to_hostile("It's ", "so "));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_pass_the_checks_they_should),
        cmocka_unit_test(checks_are_named_and_ordered_as_the_task_type_has_them),
        cmocka_unit_test(other_task_types_have_three_checks),
        cmocka_unit_test(lengths_are_code_points_without_white_space_around),
        cmocka_unit_test(huge_hostile_outputs_are_scanned_to_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
