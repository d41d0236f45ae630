/* test_plan.c - how many to start, how many to retire, how long to wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attr.h"
#include "prefork/plan.h"

#define NOW 100000

/* min 2, max 20, spare 3, idle for 5 s */
static const struct plan_limits usual = { 2, 20, 3, 5000 };

struct plan_case {
    const char *story;
    struct plan_limits limits;
    struct plan_facts facts; /* now is NOW unless given */
    int start;
    int retire;
};

static const struct plan_case cases[] = {
    { "an empty pool starts what it needs", { 2, 20, 3, 0 }, { 0 }, 3, 0 },
    { "the minimum counts when it is more than the spare ones",
      { 5, 20, 3, 0 },
      { 0 },
      5,
      0 },
    { "nothing while those on their way suffice",
      { 2, 20, 3, 0 },
      { .total = 3, .starting = 3 },
      0,
      0 },
    { "nothing while enough are idle",
      { 2, 20, 3, 0 },
      { .total = 9, .idle = 3 },
      0,
      0 },
    { "one has become busy", { 2, 20, 3, 0 }, { .total = 3, .idle = 2 }, 1, 0 },
    { "idle and starting are one reserve",
      { 2, 20, 3, 0 },
      { .total = 6, .idle = 1, .starting = 1 },
      1,
      0 },
    { "a burst that ate the reserve is met by doubling",
      { 2, 20, 3, 0 },
      { .total = 8 },
      8,
      0 },
    { "never more than the maximum", { 2, 20, 3, 0 }, { .total = 19 }, 1, 0 },
    { "nothing at the maximum", { 2, 20, 3, 0 }, { .total = 20 }, 0, 0 },
    { "nothing above the maximum, as after a reload",
      { 2, 20, 3, 0 },
      { .total = 25 },
      0,
      0 },
    { "32 at once are enough", { 2, 2000, 3, 0 }, { .total = 500 }, 32, 0 },
    { "a large minimum comes in portions",
      { 100, 200, 3, 0 },
      { .total = 0 },
      32,
      0 },
    { "without spare ones the minimum is kept",
      { 2, 20, 0, 0 },
      { .total = 1 },
      1,
      0 },
    { "without spare ones nothing grows",
      { 2, 20, 0, 0 },
      { .total = 2 },
      0,
      0 },
    { "a pool of none stays empty", { 0, 0, 0, 0 }, { 0 }, 0, 0 },
    { "the brake holds every start",
      { 2, 20, 3, 0 },
      { .brake_until_mono_ms = NOW + 1 },
      0,
      0 },
    { "the brake is broken for one when nobody is left",
      { 2, 20, 3, 0 },
      { .brake_until_mono_ms = NOW + 1, .may_rescue = true },
      1,
      0 },
    { "whoever leaves is nobody",
      { 2, 20, 3, 0 },
      { .total = 2,
        .leaving = 2,
        .brake_until_mono_ms = NOW + 1,
        .may_rescue = true },
      1,
      0 },
    { "but one at work is somebody",
      { 2, 20, 3, 0 },
      { .total = 1, .brake_until_mono_ms = NOW + 1, .may_rescue = true },
      0,
      0 },
    { "a rescue passes no maximum",
      { 2, 2, 3, 0 },
      { .total = 2,
        .leaving = 2,
        .brake_until_mono_ms = NOW + 1,
        .may_rescue = true },
      0,
      0 },
    { "without a brake a rescue is nothing special",
      { 2, 20, 3, 0 },
      { .may_rescue = true },
      3,
      0 },
    { "the brake is over in the very millisecond",
      { 2, 20, 3, 0 },
      { .brake_until_mono_ms = NOW },
      3,
      0 },

    { "a surplus goes after its time",
      { 2, 20, 3, 5000 },
      { .total = 10, .idle = 7, .surplus_since_mono_ms = NOW - 5000 },
      0,
      1 },
    { "one at a time",
      { 2, 20, 3, 5000 },
      { .total = 20, .idle = 20, .surplus_since_mono_ms = NOW - 9000 },
      0,
      1 },
    { "a surplus is kept a while",
      { 2, 20, 3, 5000 },
      { .total = 10, .idle = 7, .surplus_since_mono_ms = NOW - 4999 },
      0,
      0 },
    { "a surplus that was not noticed yet is kept",
      { 2, 20, 3, 5000 },
      { .total = 10, .idle = 7 },
      0,
      0 },
    { "twice the spare ones are no surplus",
      { 2, 20, 3, 5000 },
      { .total = 10, .idle = 6, .surplus_since_mono_ms = NOW - 9000 },
      0,
      0 },
    { "never below the minimum",
      { 10, 20, 3, 5000 },
      { .total = 10, .idle = 10, .surplus_since_mono_ms = NOW - 9000 },
      0,
      0 },
    { "the brake does not keep a surplus",
      { 2, 20, 3, 5000 },
      { .total = 10,
        .idle = 7,
        .surplus_since_mono_ms = NOW - 9000,
        .brake_until_mono_ms = NOW + 9 },
      0,
      1 },
};

