/*
 * test_breaker - app/guard/breaker by a table of what happens when, and
 * app/guard/breakers with processes that race and die.
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
#include "guard/breakers.h"
#include "metrics.h"

/* ---- the rules ----------------------------------------------------------- */

static const struct breaker_policy policy = { .failures = 3,
                                              .window_ms = 1000,
                                              .open_ms = 500 };

#define BEGAN_MS INT64_C(1000000)
#define LEASE_MS 2000

enum event { ASK, TELL };

/* One event after another, and the state after it. */
struct step {
    int64_t at_ms;
    enum event event;
    enum breaker_pass pass; /* ASK: what is answered; TELL: what was */
    enum breaker_news news;
    enum breaker_state after;
};

#define ASKED(at, pass, after) \
    { \
        at, ASK, BREAKER_##pass, BREAKER_UNKNOWN, BREAKER_##after \
    }
#define TOLD(at, pass, news, after) \
    { \
        at, TELL, BREAKER_##pass, BREAKER_##news, BREAKER_##after \
    }
#define OPENED \
    TOLD(0, PASSED, FAILED, CLOSED), TOLD(0, PASSED, FAILED, CLOSED), \
        TOLD(0, PASSED, FAILED, OPEN)
#define PROBED OPENED, ASKED(500, PROBING, HALF_OPEN)

struct breaker_case {
    const char *name;
    struct step steps[10];
    size_t count;
};

#define CASE(text, ...) \
    { \
        text, { __VA_ARGS__ }, \
            sizeof((struct step[]){ __VA_ARGS__ }) / sizeof(struct step) \
    }

/* clang-format off */
static const struct breaker_case cases[] = {
    CASE("three in a row open it",
         ASKED(0, PASSED, CLOSED), OPENED, ASKED(1, REFUSED, OPEN),
         ASKED(499, REFUSED, OPEN)),
    CASE("a success begins a new row",
         TOLD(0, PASSED, FAILED, CLOSED), TOLD(1, PASSED, FAILED, CLOSED),
         TOLD(2, PASSED, SERVED, CLOSED), TOLD(3, PASSED, FAILED, CLOSED),
         TOLD(4, PASSED, FAILED, CLOSED), TOLD(5, PASSED, FAILED, OPEN)),
    CASE("what proves nothing does not break the row",
         TOLD(0, PASSED, FAILED, CLOSED), TOLD(1, PASSED, FAILED, CLOSED),
         TOLD(2, PASSED, UNKNOWN, CLOSED), TOLD(5, PASSED, FAILED, OPEN)),
    CASE("a row that began long ago is forgotten",
         TOLD(0, PASSED, FAILED, CLOSED), TOLD(999, PASSED, FAILED, CLOSED),
         TOLD(1000, PASSED, FAILED, CLOSED), TOLD(1001, PASSED, FAILED, CLOSED),
         TOLD(1002, PASSED, FAILED, OPEN)),
    CASE("one probes, the others wait for it",
         PROBED, ASKED(501, REFUSED, HALF_OPEN)),
    CASE("a probe that succeeds closes it",
         PROBED, TOLD(600, PROBING, SERVED, CLOSED), ASKED(601, PASSED, CLOSED),
         TOLD(602, PASSED, FAILED, CLOSED)),
    CASE("a probe that fails opens it anew",
         PROBED, TOLD(600, PROBING, FAILED, OPEN), ASKED(1099, REFUSED, OPEN),
         ASKED(1100, PROBING, HALF_OPEN)),
    CASE("a probe that proves nothing lets the next one try at once",
         PROBED, TOLD(600, PROBING, UNKNOWN, OPEN),
         ASKED(600, PROBING, HALF_OPEN)),
    CASE("a prober that died is replaced when its lease is over",
         PROBED, ASKED(500 + LEASE_MS - 1, REFUSED, HALF_OPEN),
         ASKED(500 + LEASE_MS, PROBING, HALF_OPEN),
         ASKED(501 + LEASE_MS, REFUSED, HALF_OPEN)),
    CASE("late failures of those let go before do not matter",
         OPENED, TOLD(100, PASSED, FAILED, OPEN),
         TOLD(100, PASSED, UNKNOWN, OPEN), ASKED(500, PROBING, HALF_OPEN),
         TOLD(501, PASSED, FAILED, HALF_OPEN),
         TOLD(501, PASSED, UNKNOWN, HALF_OPEN), ASKED(502, REFUSED, HALF_OPEN)),
    CASE("a late success does",
         OPENED, TOLD(100, PASSED, SERVED, CLOSED), ASKED(101, PASSED, CLOSED)),
    CASE("a probe that tells too late does not disturb a closed one",
         PROBED, TOLD(600, PASSED, SERVED, CLOSED),
         TOLD(700, PROBING, UNKNOWN, CLOSED), ASKED(701, PASSED, CLOSED)),
};
/* clang-format on */

