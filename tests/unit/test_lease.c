/* The arithmetic of a lease: what is reserved is never more than what was leased, and what ended frees the
 * rest. */
#include "shared/model/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void nothing_leased_allows_nothing(void **state) {
    (void)state;
    struct lease lease = {0};
    assert_false(lease_reserve(&lease, 1));
    assert_true(lease_reserve(&lease, 0));
    assert_int_equal(lease_free(&lease), 0);
}

static void reservations_stop_at_the_amount(void **state) {
    (void)state;
    struct lease lease = {0};
    lease_grow(&lease, 100);
    assert_true(lease_reserve(&lease, 60));
    assert_false(lease_reserve(&lease, 41));
    assert_int_equal(lease.reserved, 60);
    assert_true(lease_reserve(&lease, 40));
    assert_int_equal(lease_free(&lease), 0);
    assert_int_equal(lease_used(&lease), 100);
}

static void what_a_try_did_cost_replaces_what_was_reserved(void **state) {
    (void)state;
    struct lease lease = {.amount = 100};
    assert_true(lease_reserve(&lease, 90));
    lease_spend(&lease, 90, 7);
    assert_int_equal(lease.spent, 7);
    assert_int_equal(lease.reserved, 0);
    assert_int_equal(lease_free(&lease), 93);
}

static void a_provider_that_charges_more_takes_from_what_is_free(void **state) {
    (void)state;
    struct lease lease = {.amount = 100};
    assert_true(lease_reserve(&lease, 50));
    lease_spend(&lease, 50, 80);
    assert_int_equal(lease_free(&lease), 20);
    assert_true(lease_reserve(&lease, 20));
    lease_spend(&lease, 20, 30);
    assert_int_equal(lease_used(&lease), 110);
    assert_int_equal(lease_free(&lease), 0);
    assert_false(lease_reserve(&lease, 1));
}

static void false_figures_of_a_provider_do_not_overflow(void **state) {
    (void)state;
    struct lease lease = {.amount = 100};
    for (int i = 0; i < 200; i++)
        lease_spend(&lease, 0, INT64_C(86000000000000000));
    assert_true(lease_used(&lease) >= INT64_C(86000000000000000));
    assert_int_equal(lease_free(&lease), 0);
    assert_false(lease_reserve(&lease, 1));
}

static void an_answer_that_comes_late_lowers_nothing(void **state) {
    (void)state;
    struct lease lease = {.amount = 100};
    lease_grow(&lease, 80);
    assert_int_equal(lease.amount, 100);
    lease_grow(&lease, 120);
    assert_int_equal(lease.amount, 120);
}

static void what_goes_back_cannot_be_spent(void **state) {
    (void)state;
    struct lease lease = {.amount = 100};
    assert_true(lease_reserve(&lease, 30));
    assert_true(lease_reserve(&lease, 10));
    lease_spend(&lease, 30, 5);
    assert_int_equal(lease_shrink(&lease), 15);
    assert_int_equal(lease_free(&lease), 0);
    assert_false(lease_reserve(&lease, 1));
    /* Of the try under way what is left over can still be used here. */
    lease_spend(&lease, 10, 4);
    assert_int_equal(lease_free(&lease), 6);
}

static void a_portion_is_a_hundredth_or_what_waits(void **state) {
    (void)state;
    assert_int_equal(lease_portion(1000, 0), 10);
    assert_int_equal(lease_portion(1000, 10), 10);
    assert_int_equal(lease_portion(1000, 11), 11);
    assert_int_equal(lease_portion(99, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_leased_allows_nothing),
        cmocka_unit_test(reservations_stop_at_the_amount),
        cmocka_unit_test(what_a_try_did_cost_replaces_what_was_reserved),
        cmocka_unit_test(a_provider_that_charges_more_takes_from_what_is_free),
        cmocka_unit_test(false_figures_of_a_provider_do_not_overflow),
        cmocka_unit_test(an_answer_that_comes_late_lowers_nothing),
        cmocka_unit_test(what_goes_back_cannot_be_spent),
        cmocka_unit_test(a_portion_is_a_hundredth_or_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
