/*
 * test_adaptive - app/guard/adaptive by tables, and app/guard/timeouts with a
 * real histogram and processes that all want to decide.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "guard/adaptive.h"
#include "guard/timeouts.h"
#include "metrics.h"

#define FLASH 0
#define PRO   1

/* ---- the rules ----------------------------------------------------------- */

static const int64_t bounds_ms[] = { 1000, 2000, 5000 };

static void
test_the_95th_percentile_is_found_between_the_bounds(void **state)
{
    static const struct {
        uint64_t buckets[4];
        int64_t p95_ms;
    } cases[] = {
        { { 100, 0, 0, 0 }, 950 },    { { 0, 100, 0, 0 }, 1950 },
        { { 90, 10, 0, 0 }, 1500 },   { { 95, 5, 0, 0 }, 1000 },
        { { 94, 1, 5, 0 }, 2000 },    { { 0, 0, 10, 90 }, 5000 },
        { { 0, 0, 0, 1 }, 5000 },     { { 1, 0, 0, 0 }, 1000 },
        { { 900, 0, 100, 0 }, 3500 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(adaptive_p95_ms(cases[i].buckets, bounds_ms, 3),
                         cases[i].p95_ms);
}

static const struct adaptive_policy flash = { 250, 2000, 10000, 48000 };
static const struct adaptive_policy pro = { 225, 20000, 60000, 48000 };

static void
test_the_next_time_out_follows_slowly_within_its_bounds(void **state)
{
    static const struct {
        const struct adaptive_policy *policy;
        int64_t now_ms;
        int64_t p95_ms;
        int64_t next_ms;
    } cases[] = {
        { &flash, 5000, 2000, 5000 },  /* 2.5 times */
        { &pro, 45000, 20000, 45000 }, /* 2.25 times */
        { &flash, 5000, 2200, 5500 },  { &flash, 5000, 1800, 4500 },
        { &flash, 5000, 3900, 6000 },  /* a fifth up at most */
        { &flash, 5000, 500, 4000 },   /* a fifth down at most */
        { &flash, 2100, 500, 2000 },   /* no lower */
        { &flash, 9900, 9000, 10000 }, /* no higher */
        { &flash, 1000, 100, 1200 },   /* below its bounds: towards them */
        { &flash, 20000, 100, 16000 }, { &pro, 45000, 30000, 48000 },
        { &pro, 60000, 30000, 48000 }, /* what the run leaves wins */
        { &pro, 20000, 0, 20000 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (adaptive_next_ms(cases[i].policy, cases[i].now_ms,
                             cases[i].p95_ms) != cases[i].next_ms)
            fail_msg("case %zu: %lld", i,
                     (long long)adaptive_next_ms(
                         cases[i].policy, cases[i].now_ms, cases[i].p95_ms));
}

/* When all run out of time the limit must rise, or it would feed on itself. */
static void
test_time_outs_alone_raise_the_limit(void **state)
{
    int64_t limit_ms = 2000;

    (void)state;
    for (int i = 0; i < 20; i++)
        limit_ms = adaptive_next_ms(&flash, limit_ms, limit_ms);
    assert_int_equal(limit_ms, 10000);
}

/* ---- the host ------------------------------------------------------------ */

static const struct config adaptive = {
    .flash = { .timeout_ms = 5000,
               .timeout_min_ms = 2000,
               .timeout_max_ms = 10000 },
    .pro = { .timeout_ms = 45000,
             .timeout_min_ms = 20000,
             .timeout_max_ms = 60000 },
    .run_deadline_ms = 50000,
    .audit_share_ms = 2000,
    .adaptive_timeouts = true,
    .adaptive_interval_ms = 50,
};

static void
observe(size_t role, size_t count, int64_t took_ms)
{
    for (size_t i = 0; i < count; i++)
        metrics_observe(METRICS_CALL_DURATION, role, took_ms);
}

static int64_t
shown_ms(size_t role)
{
    return (int64_t)counters_get(metrics_counters(), METRICS_TIMEOUT, role);
}

static void
wait_an_interval(void)
{
    const int64_t until = clock_mono_ms() + adaptive.adaptive_interval_ms;

    while (clock_mono_ms() < until)
        usleep(1000);
}

/* Everything from zero. */
static int
begin(void **state)
{
    struct counters *before = metrics_counters();

    (void)state;
    if (metrics_init(NULL) == -1 || timeouts_init(NULL) == -1)
        return -1;
    counters_free(before);
    timeouts_begin(&adaptive);
    return 0;
}

static void
test_a_few_calls_say_nothing(void **state)
{
    struct timeouts_change change;

    (void)state;
    observe(FLASH, ADAPTIVE_MIN_CALLS - 1, 100);
    assert_false(timeouts_learn(FLASH, &adaptive, &change));
    assert_int_equal(timeouts_ms(FLASH, &adaptive), 5000);
    observe(FLASH, 1, 100);
    assert_true(timeouts_learn(FLASH, &adaptive, &change));
    assert_int_equal(change.from_ms, 5000);
    assert_int_equal(change.to_ms, 4000);
    assert_int_equal(change.calls, ADAPTIVE_MIN_CALLS);
    assert_in_range(change.p95_ms, 90, 100);
    assert_int_equal(timeouts_ms(FLASH, &adaptive), 4000);
    assert_int_equal(shown_ms(FLASH), 4000);
    assert_int_equal(timeouts_ms(PRO, &adaptive), 45000);
    assert_int_equal(shown_ms(PRO), 45000);
}

static void
test_each_decision_needs_an_interval_and_new_calls(void **state)
{
    struct timeouts_change change;

    (void)state;
    observe(PRO, 200, 21000);
    assert_true(timeouts_learn(PRO, &adaptive, &change));
    observe(PRO, 200, 21000);
    assert_false(timeouts_learn(PRO, &adaptive, &change));
    wait_an_interval();
    observe(PRO, 9800, 1000);
    assert_true(timeouts_learn(PRO, &adaptive, &change));
    assert_int_equal(change.calls, 10000); /* those of before do not count */
    assert_in_range(change.p95_ms, 900, 1000);
    wait_an_interval();
    assert_false(timeouts_learn(PRO, &adaptive, &change));
}

static void
test_what_stays_as_it_is_is_no_change(void **state)
{
    struct timeouts_change change;

    (void)state;
    observe(FLASH, 95, 1800);
    observe(FLASH, 5, 4500); /* the 95th of 100 is at the bound of 2 s */
    assert_false(timeouts_learn(FLASH, &adaptive, &change));
    assert_int_equal(change.p95_ms, 2000);
    assert_int_equal(timeouts_ms(FLASH, &adaptive), 5000);
}

static void
test_of_all_processes_one_decides(void **state)
{
    struct timeouts_change change;
    pid_t pids[16];
    int deciders = 0;

    (void)state;
    observe(FLASH, 1000, 100);
    for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
        pids[i] = fork();
        assert_int_not_equal(pids[i], -1);
        if (pids[i] == 0) {
            struct config patient = adaptive;

            patient.adaptive_interval_ms = 3600000;
            _exit(timeouts_learn(FLASH, &patient, &change));
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
        int how;

        assert_int_equal(waitpid(pids[i], &how, 0), pids[i]);
        assert_true(WIFEXITED(how));
        deciders += WEXITSTATUS(how);
    }
    assert_int_equal(deciders, 1);
    assert_int_equal(timeouts_ms(FLASH, &adaptive), 4000); /* all follow */
}

static void
test_a_new_configuration_starts_from_its_own(void **state)
{
    struct config next = adaptive;
    struct timeouts_change change;

    (void)state;
    observe(FLASH, 100, 100);
    assert_true(timeouts_learn(FLASH, &adaptive, &change));
    next.flash.timeout_ms = 7000;
    timeouts_begin(&next);
    assert_int_equal(timeouts_ms(FLASH, &next), 7000);
    assert_int_equal(shown_ms(FLASH), 7000);
}

static void
test_nothing_is_learned_unless_it_is_switched_on(void **state)
{
    struct config fixed = adaptive;
    struct timeouts_change change;

    (void)state;
    fixed.adaptive_timeouts = false;
    observe(FLASH, 100, 100);
    assert_false(timeouts_learn(FLASH, &fixed, &change));
    assert_true(timeouts_learn(FLASH, &adaptive, &change));
    assert_int_equal(timeouts_ms(FLASH, &fixed), 5000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_95th_percentile_is_found_between_the_bounds),
        cmocka_unit_test(
            test_the_next_time_out_follows_slowly_within_its_bounds),
        cmocka_unit_test(test_time_outs_alone_raise_the_limit),
        cmocka_unit_test_setup(test_a_few_calls_say_nothing, begin),
        cmocka_unit_test_setup(
            test_each_decision_needs_an_interval_and_new_calls, begin),
        cmocka_unit_test_setup(test_what_stays_as_it_is_is_no_change, begin),
        cmocka_unit_test_setup(test_of_all_processes_one_decides, begin),
        cmocka_unit_test_setup(test_a_new_configuration_starts_from_its_own,
                               begin),
        cmocka_unit_test_setup(test_nothing_is_learned_unless_it_is_switched_on,
                               begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
