/* test_outage.c - the schedule of attempts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ledger/outage.h"

#define NOW 1000000

static void
test_a_store_that_works_may_always_be_tried(void **state)
{
    struct outage outage = { 0 };

    (void)state;
    assert_true(outage_may_try(&outage, 0));
    outage_succeeded(&outage);
    assert_true(outage_may_try(&outage, NOW));
    assert_false(outage_is_open(&outage));
}

static void
test_pauses_double_and_the_fifth_failure_opens(void **state)
{
    static const int pauses_ms[] = { 250, 500, 1000, 2000 };
    struct outage outage = { 0 };
    int64_t now = NOW;

    (void)state;
    for (int i = 0; i < 4; i++) {
        outage_failed(&outage, now, 0);
        assert_false(outage_is_open(&outage));
        assert_false(outage_may_try(&outage, now + pauses_ms[i] - 1));
        now += pauses_ms[i];
        assert_true(outage_may_try(&outage, now));
    }
    outage_failed(&outage, now, 0);
    assert_true(outage_is_open(&outage));
    assert_false(outage_may_try(&outage, now + 59999));
    assert_true(outage_may_try(&outage, now + 60000));
}

static void
test_jitter_adds_up_to_a_tenth(void **state)
{
    struct outage outage = { 0 };

    (void)state;
    outage_failed(&outage, NOW, OUTAGE_MAX_JITTER);
    assert_int_equal(outage.retry_mono_ms, NOW + 275);
}

static void
test_one_attempt_at_a_time_while_open(void **state)
{
    struct outage outage = { 0 };

    (void)state;
    outage_open(&outage, NOW);
    assert_true(outage_is_open(&outage));
    assert_true(outage_may_try(&outage, NOW + 60000));
    outage_failed(&outage, NOW + 60000, 0);
    assert_true(outage_is_open(&outage));
    assert_false(outage_may_try(&outage, NOW + 119999));
    assert_true(outage_may_try(&outage, NOW + 120000));
    outage_succeeded(&outage);
    assert_false(outage_is_open(&outage));
    outage_failed(&outage, NOW + 120001, 0); /* and five again */
    assert_false(outage_is_open(&outage));
}

static void
test_an_attempt_can_be_hastened_and_never_put_off(void **state)
{
    struct outage outage = { 0 };

    (void)state;
    outage_open(&outage, NOW);
    outage_hasten(&outage, NOW + 5);
    assert_true(outage_may_try(&outage, NOW + 5));
    assert_true(outage_is_open(&outage));
    outage_hasten(&outage, NOW + 500);
    assert_true(outage_may_try(&outage, NOW + 5));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_store_that_works_may_always_be_tried),
        cmocka_unit_test(test_pauses_double_and_the_fifth_failure_opens),
        cmocka_unit_test(test_jitter_adds_up_to_a_tenth),
        cmocka_unit_test(test_one_attempt_at_a_time_while_open),
        cmocka_unit_test(test_an_attempt_can_be_hastened_and_never_put_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
