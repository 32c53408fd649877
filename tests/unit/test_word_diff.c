/* Differences between texts: the least one, in whole words, that both texts can be read out of again, and an
 * answer within bounds whatever the texts are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/word_diff.h"
#include "shared/arena.h"
#include "shared/buffer.h"

static struct arena *arena;

static int open_arena(void **state) {
    (void)state;
    arena = arena_create(0);
    return 0;
}

static int close_arena(void **state) {
    (void)state;
    arena_destroy(&arena);
    return 0;
}

/* "=same -gone +new " of each run, after checking that both texts can be read out of them. */
static const char *diff(const char *before, const char *after, size_t *count) {
    static const char SIGNS[] = {
        [WORD_RUN_OP_EQUAL] = '=', [WORD_RUN_OP_DELETED] = '-', [WORD_RUN_OP_INSERTED] = '+'};
    const struct word_run *runs = word_diff(arena, before, after, count);
    struct buffer said = buffer_in(arena), old = buffer_in(arena), new = buffer_in(arena);
    for (size_t i = 0; i < *count; i++) {
        assert_true(*runs[i].text != '\0');
        assert_true(!i || runs[i].op != runs[i - 1].op);
        buffer_format(&said, "%c%s|", SIGNS[runs[i].op], runs[i].text);
        if (runs[i].op != WORD_RUN_OP_INSERTED)
            buffer_string(&old, runs[i].text);
        if (runs[i].op != WORD_RUN_OP_DELETED)
            buffer_string(&new, runs[i].text);
    }
    assert_string_equal(buffer_text(&old), before);
    assert_string_equal(buffer_text(&new), after);
    return buffer_text(&said);
}

static void check(const char *before, const char *after, const char *expected) {
    size_t count;
    assert_string_equal(diff(before, after, &count), expected);
}

static void tells_what_changed(void **state) {
    (void)state;
    check("", "", "");
    check("", "all new", "+all new|");
    check("all gone", "", "-all gone|");
    check("the same\n text ", "the same\n text ", "=the same\n text |");
    check("Write C code.", "Write Python code.", "=Write |-C |+Python |=code.|");
    check("a b", "a foo b", "=a |+foo |=b|");
    check("a foo b", "a b", "=a |-foo |=b|");
    check("one two", "one two three", "=one two|+ three|");
    check("b", "a b", "+a |=b|");
    check("b c c a a", "a a b b b", "-b c c |=a a|+ b b b|");
    check("x", "y", "-x|+y|");
    check("préfix é", "préfix è", "=préfix |-é|+è|");
}

static void white_space_counts_too(void **state) {
    (void)state;
    check("a b", "a  b", "=a|- |+  |=b|");
    check("a\n", "a", "=a|-\n|");
    check(" ", "\n", "- |+\n|");
    check("  a", "\ta", "-  |+\t|=a|");
    check("a b c", "a\nb\tc", "=a|- |+\n|=b|- |+\t|=c|");
    check("a b", "b a", "-a |=b|+ a|");
}

static void a_rewritten_sentence_is_one_change(void **state) {
    (void)state;
    check("say foo bar now", "say baz qux now", "=say |-foo bar |+baz qux |=now|");
    check("1 x 2 y 3", "1 a 2 b 3", "=1 |-x |+a |=2 |-y |+b |=3|");
    check("x y", "a b", "-x y|+a b|");
}

/* The least number of insertions and deletions by the textbook's table. */
static size_t least_edits(const char *before, const char *after) {
    size_t length = strlen(before), width = strlen(after);
    size_t *table = arena_alloc(arena, (length + 1) * (width + 1) * sizeof *table);
    for (size_t x = 0; x <= length; x++)
        for (size_t y = 0; y <= width; y++) {
            size_t *cell = &table[x * (width + 1) + y];
            if (!x || !y)
                *cell = x + y;
            else if (before[x - 1] == after[y - 1])
                *cell = cell[-(ptrdiff_t)width - 2];
            else
                *cell = 1 + (cell[-1] < cell[-(ptrdiff_t)width - 1] ? cell[-1] : cell[-(ptrdiff_t)width - 1]);
        }
    return table[length * (width + 1) + width];
}

/* Words parted by line feeds are letters here. Spaces in changes are not counted, and neither is the last. */
static size_t letters_changed(const char *before, const char *after) {
    size_t count, letters = 0;
    const struct word_run *runs = word_diff(arena, before, after, &count);
    for (size_t i = 0; i < count; i++)
        for (const char *at = runs[i].text; runs[i].op != WORD_RUN_OP_EQUAL && *at; at++)
            letters += *at != ' ';
    return letters;
}