static void
check_step(const struct breaker_case *is, size_t number, uint64_t *word)
{
    const struct step *step = &is->steps[number];
    const int64_t now_ms = BEGAN_MS + step->at_ms;
    struct breaker breaker = breaker_unpack(*word);

    if (step->event == TELL)
        breaker_tell(&breaker, &policy, step->pass, step->news, now_ms);
    else if (breaker_ask(&breaker, now_ms, now_ms + LEASE_MS) != step->pass)
        fail_msg("%s: wrong answer in step %zu", is->name, number);
    if (breaker.state != step->after)
        fail_msg("%s: %s after step %zu", is->name,
                 breaker_state_name(breaker.state), number);
    *word = breaker_pack(&breaker);
}

static void
test_what_opens_and_closes_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t word = 0;

        for (size_t step = 0; step < cases[i].count; step++)
            check_step(&cases[i], step, &word);
    }
}

static void
test_all_of_it_fits_into_a_word(void **state)
{
    const struct breaker breaker = { BREAKER_OPEN, 1023, INT64_C(1) << 50 };
    const struct breaker again = breaker_unpack(breaker_pack(&breaker));

    (void)state;
    assert_int_equal(again.state, breaker.state);
    assert_int_equal(again.failures, breaker.failures);
    assert_int_equal(again.until_mono_ms, breaker.until_mono_ms);
    assert_int_equal(breaker_unpack(0).state, BREAKER_CLOSED);
}

