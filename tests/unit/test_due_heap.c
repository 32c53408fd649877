/* The heap of what waits for a time: order, ties, and taking some out of the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "workers/due_heap.h"

enum { COUNT = 5000 };

static int64_t due[COUNT];

static void fill(struct due_heap *heap) {
    uint64_t random = 7;
    for (int i = 0; i < COUNT; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        due[i] = (int64_t)((random >> 33) % 1000); /* many are due at the same time */
        due_heap_push(heap, due[i], &due[i]);
    }
}

/* Takes all off and checks that they come by time, then by when they came. Returns how many there were. */
static size_t check_order(struct due_heap *heap) {
    int64_t *last = NULL, *item, top;
    size_t count = 0;
    while ((item = due_heap_top(heap, &top))) {
        assert_int_equal(top, *item);
        assert_ptr_equal(due_heap_pop(heap), item);
        assert_true(!last || *last < *item || (*last == *item && last < item));
        last = item;
        count++;
    }
    return count;
}

static void the_earliest_comes_first(void **state) {
    (void)state;
    struct due_heap heap = {0};
    fill(&heap);
    assert_int_equal(heap.count, COUNT);
    assert_int_equal(check_order(&heap), COUNT);
    due_heap_clear(&heap);
}

static bool is_odd(void *context, void *item) {
    (*(int *)context)++;
    return *(int64_t *)item % 2;
}

static void some_are_dropped_and_the_others_keep_their_order(void **state) {
    (void)state;
    struct due_heap heap = {0};
    size_t even = 0;
    int asked = 0;
    fill(&heap);
    for (int i = 0; i < COUNT; i++)
        even += due[i] % 2 == 0;
    due_heap_drop(&heap, is_odd, &asked);
    assert_int_equal(asked, COUNT);
    assert_int_equal(heap.count, even);
    assert_int_equal(check_order(&heap), even);
    due_heap_clear(&heap);
}

static void an_empty_one_has_nothing(void **state) {
    (void)state;
    struct due_heap heap = {0};
    int64_t top;
    int asked = 0;
    assert_null(due_heap_top(&heap, &top));
    assert_null(due_heap_pop(&heap));
    due_heap_drop(&heap, is_odd, &asked);
    assert_int_equal(asked, 0);
    due_heap_clear(&heap);
}

static void what_comes_between_finds_its_place(void **state) {
    (void)state;
    struct due_heap heap = {0};
    static int64_t times[] = {50, 10, 30, 20, 40};
    for (int i = 0; i < 3; i++)
        due_heap_push(&heap, times[i], &times[i]);
    assert_ptr_equal(due_heap_pop(&heap), &times[1]);
    due_heap_push(&heap, times[3], &times[3]);
    due_heap_push(&heap, times[4], &times[4]);
    assert_ptr_equal(due_heap_pop(&heap), &times[3]);
    assert_ptr_equal(due_heap_pop(&heap), &times[2]);
    assert_ptr_equal(due_heap_pop(&heap), &times[4]);
    assert_ptr_equal(due_heap_pop(&heap), &times[0]);
    due_heap_clear(&heap);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_earliest_comes_first),
        cmocka_unit_test(some_are_dropped_and_the_others_keep_their_order),
        cmocka_unit_test(an_empty_one_has_nothing),
        cmocka_unit_test(what_comes_between_finds_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
