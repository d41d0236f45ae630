/*
 * test_retry - app/model/retry: tables of what providers ask for, of when a
 * model is asked again, and of what each failure says of its provider.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/attr.h"
#include "model/retry.h"

/* ---- what the provider asks for ------------------------------------------ */

#define RETRY_INFO(delay) \
    "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\"," \
    "\"retryDelay\":\"" delay "\"}"
#define QUOTA(id) \
    "{\"@type\":\"type.googleapis.com/google.rpc.QuotaFailure\"," \
    "\"violations\":[{\"quotaId\":\"x\"},{\"quotaId\":\"" id "\"}]}"
#define DETAILS(list) "{\"code\":429,\"details\":[" list "]}"

static void
test_an_error_may_name_a_delay(void **state)
{
    static const struct {
        const char *error;
        int64_t delay_ms;
    } cases[] = {
        { DETAILS(RETRY_INFO("36.429760048s")), 36430 },
        { DETAILS(RETRY_INFO("0.5s")), 500 },
        { DETAILS(RETRY_INFO("0s")), 0 },
        { DETAILS(QUOTA("PerMinute") "," RETRY_INFO("2s")), 2000 },
        { DETAILS(QUOTA("RequestsPerDayPerProject") "," RETRY_INFO("2s")),
          RETRY_NEVER },
        { DETAILS(RETRY_INFO("2s") "," QUOTA("RequestsPerDayPerProject")),
          RETRY_NEVER },
        { DETAILS(RETRY_INFO("-1s")), RETRY_NOT_SAID },
        { DETAILS(RETRY_INFO("s")), RETRY_NOT_SAID },
        { DETAILS(RETRY_INFO("2")), RETRY_NOT_SAID },
        { DETAILS(RETRY_INFO("999999999999999999999s")), RETRY_NOT_SAID },
        { DETAILS(RETRY_INFO(
              "00000000000000000000000000000000000000000000000001s")),
          RETRY_NOT_SAID },
        { DETAILS("{\"@type\":\"google.rpc.RetryInfo\",\"retryDelay\":2}"),
          RETRY_NOT_SAID },
        { DETAILS("{\"retryDelay\":\"2s\"}"), RETRY_NOT_SAID },
        { DETAILS("7"), RETRY_NOT_SAID },
        { "{\"code\":\"insufficient_quota\"}", RETRY_NEVER },
        { "{\"type\":\"insufficient_quota\"}", RETRY_NEVER },
        { "{\"code\":\"rate_limit_exceeded\"}", RETRY_NOT_SAID },
        { "[]", RETRY_NOT_SAID },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *error = json_loads(cases[i].error, 0, NULL);

        assert_non_null(error);
        if (retry_delay_of_error(error) != cases[i].delay_ms)
            fail_msg("%s", cases[i].error);
        json_decref(error);
    }
    assert_int_equal(retry_delay_of_error(NULL), RETRY_NOT_SAID);
}

