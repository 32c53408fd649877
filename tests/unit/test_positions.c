/* Positions: any order of endings, what is restored from commit metadata, and the bound that keeps it small
 * enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/arena.h"
#include "workers/positions.h"

static struct positions *restored(const struct positions *from, struct arena *arena) {
    struct positions *copy = positions_create(positions_lowest(from));
    char *metadata = positions_encode(from, arena);
    if (metadata) {
        assert_true(strlen(metadata) <= POSITIONS_METADATA_MAX);
        assert_true(positions_restore(copy, metadata));
    }
    return copy;
}

static void lowest_moves_only_over_finished(void **state) {
    (void)state;
    struct positions *positions = positions_create(10);
    for (int64_t offset = 10; offset < 15; offset++)
        positions_begin(positions, offset);
    positions_finish(positions, 12);
    positions_finish(positions, 11);
    assert_int_equal(positions_lowest(positions), 10);
    assert_true(positions_finished(positions, 11));
    assert_false(positions_finished(positions, 13));
    positions_finish(positions, 10);
    assert_int_equal(positions_lowest(positions), 13);
    assert_int_equal(positions_unfinished(positions), 2);
    positions_destroy(&positions);
}

static void offsets_left_out_count_as_finished(void **state) {
    (void)state;
    struct positions *positions = positions_create(0);
    positions_begin(positions, 100);
    assert_int_equal(positions_lowest(positions), 100);
    positions_begin(positions, 105);
    positions_finish(positions, 100);
    assert_int_equal(positions_lowest(positions), 105);
    positions_destroy(&positions);
}

static void a_restart_repeats_only_the_unfinished(void **state) {
    (void)state;
    struct arena *arena = arena_create(0);
    struct positions *positions = positions_create(1000);
    for (int64_t offset = 1000; offset < 1100; offset++)
        positions_begin(positions, offset);
    for (int64_t offset = 1000; offset < 1100; offset++)
        if (offset % 7 != 3)
            positions_finish(positions, offset);
    struct positions *copy = restored(positions, arena);
    assert_int_equal(positions_lowest(copy), positions_lowest(positions));
    for (int64_t offset = 1000; offset < 1200; offset++)
        assert_int_equal(positions_finished(copy, offset), offset < 1100 && (offset % 7 != 3));
    positions_destroy(&copy);
    positions_destroy(&positions);
    arena_destroy(&arena);
}

static void metadata_of_another_offset_or_damaged_is_refused(void **state) {
    (void)state;
    struct arena *arena = arena_create(0);
    struct positions *positions = positions_create(5);
    positions_begin(positions, 5);
    positions_begin(positions, 6);
    positions_finish(positions, 6);
    char *metadata = positions_encode(positions, arena);
    struct positions *other = positions_create(6);
    assert_false(positions_restore(other, metadata));
    metadata[4] = metadata[4] == 'A' ? 'B' : 'A';
    struct positions *same = positions_create(5);
    assert_false(positions_restore(same, metadata));
    assert_false(positions_restore(same, ""));
    assert_false(positions_restore(same, "from another program"));
    assert_false(positions_restore(same, "AAAA"));
    assert_false(positions_finished(same, 6));
    positions_destroy(&other);
    positions_destroy(&same);
    positions_destroy(&positions);
    arena_destroy(&arena);
}

/* Whatever order jobs end in, what positions_fit let begin can be written down and read again. */
static void what_fits_can_always_be_encoded(void **state) {
    (void)state;
    struct arena *arena = arena_create(0);
    uint64_t random = 42;
    for (int round = 0; round < 20; round++) {
        struct positions *positions = positions_create(1 << 20);
        int64_t *open = calloc(100000, sizeof *open), next = 1 << 20;
        size_t count = 0;
        for (int step = 0; step < 60000; step++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            bool fits = positions_fit(positions, next);
            if (fits && (random >> 33) % 100 < 50 + (unsigned)round) {
                positions_begin(positions, next);
                open[count++] = next++;
            } else if (count > 1) {
                size_t at = 1 + (random >> 40) % (count - 1); /* the oldest never ends */
                positions_finish(positions, open[at]);
                open[at] = open[--count];
            }
        }
        assert_int_equal(positions_lowest(positions), 1 << 20);
        struct positions *copy = restored(positions, arena);
        assert_true(positions_finished(copy, next - 1) == positions_finished(positions, next - 1));
        for (size_t i = 0; i < count; i++)
            assert_false(positions_finished(copy, open[i]));
        int64_t finished = 0, same = 0;
        for (int64_t offset = 1 << 20; offset < next; offset++) {
            finished += positions_finished(positions, offset);
            same += positions_finished(copy, offset);
        }
        assert_int_equal(finished, same);
        positions_destroy(&copy);
        positions_destroy(&positions);
        free(open);
    }
    arena_destroy(&arena);
}

static void one_slow_job_does_not_stop_a_partition(void **state) {
    (void)state;
    struct positions *positions = positions_create(0);
    positions_begin(positions, 0);
    for (int64_t offset = 1; offset < 2000000; offset++) {
        assert_true(positions_fit(positions, offset));
        positions_begin(positions, offset);
        positions_finish(positions, offset);
    }
    positions_finish(positions, 0);
    assert_int_equal(positions_lowest(positions), 2000000);
    positions_destroy(&positions);
}

static void many_holes_far_apart_do_not_fit(void **state) {
    (void)state;
    struct positions *positions = positions_create(0);
    int64_t offset = 0;
    while (positions_fit(positions, offset) && offset < 1000000)
        positions_begin(positions, offset++);
    assert_in_range(offset, 24000, 25000);
    positions_destroy(&positions);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lowest_moves_only_over_finished),
        cmocka_unit_test(offsets_left_out_count_as_finished),
        cmocka_unit_test(a_restart_repeats_only_the_unfinished),
        cmocka_unit_test(metadata_of_another_offset_or_damaged_is_refused),
        cmocka_unit_test(what_fits_can_always_be_encoded),
        cmocka_unit_test(one_slow_job_does_not_stop_a_partition),
        cmocka_unit_test(many_holes_far_apart_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
