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

static const struct positions_work IDLE = {.running = false, .alone = -1};
static const struct positions_work RUNNING = {.running = true, .alone = -1};

static struct positions *restored(const struct positions *from, struct arena *arena) {
    struct positions *copy = positions_create(positions_lowest(from));
    char *metadata = positions_encode(from, &IDLE, arena);
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
    char *metadata = positions_encode(positions, &IDLE, arena);
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

/* As the release before wrote it: offset 5 is the lowest, 6 and 8 are finished. */
static void metadata_of_version_1_is_understood(void **state) {
    (void)state;
    struct positions *positions = positions_create(5);
    assert_true(positions_restore(positions, "AQEFAAAAAAAAAAqD4G6/"));
    assert_int_equal(positions_lowest(positions), 5);
    for (int64_t offset = 5; offset < 10; offset++)
        assert_int_equal(positions_finished(positions, offset), offset == 6 || offset == 8);
    assert_int_equal(positions_starts(positions), 0);
    assert_int_equal(positions_killer(positions), -1);
    positions_destroy(&positions);
}

/* What a process leaves that begins jobs at 100 to 109, finishes every second one of those above 100, and
 * dies. */
static struct positions *die(struct positions *positions, const struct positions_work *work) {
    struct arena *arena = arena_create(0);
    for (int64_t offset = 100; offset < 110; offset++)
        if (!positions_finished(positions, offset))
            positions_begin(positions, offset);
    positions_announce(positions, 110);
    for (int64_t offset = 102; offset < 110; offset += 2)
        if (!positions_finished(positions, offset))
            positions_finish(positions, offset);
    struct positions *after = positions_create(positions_lowest(positions));
    char *metadata = positions_encode(positions, work, arena);
    if (metadata)
        assert_true(positions_restore(after, metadata));
    positions_destroy(&positions);
    arena_destroy(&arena);
    return after;
}

static void starts_without_progress_are_counted(void **state) {
    (void)state;
    struct positions *positions = positions_create(100);
    assert_int_equal(positions_starts(positions), 0);
    for (int starts = 1; starts <= POSITIONS_STARTS_MAX + 2; starts++) {
        positions = die(positions, &RUNNING);
        assert_int_equal(positions_lowest(positions), 100);
        assert_int_equal(
            positions_starts(positions), starts < POSITIONS_STARTS_MAX ? starts : POSITIONS_STARTS_MAX);
        assert_true(positions_finished(positions, 102));
        assert_false(positions_finished(positions, 103));
        assert_int_equal(positions_killer(positions), -1);
    }
    /* One that ends in peace does not count, and does not undo what was counted. */
    positions = die(positions, &IDLE);
    assert_int_equal(positions_starts(positions), POSITIONS_STARTS_MAX);
    positions_destroy(&positions);
}

static void progress_begins_the_count_anew(void **state) {
    (void)state;
    struct positions *positions = die(die(positions_create(100), &RUNNING), &RUNNING);
    assert_int_equal(positions_starts(positions), 2);
    positions_begin(positions, 100);
    positions_finish(positions, 100);
    assert_int_equal(positions_lowest(positions), 101);
    assert_int_equal(positions_starts(positions), 0);
    positions_destroy(&positions);
}

static void one_at_a_time_goes_on_to_the_end_of_what_had_begun(void **state) {
    (void)state;
    struct positions *positions = die(die(die(positions_create(100), &RUNNING), &RUNNING), &RUNNING);
    for (int64_t offset = 100; offset < 110; offset++)
        if (!positions_finished(positions, offset)) {
            assert_int_equal(positions_starts(positions), POSITIONS_STARTS_MAX);
            positions_begin(positions, offset);
            positions_finish(positions, offset);
        }
    assert_int_equal(positions_lowest(positions), 110);
    assert_int_equal(positions_starts(positions), 0);
    positions_destroy(&positions);
}

static void the_one_that_was_alone_is_known_after_the_end(void **state) {
    (void)state;
    struct arena *arena = arena_create(0);
    struct positions *positions = die(die(die(positions_create(100), &RUNNING), &RUNNING), &RUNNING);
    positions_begin(positions, 100);
    positions_finish(positions, 100);
    const struct positions_work alone = {.running = true, .alone = 103};
    struct positions *after = positions_create(101);
    assert_true(positions_restore(after, positions_encode(positions, &alone, arena)));
    assert_int_equal(positions_killer(after), 103);
    assert_int_equal(positions_starts(after), POSITIONS_STARTS_MAX);
    positions_begin(after, 101);
    positions_finish(after, 101);
    /* The next one is one at a time too, and nobody is alone at work now. */
    struct positions *later = positions_create(103);
    assert_true(positions_restore(later, positions_encode(after, &IDLE, arena)));
    assert_int_equal(positions_starts(later), POSITIONS_STARTS_MAX);
    assert_int_equal(positions_killer(later), -1);
    positions_destroy(&later);
    positions_destroy(&after);
    positions_destroy(&positions);
    arena_destroy(&arena);
}

static void what_is_not_there_is_skipped(void **state) {
    (void)state;
    struct positions *positions = positions_create(0);
    positions_skip(positions, 70);
    assert_int_equal(positions_lowest(positions), 70);
    positions_skip(positions, 70);
    positions_begin(positions, 70);
    positions_skip(positions, 75);
    assert_int_equal(positions_next(positions), 75);
    assert_int_equal(positions_lowest(positions), 70);
    positions_finish(positions, 70);
    assert_int_equal(positions_lowest(positions), 75);
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
        cmocka_unit_test(metadata_of_version_1_is_understood),
        cmocka_unit_test(starts_without_progress_are_counted),
        cmocka_unit_test(progress_begins_the_count_anew),
        cmocka_unit_test(one_at_a_time_goes_on_to_the_end_of_what_had_begun),
        cmocka_unit_test(the_one_that_was_alone_is_known_after_the_end),
        cmocka_unit_test(what_is_not_there_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