static void
test_it_never_opens_when_it_is_switched_off(void **state)
{
    const struct breaker_policy off = { .failures = 0, .window_ms = 1000 };
    struct breaker breaker = { .state = BREAKER_CLOSED };

    (void)state;
    for (int i = 0; i < 3000; i++)
        breaker_tell(&breaker, &off, BREAKER_PASSED, BREAKER_FAILED, BEGAN_MS);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

/* ---- processes ----------------------------------------------------------- */

#define CHILDREN 16

static const struct breaker_policy hasty = { .failures = 2,
                                             .window_ms = 60000,
                                             .open_ms = 1 };

static void
wait_a_moment(void)
{
    const int64_t until = clock_mono_ms() + 2;

    while (clock_mono_ms() < until)
        continue;
}

static void
open_it(enum breakers_component component)
{
    for (int i = 0; i < 2; i++)
        breakers_tell(component, &hasty, BREAKER_PASSED, BREAKER_FAILED);
    assert_int_equal(breakers_state(component), BREAKER_OPEN);
    wait_a_moment();
}

/* Each child asks once and dies at once.  Returns how many probed. */
static int
ask_in_children(enum breakers_component component, size_t count,
                int64_t lease_mono_ms)
{
    pid_t pids[CHILDREN];
    int probers = 0;

    for (size_t i = 0; i < count; i++) {
        pids[i] = fork();
        assert_int_not_equal(pids[i], -1);
        if (pids[i] == 0)
            _exit(breakers_ask(component, &hasty, lease_mono_ms) ==
                  BREAKER_PROBING);
    }
    for (size_t i = 0; i < count; i++) {
        int how;

        assert_int_equal(waitpid(pids[i], &how, 0), pids[i]);
        assert_true(WIFEXITED(how));
        probers += WEXITSTATUS(how);
    }
    return probers;
}

static void
test_of_all_processes_one_probes(void **state)
{
    (void)state;
    open_it(BREAKERS_PRO);
    assert_int_equal(
        ask_in_children(BREAKERS_PRO, CHILDREN, clock_mono_ms() + 60000), 1);
    assert_int_equal(breakers_state(BREAKERS_PRO), BREAKER_HALF_OPEN);
    assert_int_equal(breakers_state(BREAKERS_FLASH), BREAKER_CLOSED);
    breakers_tell(BREAKERS_PRO, &hasty, BREAKER_PROBING, BREAKER_SERVED);
    assert_int_equal(breakers_state(BREAKERS_PRO), BREAKER_CLOSED);
}

static void
test_a_prober_that_died_does_not_block_for_ever(void **state)
{
    (void)state;
    open_it(BREAKERS_FLASH);
    assert_int_equal(ask_in_children(BREAKERS_FLASH, 1, clock_mono_ms() + 1),
                     1);
    wait_a_moment();
    assert_int_equal(
        breakers_ask(BREAKERS_FLASH, &hasty, clock_mono_ms() + 60000),
        BREAKER_PROBING);
    breakers_forget();
    assert_int_equal(breakers_state(BREAKERS_FLASH), BREAKER_CLOSED);
}

static void
test_changes_are_counted_once_and_shown(void **state)
{
    const struct counters *set = metrics_counters();
    const uint64_t before =
        counters_get(set, METRICS_CIRCUIT_OPENED, BREAKERS_PRO_FALLBACK);

    (void)state;
    open_it(BREAKERS_PRO_FALLBACK);
    breakers_tell(BREAKERS_PRO_FALLBACK, &hasty, BREAKER_PASSED,
                  BREAKER_FAILED);
    assert_int_equal(
        counters_get(set, METRICS_CIRCUIT_OPENED, BREAKERS_PRO_FALLBACK),
        before + 1);
    assert_int_equal(
        counters_get(set, METRICS_CIRCUIT_STATE, BREAKERS_PRO_FALLBACK),
        BREAKER_OPEN);
    breakers_tell(BREAKERS_PRO_FALLBACK, &hasty, BREAKER_PASSED,
                  BREAKER_SERVED);
    assert_int_equal(
        counters_get(set, METRICS_CIRCUIT_STATE, BREAKERS_PRO_FALLBACK),
        BREAKER_CLOSED);
}

static void
test_everybody_passes_where_it_is_switched_off(void **state)
{
    const struct breaker_policy off = { .failures = 0 };

    (void)state;
    open_it(BREAKERS_FLASH_FALLBACK);
    assert_int_equal(breakers_ask(BREAKERS_FLASH_FALLBACK, &off, 0),
                     BREAKER_PASSED);
    breakers_forget();
}

static int
share(void **state)
{
    (void)state;
    /* Before there is anything shared everybody passes. */
    if (breakers_ask(BREAKERS_PRO, &hasty, 0) != BREAKER_PASSED)
        return -1;
    return metrics_init(NULL) == 0 && breakers_init(NULL) == 0 ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_opens_and_closes_it),
        cmocka_unit_test(test_all_of_it_fits_into_a_word),
        cmocka_unit_test(test_it_never_opens_when_it_is_switched_off),
        cmocka_unit_test(test_of_all_processes_one_probes),
        cmocka_unit_test(test_a_prober_that_died_does_not_block_for_ever),
        cmocka_unit_test(test_changes_are_counted_once_and_shown),
        cmocka_unit_test(test_everybody_passes_where_it_is_switched_off),
    };

    return cmocka_run_group_tests(tests, share, NULL);
}