static void
test_each_case_is_decided_as_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct plan_facts facts = cases[i].facts;
        struct plan_decision decision;

        facts.now_mono_ms = NOW;
        decision = plan_decide(&cases[i].limits, &facts);
        if (decision.start != cases[i].start ||
            decision.retire != cases[i].retire)
            fail_msg("%s: start %d retire %d", cases[i].story, decision.start,
                     decision.retire);
    }
}

/* Whatever the facts, a decision carried out is one to rest on. */
static void
test_no_decision_passes_a_limit_or_is_taken_back_at_once(void **state)
{
    (void)state;
    for (int total = 0; total <= 22; total++)
        for (int idle = 0; idle <= total; idle++) {
            struct plan_facts facts = { .total = total,
                                        .idle = idle,
                                        .surplus_since_mono_ms = 1,
                                        .now_mono_ms = NOW };
            const struct plan_decision first = plan_decide(&usual, &facts);

            assert_true(first.start == 0 || first.retire == 0);
            assert_true(first.start == 0 || total + first.start <= usual.max);
            assert_true(first.retire == 0 || total > usual.min);
            facts.total += first.start - first.retire;
            facts.idle += first.start - first.retire;
            if (first.retire > 0)
                assert_int_equal(plan_decide(&usual, &facts).start, 0);
            if (first.start > 0) {
                facts.surplus_since_mono_ms = NOW;
                assert_int_equal(plan_decide(&usual, &facts).retire, 0);
            }
        }
}

static void
test_a_burst_reaches_the_maximum_in_few_rounds(void **state)
{
    const struct plan_limits limits = { 8, 128, 4, 5000 };
    struct plan_facts facts = { .total = 8, .now_mono_ms = NOW };
    int rounds = 0;

    (void)state;
    while (facts.total < limits.max) {
        facts.total += plan_decide(&limits, &facts).start;
        assert_in_range(++rounds, 1, 7);
    }
    assert_int_equal(facts.total, limits.max);
}

static void
test_the_brake_doubles_from_one_second_to_thirty(void **state)
{
    static const int64_t expected_ms[] = { 1000,  2000,  4000, 8000,
                                           16000, 30000, 30000 };
    int64_t delay_ms = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(expected_ms); i++) {
        delay_ms = plan_brake_ms(500, delay_ms);
        assert_int_equal(delay_ms, expected_ms[i]);
    }
}

static void
test_a_child_that_lived_ten_seconds_releases_the_brake(void **state)
{
    (void)state;
    assert_int_equal(plan_brake_ms(9999, 0), 1000);
    assert_int_equal(plan_brake_ms(10000, 0), 0);
    assert_int_equal(plan_brake_ms(10000, 30000), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_case_is_decided_as_told),
        cmocka_unit_test(
            test_no_decision_passes_a_limit_or_is_taken_back_at_once),
        cmocka_unit_test(test_a_burst_reaches_the_maximum_in_few_rounds),
        cmocka_unit_test(test_the_brake_doubles_from_one_second_to_thirty),
        cmocka_unit_test(
            test_a_child_that_lived_ten_seconds_releases_the_brake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
