/* Arenas and the buffers in them: alignment, zeroes, growth in place and by copy, and texts that outgrow
 * their place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/arena.h"
#include "shared/buffer.h"

static void blocks_are_aligned_zeroed_and_apart(void **state) {
    (void)state;
    struct arena *arena = arena_create(64);
    unsigned char *blocks[300];
    for (size_t i = 0; i < 300; i++) {
        blocks[i] = arena_alloc(arena, i);
        assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
        for (size_t at = 0; at < i; at++)
            assert_int_equal(blocks[i][at], 0);
        memset(blocks[i], (int)(i % 255 + 1), i);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t at = 0; at < i; at++)
            assert_int_equal(blocks[i][at], i % 255 + 1);
    arena_destroy(&arena);
    assert_null(arena);
    arena_destroy(&arena);
}

static void a_block_may_be_larger_than_any_chunk(void **state) {
    (void)state;
    struct arena *arena = arena_create(0);
    size_t before = arena_bytes(arena), bytes = (size_t)5 << 20;
    assert_true(before >= 4096);
    char *block = arena_alloc(arena, bytes);
    memset(block, 'x', bytes);
    assert_true(arena_bytes(arena) >= before + bytes);
    arena_destroy(&arena);
}

static void copies_end_with_a_nul(void **state) {
    (void)state;
    struct arena *arena = arena_create(16);
    char *copy = arena_copy(arena, "a\0b--", 3);
    assert_memory_equal(copy, "a\0b\0", 4);
    assert_string_equal(arena_copy(arena, NULL, 0), "");
    assert_null(arena_string(arena, NULL));
    const char *original = "anvil";
    char *string = arena_string(arena, original);
    assert_string_equal(string, original);
    assert_ptr_not_equal(string, original);
    arena_destroy(&arena);
}

static void format_takes_what_it_needs(void **state) {
    (void)state;
    struct arena *arena = arena_create(16);
    char *text = arena_format(arena, "%s=%d%*s|", "n", 42, 20000, "");
    assert_int_equal(strlen(text), 20005);
    assert_memory_equal(text, "n=42 ", 5);
    assert_int_equal(text[20004], '|');
    assert_string_equal(arena_format(arena, "%s", ""), "");
    arena_destroy(&arena);
}

static void the_newest_block_grows_in_place(void **state) {
    (void)state;
    struct arena *arena = arena_create(4096);
    char *block = arena_alloc(arena, 100);
    memset(block, 'x', 100);
    assert_ptr_equal(arena_grow(arena, block, 100, 1000), block);
    char *next = arena_alloc(arena, 10);
    assert_true(next >= block + 1000);
    assert_int_equal(block[99], 'x');
    arena_destroy(&arena);
}

static void an_older_block_grows_by_a_copy(void **state) {
    (void)state;
    struct arena *arena = arena_create(4096);
    char *block = arena_copy(arena, "0123456789", 10);
    char *newer = arena_copy(arena, "newer", 5);
    char *grown = arena_grow(arena, block, 11, 500);
    assert_ptr_not_equal(grown, block);
    assert_string_equal(grown, "0123456789");
    memset(grown, 'x', 500);
    assert_string_equal(newer, "newer");
    arena_destroy(&arena);
}

static void growth_goes_past_the_end_of_a_chunk_and_starts_from_nothing(void **state) {
    (void)state;
    struct arena *arena = arena_create(64);
    char *block = arena_grow(arena, NULL, 0, 8);
    memcpy(block, "anvil", 6);
    block = arena_grow(arena, block, 8, 100000);
    assert_string_equal(block, "anvil");
    memset(block, 'x', 100000);
    assert_ptr_equal(arena_grow(arena, block, 100000, 10), block);
    arena_destroy(&arena);
}

static void a_reset_arena_begins_anew_in_its_first_chunk(void **state) {
    (void)state;
    struct arena *arena = arena_create(1024);
    size_t at_first = arena_bytes(arena);
    char *first = arena_copy(arena, "first", 5);
    for (int i = 0; i < 100; i++)
        memset(arena_alloc(arena, 1000), 'x', 1000);
    assert_true(arena_bytes(arena) > 100000);
    arena_reset(arena);
    assert_int_equal(arena_bytes(arena), at_first);
    const char *zeroed = arena_alloc(arena, 1000);
    assert_ptr_equal(zeroed, first);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(zeroed[i], 0);
    arena_reset(arena);
    arena_reset(arena);
    arena_destroy(&arena);
}

static void an_impossible_size_aborts(void **state) {
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct arena *arena = arena_create(0);
        arena_alloc(arena, SIZE_MAX - 1);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void an_empty_buffer_is_an_empty_text(void **state) {
    (void)state;
    struct arena *arena = arena_create(0);
    struct buffer buffer = buffer_in(arena);
    assert_int_equal(buffer.length, 0);
    assert_string_equal(buffer_text(&buffer), "");
    buffer_append(&buffer, NULL, 0);
    assert_string_equal(buffer_text(&buffer), "");
    assert_int_equal(buffer.length, 0);
    arena_destroy(&arena);
}

static void a_buffer_joins_what_is_written(void **state) {
    (void)state;
    struct arena *arena = arena_create(0);
    struct buffer buffer = buffer_in(arena);
    buffer_string(&buffer, "a");
    buffer_byte(&buffer, '-');
    buffer_format(&buffer, "%d/%s", 7, "z");
    buffer_append(&buffer, "\0x", 2);
    assert_int_equal(buffer.length, 7);
    assert_memory_equal(buffer_text(&buffer), "a-7/z\0x\0", 8);
    arena_destroy(&arena);
}

/* Each buffer's growth finds the other's memory behind its own. */
static void buffers_that_grow_in_turns_keep_their_texts(void **state) {
    (void)state;
    struct arena *arena = arena_create(0);
    struct buffer even = buffer_in(arena), odd = buffer_in(arena);
    for (int i = 0; i < 20000; i++)
        buffer_format(i % 2 ? &odd : &even, "%05d", i);
    assert_int_equal(even.length, 50000);
    assert_int_equal(odd.length, 50000);
    for (int i = 0; i < 20000; i++) {
        char expected[16];
        const char *text = (i % 2 ? odd.data : even.data) + (i / 2) * 5;
        snprintf(expected, sizeof expected, "%05d", i);
        assert_memory_equal(text, expected, 5);
    }
    assert_int_equal(even.data[50000], 0);
    arena_destroy(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_zeroed_and_apart),
        cmocka_unit_test(a_block_may_be_larger_than_any_chunk),
        cmocka_unit_test(copies_end_with_a_nul),
        cmocka_unit_test(format_takes_what_it_needs),
        cmocka_unit_test(the_newest_block_grows_in_place),
        cmocka_unit_test(an_older_block_grows_by_a_copy),
        cmocka_unit_test(growth_goes_past_the_end_of_a_chunk_and_starts_from_nothing),
        cmocka_unit_test(a_reset_arena_begins_anew_in_its_first_chunk),
        cmocka_unit_test(an_impossible_size_aborts),
        cmocka_unit_test(an_empty_buffer_is_an_empty_text),
        cmocka_unit_test(a_buffer_joins_what_is_written),
        cmocka_unit_test(buffers_that_grow_in_turns_keep_their_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
