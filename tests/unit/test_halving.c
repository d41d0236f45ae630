/* test_halving.c - every entry is tried, few times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ledger/halving.h"

#define COUNT 256

static bool bad[COUNT], settled[COUNT];

static bool
has_bad(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        if (bad[i])
            return true;
    return false;
}

/* The attempts it takes until each is settled, in their order, for what it is.
 */
static int
settle(size_t count)
{
    struct halving halving;
    int attempts = 0;
    size_t part;

    for (size_t i = 0; i < count; i++)
        settled[i] = false;
    halving_begin(&halving, count);
    while ((part = halving_part(&halving)) > 0) {
        const size_t at = halving.done;

        attempts++;
        assert_true(at + part <= count);
        if (!has_bad(at, part)) {
            halving_taken(&halving);
        } else if (!halving_refused(&halving)) {
            assert_int_equal(halving.done, at);
            continue;
        }
        assert_int_equal(halving.done, at + part);
        for (size_t i = at; i < at + part; i++) {
            assert_false(settled[i]);
            settled[i] = true;
        }
    }
    for (size_t i = 0; i < count; i++)
        assert_true(settled[i]);
    return attempts;
}

static int
set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        bad[i] = false;
    return 0;
}

static void
test_a_good_batch_is_one_attempt(void **state)
{
    (void)state;
    for (size_t count = 1; count <= COUNT; count++)
        assert_int_equal(settle(count), 1);
    assert_int_equal(settle(0), 0);
}

static void
test_one_bad_entry_costs_a_tenth_of_trying_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        bad[i] = true;
        assert_in_range(settle(COUNT), 2, 32);
        bad[i] = false;
    }
}

static void
test_the_last_of_a_batch_of_any_size_may_be_bad(void **state)
{
    (void)state;
    for (size_t count = 1; count <= COUNT; count++) {
        bad[count - 1] = true;
        settle(count);
        bad[count - 1] = false;
    }
}

static void
test_a_batch_of_bad_entries_costs_little_more_than_trying_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        bad[i] = true;
    assert_in_range(settle(COUNT), COUNT, COUNT + 8);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_good_batch_is_one_attempt),
        TEST(test_one_bad_entry_costs_a_tenth_of_trying_each),
        TEST(test_the_last_of_a_batch_of_any_size_may_be_bad),
        TEST(test_a_batch_of_bad_entries_costs_little_more_than_trying_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
