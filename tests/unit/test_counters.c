#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sys/counters.h"

void *__real_malloc(size_t len);
void *__wrap_malloc(size_t len);

static bool malloc_fails;

void *
__wrap_malloc(size_t len)
{
    return malloc_fails ? NULL : __real_malloc(len);
}

enum { REQUESTS, WORKERS, SECONDS, BYTES };

static const char *const models[] = { "model=\"flash\"", "model=\"pro\"" };
static const int64_t second_bounds[] = { 10, 100, 1000 };
static const int64_t byte_bounds[] = { 5 };

static const struct counters_family families[] = {
    [REQUESTS] = { .name = "requests_total",
                   .kind = COUNTERS_COUNTER,
                   .labels = models,
                   .label_count = 2 },
    [WORKERS] = { .name = "workers", .kind = COUNTERS_GAUGE },
    [SECONDS] = { .name = "seconds",
                  .kind = COUNTERS_HISTOGRAM,
                  .labels = models,
                  .label_count = 2,
                  .bounds = second_bounds,
                  .bound_count = 3 },
    [BYTES] = { .name = "bytes",
                .kind = COUNTERS_HISTOGRAM,
                .bounds = byte_bounds,
                .bound_count = 1 },
};

static int
set_up(void **state)
{
    *state = counters_new(families, ARRAY_LEN(families), NULL);
    return *state == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
    counters_free(*state);
    return 0;
}

static void
test_all_begins_at_zero(void **state)
{
    assert_int_equal(counters_get(*state, REQUESTS, 0), 0);
    assert_int_equal(counters_get(*state, SECONDS, 1), 0);
    assert_int_equal(counters_sum(*state, SECONDS, 1), 0);
}

static void
test_no_series_touches_another(void **state)
{
    struct counters *set = *state;

    counters_add(set, REQUESTS, 0, 1);
    counters_add(set, REQUESTS, 1, 20);
    counters_set(set, WORKERS, 0, 300);
    counters_observe(set, SECONDS, 0, 4000);
    counters_observe(set, SECONDS, 1, 50000);
    counters_observe(set, BYTES, 0, 600000);
    assert_int_equal(counters_get(set, REQUESTS, 0), 1);
    assert_int_equal(counters_get(set, REQUESTS, 1), 20);
    assert_int_equal(counters_get(set, WORKERS, 0), 300);
    assert_int_equal(counters_sum(set, SECONDS, 0), 4000);
    assert_int_equal(counters_sum(set, SECONDS, 1), 50000);
    assert_int_equal(counters_sum(set, BYTES, 0), 600000);
    assert_int_equal(counters_get(set, SECONDS, 0), 1);
    assert_int_equal(counters_get(set, SECONDS, 1), 1);
    assert_int_equal(counters_get(set, BYTES, 0), 1);
    assert_int_equal(counters_bucket(set, SECONDS, 0, 3), 1);
    assert_int_equal(counters_bucket(set, SECONDS, 1, 3), 1);
    assert_int_equal(counters_bucket(set, BYTES, 0, 1), 1);
}

static void
test_a_gauge_goes_up_and_down_and_below_zero(void **state)
{
    counters_set(*state, WORKERS, 0, 7);
    counters_set(*state, WORKERS, 0, -2);
    assert_int_equal((int64_t)counters_get(*state, WORKERS, 0), -2);
    counters_add(*state, WORKERS, 0, 3);
    assert_int_equal((int64_t)counters_get(*state, WORKERS, 0), 1);
}

static void
test_a_bound_belongs_to_the_bucket_below_it(void **state)
{
    static const int64_t values[] = { -1, 0, 10, 11, 100, 101, 1000, 1001 };
    static const uint64_t expected[] = { 3, 2, 2, 1 };

    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        counters_observe(*state, SECONDS, 1, values[i]);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_int_equal(counters_bucket(*state, SECONDS, 1, i), expected[i]);
    assert_int_equal(counters_get(*state, SECONDS, 1), 8);
    assert_int_equal(counters_sum(*state, SECONDS, 1), 2222);
}

#define CHILDREN 4
#define ROUNDS   20000

static void
test_nothing_is_lost_when_processes_count_at_once(void **state)
{
    pid_t children[CHILDREN];

    for (size_t i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] != 0)
            continue;
        for (int round = 0; round < ROUNDS; round++) {
            counters_add(*state, REQUESTS, 1, 2);
            counters_observe(*state, SECONDS, 0, 5);
        }
        raise(SIGKILL);
    }
    for (size_t i = 0; i < CHILDREN; i++)
        assert_int_equal(waitpid(children[i], NULL, 0), children[i]);
    assert_int_equal(counters_get(*state, REQUESTS, 1), CHILDREN * ROUNDS * 2);
    assert_int_equal(counters_get(*state, SECONDS, 0), CHILDREN * ROUNDS);
    assert_int_equal(counters_sum(*state, SECONDS, 0), CHILDREN * ROUNDS * 5);
}

static void
test_a_set_switched_off_does_nothing(void **state)
{
    (void)state;
    counters_add(NULL, REQUESTS, 0, 1);
    counters_set(NULL, WORKERS, 0, 1);
    counters_observe(NULL, SECONDS, 0, 1);
    assert_int_equal(counters_get(NULL, REQUESTS, 0), 0);
    assert_int_equal(counters_bucket(NULL, SECONDS, 0, 0), 0);
    assert_int_equal(counters_sum(NULL, SECONDS, 0), 0);
    counters_free(NULL);
}

static void
test_without_memory_there_is_no_set(void **state)
{
    struct err err = { 0 };
    struct counters *set;

    (void)state;
    malloc_fails = true;
    set = counters_new(families, ARRAY_LEN(families), &err);
    malloc_fails = false;
    assert_null(set);
    assert_int_equal(err.kind, ERR_NOMEM);
}

static void
test_without_shared_memory_there_is_no_set(void **state)
{
    static const struct counters_family huge = { .name = "huge",
                                                 .kind = COUNTERS_COUNTER,
                                                 .label_count = SIZE_MAX / 32 };
    struct err err = { 0 };

    (void)state;
    assert_null(counters_new(&huge, 1, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_begins_at_zero),
        TEST(test_no_series_touches_another),
        TEST(test_a_gauge_goes_up_and_down_and_below_zero),
        TEST(test_a_bound_belongs_to_the_bucket_below_it),
        TEST(test_nothing_is_lost_when_processes_count_at_once),
        cmocka_unit_test(test_a_set_switched_off_does_nothing),
        cmocka_unit_test(test_without_memory_there_is_no_set),
        cmocka_unit_test(test_without_shared_memory_there_is_no_set),
    };

    return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
