/* test_request.c - what is let in, and what is said to the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ask/request.h"

static const struct request_limits limits = { .max_query_chars = 10,
                                              .default_words = VOCAB_CLASSIC };

struct refusal {
    const char *body;
    const char *query_events;
    int status;
    const char *code;
};

static const struct refusal refusals[] = {
    { "", NULL, 400, "bad_json" },
    { "{", NULL, 400, "bad_json" },
    { "{\"query\":\"x\"} tail", NULL, 400, "bad_json" },
    { "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", NULL, 400, "bad_json" },
    { "[]", NULL, 422, "invalid_body" },
    { "\"query\"", NULL, 422, "invalid_body" },
    { "{}", NULL, 422, "missing_query" },
    { "{\"query\":7}", NULL, 422, "invalid_query" },
    { "{\"query\":null}", NULL, 422, "invalid_query" },
    { "{\"query\":\"\"}", NULL, 422, "invalid_query" },
    { "{\"query\":\" \\n\\t\"}", NULL, 422, "invalid_query" },
    { "{\"query\":\"12345678901\"}", NULL, 422, "query_too_long" },
    { "{\"query\":\"x\",\"context\":[]}", NULL, 422, "invalid_context" },
    { "{\"query\":\"x\",\"context\":\"y\"}", NULL, 422, "invalid_context" },
    { "{\"query\":\"x\",\"user\":5}", NULL, 422, "invalid_user" },
    { "{\"query\":\"x\",\"events\":\"all\"}", NULL, 422, "invalid_events" },
    { "{\"query\":\"x\",\"events\":5}", NULL, 422, "invalid_events" },
    { "{\"query\":\"x\"}", "all", 422, "invalid_events" },
    { "{\"query\":\"x\",\"on_disconnect\":\"stay\"}", NULL, 422,
      "invalid_on_disconnect" },
    { "{\"query\":\"x\",\"on_disconnect\":true}", NULL, 422,
      "invalid_on_disconnect" },
};

static int
parse(struct request *request, const char *body, const char *query_events,
      struct request_fault *fault)
{
    return request_parse(request, body, strlen(body), query_events, &limits,
                         fault);
}

static void
test_each_mistake_has_its_status_and_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        const struct refusal *one = &refusals[i];
        struct request_fault fault = { 0 };
        struct request request;

        if (parse(&request, one->body, one->query_events, &fault) != -1)
            fail_msg("taken: %s", one->body);
        if (fault.status != one->status || strcmp(fault.code, one->code) != 0)
            fail_msg("%s: %d %s", one->body, fault.status, fault.code);
        assert_null(request.root);
    }
}

static void
test_a_whole_request_is_taken(void **state)
{
    struct request_fault fault;
    struct request request;

    (void)state;
    assert_int_equal(parse(&request,
                           "{\"query\":\"why?\",\"context\":{\"a\":1},"
                           "\"user\":\"u1\",\"events\":\"both\",\"more\":1}",
                           "staged", &fault),
                     0);
    assert_string_equal(request.query, "why?");
    assert_int_equal(request.query_len, 4);
    assert_int_equal(json_object_size(request.context), 1);
    assert_string_equal(request.user, "u1");
    assert_int_equal(request.words, VOCAB_BOTH);
    assert_false(request.cleaned);
    request_close(&request);
    request_close(&request);
}

static void
test_an_empty_or_missing_context_is_no_context(void **state)
{
    static const char *const bodies[] = {
        "{\"query\":\"x\"}",
        "{\"query\":\"x\",\"context\":{}}",
        "{\"query\":\"x\",\"context\":null}",
    };
    struct request_fault fault;
    struct request request;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        assert_int_equal(parse(&request, bodies[i], NULL, &fault), 0);
        assert_null(request.context);
        assert_null(request.user);
        request_close(&request);
    }
}

static void
test_the_member_wins_over_the_query_string_and_that_over_the_default(
    void **state)
{
    struct request_fault fault;
    struct request request;

    (void)state;
    assert_int_equal(parse(&request, "{\"query\":\"x\"}", NULL, &fault), 0);
    assert_int_equal(request.words, VOCAB_CLASSIC);
    request_close(&request);
    assert_int_equal(parse(&request, "{\"query\":\"x\"}", "staged", &fault), 0);
    assert_int_equal(request.words, VOCAB_STAGED);
    request_close(&request);
    assert_int_equal(parse(&request, "{\"query\":\"x\",\"events\":\"classic\"}",
                           "staged", &fault),
                     0);
    assert_int_equal(request.words, VOCAB_CLASSIC);
    request_close(&request);
}

static void
test_a_run_outlives_its_client_when_asked_to(void **state)
{
    static const struct {
        const char *body;
        bool outlives_client;
    } requests[] = {
        { "{\"query\":\"x\"}", false },
        { "{\"query\":\"x\",\"on_disconnect\":null}", false },
        { "{\"query\":\"x\",\"on_disconnect\":\"cancel\"}", false },
        { "{\"query\":\"x\",\"on_disconnect\":\"continue\"}", true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct request_fault fault;
        struct request request;

        assert_int_equal(parse(&request, requests[i].body, NULL, &fault), 0);
        assert_int_equal(request.outlives_client, requests[i].outlives_client);
        request_close(&request);
    }
}

static void
test_length_counts_characters_not_bytes(void **state)
{
    struct request_fault fault;
    struct request request;

    (void)state;
    assert_int_equal(
        parse(&request,
              "{\"query\":\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
              "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"}",
              NULL, &fault),
        0);
    assert_int_equal(request.query_len, 20);
    request_close(&request);
}

static void
test_what_cannot_be_stored_is_cleaned_and_said_so(void **state)
{
    struct request_fault fault;
    struct request request;

    (void)state;
    assert_int_equal(parse(&request, "{\"query\":\"a\\ud83dz\"}", NULL, &fault),
                     0);
    assert_true(request.cleaned);
    assert_string_equal(request.query, "a\xef\xbf\xbdz");
    request_close(&request);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_mistake_has_its_status_and_code),
        cmocka_unit_test(test_a_whole_request_is_taken),
        cmocka_unit_test(test_an_empty_or_missing_context_is_no_context),
        cmocka_unit_test(
            test_the_member_wins_over_the_query_string_and_that_over_the_default),
        cmocka_unit_test(test_a_run_outlives_its_client_when_asked_to),
        cmocka_unit_test(test_length_counts_characters_not_bytes),
        cmocka_unit_test(test_what_cannot_be_stored_is_cleaned_and_said_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