static unsigned next_random(unsigned *seed) {
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 16;
}

static const char *spaced(const char *letters) {
    struct buffer text = buffer_in(arena);
    for (; *letters; letters++)
        buffer_format(&text, "%c ", *letters);
    return buffer_text(&text);
}

static void finds_the_least_difference(void **state) {
    (void)state;
    unsigned seed = 4;
    for (int round = 0; round < 3000; round++) {
        char texts[2][13] = {{0}};
        for (int i = 0; i < 2; i++)
            for (unsigned at = 0, length = next_random(&seed) % 13; at < length; at++)
                texts[i][at] = (char)('a' + next_random(&seed) % 3);
        size_t count;
        const char *before = spaced(texts[0]), *after = spaced(texts[1]);
        const char *said = diff(before, after, &count);
        if (letters_changed(before, after) != least_edits(texts[0], texts[1]))
            fail_msg("%s and %s: %s", texts[0], texts[1], said);
        if (round % 100 == 99) {
            close_arena(NULL);
            open_arena(NULL);
        }
    }
}

static const char *words(unsigned seed, size_t count, unsigned kinds, const char *separator) {
    struct buffer text = buffer_in(arena);
    for (size_t i = 0; i < count; i++)
        buffer_format(&text, "w%u%s", next_random(&seed) % kinds, separator);
    return buffer_text(&text);
}

static void long_texts_with_few_changes_are_compared_by_words(void **state) {
    (void)state;
    const char *text = words(1, 60000, 30000, " ");
    size_t count;
    const char *before = arena_format(arena, "first %s middle %s last", text, text + strlen(text) / 2);
    const char *after = arena_format(arena, "1st %s centre %s end", text, text + strlen(text) / 2);
    diff(before, after, &count);
    assert_int_equal(count, 8);
}

static void texts_that_differ_in_much_are_compared_by_lines(void **state) {
    (void)state;
    const char *before = arena_format(arena, "head one\n%s\nin common\n%s\ntail one",
        words(1, 5000, 30000, " "), words(2, 5000, 30000, " "));
    const char *after = arena_format(arena, "head two\n%s\nin common\n%s\ntail one",
        words(3, 5000, 30000, " "), words(4, 5000, 30000, " "));
    size_t count;
    const struct word_run *runs = word_diff(arena, before, after, &count);
    diff(before, after, &count);
    assert_int_equal(count, 6);
    assert_string_equal(runs[2].text, "in common\n");
    assert_string_equal(runs[5].text, "tail one");
}

static void texts_that_differ_in_nearly_all_are_changed_in_the_middle(void **state) {
    (void)state;
    const char *before = arena_format(arena, "same start %s same end", words(1, 60000, 30000, "\n"));
    const char *after = arena_format(arena, "same start %s same end", words(2, 60000, 30000, "\n"));
    size_t count;
    const struct word_run *runs = word_diff(arena, before, after, &count);
    diff(before, after, &count);
    assert_int_equal(count, 4);
    assert_string_equal(runs[0].text, "same start ");
    assert_string_equal(runs[3].text, "\n same end");
}

/* Everything alike, but shifted: each diagonal of the table runs on for long. */
static void texts_made_to_take_long_end_too(void **state) {
    (void)state;
    struct buffer same = buffer_in(arena);
    for (int i = 0; i < 100000; i++)
        buffer_string(&same, "a ");
    const char *tail = words(5, 1500, 30000, " ");
    const char *before = arena_format(arena, "x%s%s", buffer_text(&same), tail);
    const char *after = arena_format(arena, "y%s%s", buffer_text(&same), words(6, 1500, 30000, " "));
    size_t count;
    diff(before, after, &count);
    assert_true(count > 0);
    /* More tokens than are compared. */
    diff(words(7, 250000, 9, " "), words(8, 250000, 9, " "), &count);
    assert_true(count > 0);
    /* One word without an end. */
    char *word = arena_alloc(arena, 400001), *other = arena_alloc(arena, 400001);
    memset(word, 'a', 400000);
    memset(other, 'a', 399999);
    diff(word, other, &count);
    assert_int_equal(count, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_what_changed, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(white_space_counts_too, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(a_rewritten_sentence_is_one_change, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(finds_the_least_difference, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(
            long_texts_with_few_changes_are_compared_by_words, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(
            texts_that_differ_in_much_are_compared_by_lines, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(
            texts_that_differ_in_nearly_all_are_changed_in_the_middle, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(texts_made_to_take_long_end_too, open_arena, close_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