static void
test_a_header_may_name_a_delay(void **state)
{
    /* Sun, 06 Nov 1994 08:49:37 GMT */
    const int64_t now_unix_us = INT64_C(784111777) * 1000000;
    static const struct {
        const char *line;
        int64_t delay_ms;
    } cases[] = {
        { "Retry-After: 3", 3000 },
        { "retry-after:3", 3000 },
        { "RETRY-AFTER: \t 0 ", 0 },
        { "Retry-After: 1.5", 1500 },
        { "Retry-After: 1000000000000000", RETRY_NOT_SAID },
        { "Retry-After: Sun, 06 Nov 1994 08:49:47 GMT", 10000 },
        { "Retry-After: Sun, 06 Nov 1994 08:49:00 GMT", 0 },
        { "Retry-After: Sun, 06 Nov 1994 08:49:47 GMT, or so", RETRY_NOT_SAID },
        { "Retry-After: soon", RETRY_NOT_SAID },
        { "Retry-After: -1", RETRY_NOT_SAID },
        { "Retry-After: 1e9", RETRY_NOT_SAID },
        { "Retry-After:", RETRY_NOT_SAID },
        { "Retry-After", RETRY_NOT_SAID },
        { "X-Retry-After: 3", RETRY_NOT_SAID },
        { "Retry-After: 00000000000000000000000000000000000000000000000000"
          "00000000000003",
          RETRY_NOT_SAID },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (retry_delay_of_header(cases[i].line, strlen(cases[i].line),
                                  now_unix_us) != cases[i].delay_ms)
            fail_msg("%s", cases[i].line);
    assert_int_equal(retry_delay_of_header("Retry-After: 34", 14, 0), 3000);
}

/* ---- whether and when ---------------------------------------------------- */

static const struct retry_policy twice = { .retries = 2, .pause_ms = 1000 };

static struct retry_facts
failed_with(enum failure failure)
{
    return (struct retry_facts){ .failure = failure,
                                 .asked_delay_ms = RETRY_NOT_SAID,
                                 .left_ms = 60000 };
}

static void
test_only_what_passes_and_cost_nothing_is_tried_again(void **state)
{
    static const bool passes[FAILURE_COUNT] = {
        [FAILURE_RATE_LIMITED] = true,
        [FAILURE_HTTP_503] = true,
        [FAILURE_CONNECT] = true,
        [FAILURE_CONNECTION_LOST] = true,
    };

    (void)state;
    for (enum failure failure = 0; failure < FAILURE_COUNT; failure++) {
        struct retry_facts facts = failed_with(failure);

        if ((retry_wait_ms(&twice, &facts) >= 0) != passes[failure])
            fail_msg("%s", failure_name(failure));
        facts.had_substance = true;
        assert_int_equal(retry_wait_ms(&twice, &facts), -1);
    }
}

static void
test_pauses_double_until_the_retries_are_used_up(void **state)
{
    struct retry_facts facts = failed_with(FAILURE_HTTP_503);

    (void)state;
    assert_int_equal(retry_wait_ms(&twice, &facts), 1000);
    facts.retries_done = 1;
    assert_int_equal(retry_wait_ms(&twice, &facts), 2000);
    facts.retries_done = 2;
    assert_int_equal(retry_wait_ms(&twice, &facts), -1);
    facts.retries_done = 0;
    assert_int_equal(
        retry_wait_ms(&(struct retry_policy){ .pause_ms = 1000 }, &facts), -1);
}

static void
test_chance_spreads_a_pause_by_a_quarter_at_most(void **state)
{
    struct retry_facts facts = failed_with(FAILURE_RATE_LIMITED);
    int64_t longest_ms = 0;

    (void)state;
    for (facts.chance = 0; facts.chance < 1000; facts.chance++) {
        const int64_t wait_ms = retry_wait_ms(&twice, &facts);

        assert_in_range(wait_ms, 1000, 1250);
        longest_ms = wait_ms > longest_ms ? wait_ms : longest_ms;
    }
    assert_in_range(longest_ms, 1200, 1250);
}

static void
test_the_provider_names_the_pause(void **state)
{
    struct retry_facts facts = failed_with(FAILURE_RATE_LIMITED);

    (void)state;
    facts.asked_delay_ms = 5000;
    assert_int_equal(retry_wait_ms(&twice, &facts), 5000);
    facts.asked_delay_ms = 0;
    assert_int_equal(retry_wait_ms(&twice, &facts), 0);
    facts.asked_delay_ms = RETRY_NEVER;
    assert_int_equal(retry_wait_ms(&twice, &facts), -1);
    facts.left_ms = INT64_MAX;
    facts.chance = 63;
    assert_int_equal(retry_wait_ms(&twice, &facts), -1);
}

static void
test_no_pause_outlasts_those_who_wait(void **state)
{
    struct retry_facts facts = failed_with(FAILURE_HTTP_503);

    (void)state;
    facts.left_ms = 1001;
    assert_int_equal(retry_wait_ms(&twice, &facts), 1000);
    facts.left_ms = 1000;
    assert_int_equal(retry_wait_ms(&twice, &facts), -1);
    facts.asked_delay_ms = 0;
    facts.left_ms = 0;
    assert_int_equal(retry_wait_ms(&twice, &facts), -1);
}

static void
test_a_kept_connection_that_was_dead_costs_no_pause(void **state)
{
    struct retry_facts facts = failed_with(FAILURE_CONNECTION_LOST);

    (void)state;
    facts.was_kept_connection = true;
    assert_int_equal(retry_wait_ms(&twice, &facts), 0);
    facts.retries_done = 1;
    assert_int_equal(retry_wait_ms(&twice, &facts), 2000);
    facts = failed_with(FAILURE_HTTP_503);
    facts.was_kept_connection = true;
    assert_int_equal(retry_wait_ms(&twice, &facts), 1000);
}

/* ---- what a failure means ------------------------------------------------ */

static void
test_a_fallback_helps_where_the_model_is_not_to_be_had(void **state)
{
    static const bool helps[FAILURE_COUNT] = {
        [FAILURE_RATE_LIMITED] = true,    [FAILURE_HTTP_503] = true,
        [FAILURE_HTTP_5XX] = true,        [FAILURE_CONNECT] = true,
        [FAILURE_CONNECTION_LOST] = true, [FAILURE_CONNECT_TIMEOUT] = true,
        [FAILURE_MODEL_NOT_FOUND] = true, [FAILURE_CIRCUIT_OPEN] = true,
    };

    (void)state;
    for (enum failure failure = 0; failure < FAILURE_COUNT; failure++)
        if (retry_may_fall_back(failure) != helps[failure])
            fail_msg("%s", failure_name(failure));
}

static void
test_a_failure_says_whether_its_provider_is_there(void **state)
{
    static const struct {
        enum failure failure;
        long http_status;
        enum breaker_news news;
    } cases[] = {
        { FAILURE_NONE, 200, BREAKER_SERVED },
        { FAILURE_BLOCKED, 200, BREAKER_SERVED },
        { FAILURE_RATE_LIMITED, 429, BREAKER_SERVED },
        { FAILURE_AUTH, 401, BREAKER_SERVED },
        { FAILURE_MODEL_NOT_FOUND, 404, BREAKER_SERVED },
        { FAILURE_HTTP_5XX, 500, BREAKER_SERVED },
        { FAILURE_HTTP_5XX, 502, BREAKER_FAILED },
        { FAILURE_HTTP_503, 503, BREAKER_FAILED },
        { FAILURE_HTTP_503, 200, BREAKER_FAILED },
        { FAILURE_CONNECT, 0, BREAKER_FAILED },
        { FAILURE_CONNECT_TIMEOUT, 0, BREAKER_FAILED },
        { FAILURE_CONNECTION_LOST, 0, BREAKER_FAILED },
        { FAILURE_TLS, 0, BREAKER_FAILED },
        { FAILURE_TOTAL_TIMEOUT, 0, BREAKER_FAILED },
        { FAILURE_FIRST_TOKEN_TIMEOUT, 0, BREAKER_FAILED },
        { FAILURE_TOTAL_TIMEOUT, 200, BREAKER_UNKNOWN },
        { FAILURE_FIRST_TOKEN_TIMEOUT, 200, BREAKER_UNKNOWN },
        { FAILURE_IDLE_TIMEOUT, 200, BREAKER_UNKNOWN },
        { FAILURE_STREAM_CUT, 200, BREAKER_UNKNOWN },
        { FAILURE_TOKEN, 0, BREAKER_UNKNOWN },
        { FAILURE_CANCELLED, 0, BREAKER_UNKNOWN },
        { FAILURE_CANCELLED, 200, BREAKER_UNKNOWN },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (failure_news(cases[i].failure, cases[i].http_status) !=
            cases[i].news)
            fail_msg("%s %ld", failure_name(cases[i].failure),
                     cases[i].http_status);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_error_may_name_a_delay),
        cmocka_unit_test(test_a_header_may_name_a_delay),
        cmocka_unit_test(test_only_what_passes_and_cost_nothing_is_tried_again),
        cmocka_unit_test(test_pauses_double_until_the_retries_are_used_up),
        cmocka_unit_test(test_chance_spreads_a_pause_by_a_quarter_at_most),
        cmocka_unit_test(test_the_provider_names_the_pause),
        cmocka_unit_test(test_no_pause_outlasts_those_who_wait),
        cmocka_unit_test(test_a_kept_connection_that_was_dead_costs_no_pause),
        cmocka_unit_test(
            test_a_fallback_helps_where_the_model_is_not_to_be_had),
        cmocka_unit_test(test_a_failure_says_whether_its_provider_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
