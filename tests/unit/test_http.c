/*
 * test_http - lib/client/http: how calls end, against a server that
 * misbehaves on request.  test_http_time has what is about waiting.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "client/http.h"
#include "support/fake_http.h"
#include "support/http_fixture.h"

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static int faults_after = -1;

void *
__wrap_calloc(size_t count, size_t size)
{
    if (faults_after >= 0 && faults_after-- == 0)
        return NULL;
    return __real_calloc(count, size);
}

/* ---- what the server does ----------------------------------------------- */

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
#define CHUNKED OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"

#define STEPS static const struct fake_step

STEPS ok[] = { FAKE_TEXT(OK_HEAD "Content-Length: 5\r\n\r\nhello"), { 0 } };
STEPS echo[] = { { .what = FAKE_ECHO }, { 0 } };
STEPS silence[] = { FAKE_TEXT(CHUNKED "5\r\nfirst\r\n"),
                    { .what = FAKE_HANG },
                    { 0 } };
STEPS big[] = { FAKE_TEXT(OK_HEAD "Content-Length: 3145728\r\n\r\n"),
                { .what = FAKE_FILL, .count = 3 * MEGABYTE },
                { 0 } };
STEPS huge[] = { FAKE_TEXT(OK_HEAD "\r\n"),
                 { .what = FAKE_FILL, .count = 64 * MEGABYTE },
                 { .what = FAKE_CLOSE },
                 { 0 } };
STEPS endless_head[] = { FAKE_TEXT("HTTP/1.1 200 OK\r\n"),
                         FAKE_TEXT("A: b\r\nC: "),
                         { .what = FAKE_FILL, .count = 70000 },
                         FAKE_TEXT("\r\n\r\n"),
                         { .what = FAKE_HANG },
                         { 0 } };
STEPS cut_chunk[] = { FAKE_TEXT(CHUNKED "9\r\nhalf"),
                      { .what = FAKE_CLOSE },
                      { 0 } };
STEPS cut_length[] = { FAKE_TEXT(OK_HEAD "Content-Length: 9\r\n\r\nhalf"),
                       { .what = FAKE_CLOSE },
                       { 0 } };
STEPS cut_head[] = { FAKE_TEXT(OK_HEAD "X-Half: a"),
                     { .what = FAKE_CLOSE },
                     { 0 } };
STEPS bad_chunk[] = { FAKE_TEXT(CHUNKED "zz\r\nhalf"),
                      { .what = FAKE_HANG },
                      { 0 } };
STEPS reset_body[] = { FAKE_TEXT(OK_HEAD "Content-Length: 9\r\n\r\nhalf"),
                       { .what = FAKE_WAIT, .ms = 30 },
                       { .what = FAKE_RESET },
                       { 0 } };
STEPS not_http[] = { FAKE_TEXT("220 mail.example ESMTP\r\n"),
                     { .what = FAKE_CLOSE },
                     { 0 } };
STEPS close_now[] = { { .what = FAKE_CLOSE }, { 0 } };
STEPS reset_now[] = { { .what = FAKE_RESET }, { 0 } };
STEPS hints[] = {
    FAKE_TEXT("HTTP/1.1 103 Early Hints\r\nContent-Type: text/early\r\n\r\n"),
    FAKE_TEXT("HTTP/1.1 429 Too Many\r\nContent-Type:  application/json\r\n"
              "Retry-After: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
    FAKE_TEXT("2\r\n{}\r\n0\r\nX-Trailer: t\r\n\r\n"),
    { 0 }
};
STEPS moved[] = { FAKE_TEXT("HTTP/1.1 302 Found\r\nLocation: /ok\r\n"
                            "Content-Length: 0\r\n\r\n"),
                  { 0 } };

static const struct fake_route routes[] = {
    { "/ok", ok },
    { "/echo", echo },
    { "/silence", silence },
    { "/big", big },
    { "/huge", huge },
    { "/endless-head", endless_head },
    { "/cut-chunk", cut_chunk },
    { "/cut-length", cut_length },
    { "/cut-head", cut_head },
    { "/bad-chunk", bad_chunk },
    { "/reset-body", reset_body },
    { "/not-http", not_http },
    { "/close-now", close_now },
    { "/reset-now", reset_now },
    { "/hints", hints },
    { "/moved", moved },
    { NULL, NULL },
};

/* ---- whole responses ---------------------------------------------------- */

static void
test_a_whole_response_is_done(void **state)
{
    struct http_reader reader = { 0 };
    const struct http_result result =
        http_fixture_fetch("/ok", (struct http_request){ 0 }, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_DONE);
    assert_int_equal(result.status, 200);
    assert_string_equal(result.reason, "");
    assert_int_equal(result.body_bytes, 5);
    assert_false(result.reused);
    assert_string_equal(reader.bytes, "hello");
    http_reader_close(&reader);
}

static void
test_only_the_final_response_speaks_of_headers_and_status(void **state)
{
    struct http_reader reader = { 0 };
    const struct http_result result =
        http_fixture_fetch("/hints", (struct http_request){ 0 }, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_DONE);
    assert_int_equal(result.status, 429);
    assert_string_equal(reader.headers,
                        "Content-Type:  application/json|Retry-After: 3|"
                        "Transfer-Encoding: chunked|");
    assert_string_equal(reader.bytes, "{}");
    http_reader_close(&reader);
}

static void
test_a_redirect_is_an_answer_and_not_followed(void **state)
{
    struct http_reader reader = { 0 };
    const struct http_result result =
        http_fixture_fetch("/moved", (struct http_request){ 0 }, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_DONE);
    assert_int_equal(result.status, 302);
    assert_int_equal(result.body_bytes, 0);
    assert_int_equal(fixture.seen->requests, 1);
}

static void
test_the_request_says_what_it_was_told_and_nothing_more(void **state)
{
    static const char *const headers[] = { "Content-Type: application/json",
                                           "X-Key: secret", NULL };
    struct http_reader reader = { 0 };
    struct http_request request = { .headers = headers,
                                    .body = "{\"a\":1}",
                                    .body_len = 7 };

    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    assert_int_equal(http_fixture_fetch("/echo", request, &reader).outcome,
                     HTTP_DONE);
    unsetenv("http_proxy");
    assert_string_equal(reader.bytes, "{\"a\":1}");
    assert_non_null(strstr(fixture.seen->last_head, "POST /echo HTTP/1.1\r\n"));
    assert_non_null(strstr(fixture.seen->last_head, "X-Key: secret\r\n"));
    assert_non_null(strstr(fixture.seen->last_head, "Content-Length: 7\r\n"));
    assert_null(strstr(fixture.seen->last_head, "Expect"));
    assert_null(strstr(fixture.seen->last_head, "Accept-Encoding"));
    assert_null(strstr(fixture.seen->last_head, "Transfer-Encoding"));
    http_reader_close(&reader);
}

/* Calls share what curl needs for one. */
static void
test_a_request_says_nothing_of_the_one_before(void **state)
{
    static const char *const headers[] = { "X-Key: secret", NULL };
    const struct http_request post = { .headers = headers,
                                       .body = "asked",
                                       .body_len = 5 };
    struct http_reader reader = { 0 };

    (void)state;
    assert_int_equal(http_fixture_outcome("/echo", post), HTTP_DONE);
    assert_int_equal(
        http_fixture_fetch("/echo", (struct http_request){ 0 }, &reader)
            .outcome,
        HTTP_DONE);
    assert_int_equal(reader.len, 0);
    assert_non_null(strstr(fixture.seen->last_head, "GET /echo HTTP/1.1\r\n"));
    assert_null(strstr(fixture.seen->last_head, "X-Key"));
    assert_null(strstr(fixture.seen->last_head, "Content-Length"));
    http_reader_close(&reader);
    assert_int_equal(http_fixture_fetch("/echo", post, &reader).outcome,
                     HTTP_DONE);
    assert_string_equal(reader.bytes, "asked");
    http_reader_close(&reader);
}

static void
test_two_megabytes_go_up_and_come_back(void **state)
{
    const size_t len = 2 * MEGABYTE;
    char *body = malloc(len);
    struct http_reader reader = { 0 };
    struct http_request request = { .body = body, .body_len = len };

    (void)state;
    assert_non_null(body);
    for (size_t i = 0; i < len; i++)
        body[i] = (char)(i * 31 >> 3);
    assert_int_equal(http_fixture_fetch("/echo", request, &reader).outcome,
                     HTTP_DONE);
    assert_int_equal(reader.len, len);
    assert_memory_equal(reader.bytes, body, len);
    assert_null(strstr(fixture.seen->last_head, "Expect"));
    http_reader_close(&reader);
    free(body);
}

static void
test_three_megabytes_come_down(void **state)
{
    struct http_reader reader = { 0 };
    const struct http_result result =
        http_fixture_fetch("/big", (struct http_request){ 0 }, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_DONE);
    assert_int_equal(result.body_bytes, 3 * MEGABYTE);
    assert_int_equal(reader.len, 3 * MEGABYTE);
    assert_int_equal(reader.bytes[reader.len - 1], FAKE_FILLER);
    http_reader_close(&reader);
}

/* ---- responses that end too early or too late --------------------------- */

static void
test_a_response_that_breaks_off_is_cut(void **state)
{
    static const char *const paths[] = { "/cut-chunk",  "/cut-length",
                                         "/cut-head",   "/bad-chunk",
                                         "/reset-body", "/not-http" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        assert_int_equal(
            http_fixture_outcome(paths[i], (struct http_request){ 0 }),
            HTTP_CUT);
}

static void
test_a_connection_that_dies_before_the_response_is_lost(void **state)
{
    const struct http_request post = { .body = "x", .body_len = 1 };

    (void)state;
    assert_int_equal(
        http_fixture_outcome("/close-now", (struct http_request){ 0 }),
        HTTP_CONNECTION_LOST);
    assert_int_equal(http_fixture_outcome("/close-now", post),
                     HTTP_CONNECTION_LOST);
    assert_int_equal(http_fixture_outcome("/reset-now", post),
                     HTTP_CONNECTION_LOST);
    assert_int_equal(fixture.seen->requests, 3);
}

static void
assert_not_sent_again(const char *path)
{
    const struct http_request post = { .body = "paid for", .body_len = 8 };
    const int requests = fixture.seen->requests;
    struct http_reader reader = { 0 };
    struct http_result result;

    assert_int_equal(http_fixture_outcome("/ok", post), HTTP_DONE);
    result = http_fixture_fetch(path, post, &reader);
    assert_int_equal(result.outcome, HTTP_CONNECTION_LOST);
    assert_true(result.reused);
    assert_int_equal(http_fixture_outcome("/ok", post), HTTP_DONE);
    assert_int_equal(fixture.seen->requests, requests + 3);
}

static void
test_a_post_is_never_sent_twice_when_its_kept_connection_dies(void **state)
{
    (void)state;
    assert_not_sent_again("/close-now");
}

static void
test_a_post_is_never_sent_twice_when_its_kept_connection_resets(void **state)
{
    (void)state;
    assert_not_sent_again("/reset-now");
}

static void
test_what_may_be_repeated_is_sent_again_when_its_kept_connection_dies(
    void **state)
{
    const int requests = fixture.seen->requests;

    (void)state;
    assert_int_equal(http_fixture_outcome("/ok", (struct http_request){ 0 }),
                     HTTP_DONE);
    assert_int_equal(
        http_fixture_outcome("/close-now", (struct http_request){ 0 }),
        HTTP_CONNECTION_LOST);
    assert_int_equal(fixture.seen->requests, requests + 3);
}

static void
test_a_refused_connection_is_unreachable_and_keeps_the_query_secret(
    void **state)
{
    const struct http_request request = {
        .url = "http://user:word@127.0.0.1:1/x?key=secret"
    };
    struct http_reader reader = { 0 };
    const struct http_result result = http_fixture_fetch("", request, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_UNREACHABLE);
    assert_int_equal(result.status, 0);
    assert_string_not_equal(result.reason, "");
    assert_null(strstr(result.reason, "secret"));
    assert_null(strstr(result.reason, "word"));
}

static void
test_a_scheme_other_than_http_is_unreachable(void **state)
{
    const struct http_request request = { .url = "file:///etc/hostname" };
    struct http_reader reader = { 0 };

    (void)state;
    assert_int_equal(http_fixture_fetch("", request, &reader).outcome,
                     HTTP_UNREACHABLE);
    assert_null(reader.bytes);
}

static void
test_the_sink_can_stop_the_transfer(void **state)
{
    struct http_reader reader = { .answer = HTTP_SINK_STOP };
    const struct http_result result =
        http_fixture_fetch("/silence", (struct http_request){ 0 }, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_STOPPED);
    assert_int_equal(result.status, 200);
    assert_string_equal(reader.bytes, "first");
    assert_true(fake_http_reaches(&fixture.seen->aborted, 1, LATE_MS));
    http_reader_close(&reader);
}

static void
test_a_response_above_the_limit_is_too_large(void **state)
{
    struct http_reader reader = { 0 };
    const struct http_result result =
        http_fixture_fetch("/huge", (struct http_request){ 0 }, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_TOO_LARGE);
    assert_true(result.body_bytes <= 4 * MEGABYTE);
    assert_int_equal(reader.len, result.body_bytes);
    assert_int_equal(
        http_fixture_outcome("/endless-head", (struct http_request){ 0 }),
        HTTP_TOO_LARGE);
    http_reader_close(&reader);
}

/* ---- connections and memory --------------------------------------------- */

static void
test_more_calls_than_allowed_are_refused(void **state)
{
    const struct http_request plain = { 0 };
    struct http_reader reader = { 0 };
    const struct http_request request =
        http_fixture_request("/ok", plain, &reader);
    struct http_call *one = http_fixture_start("/ok", plain, &reader);
    struct http_call *two = http_fixture_start("/ok", plain, &reader);
    struct err err = { 0 };

    (void)state;
    assert_null(http_start(fixture.http, &request, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    http_call_free(one);
    http_call_free(http_fixture_start("/ok", plain, &reader));
    http_call_free(two);
    http_reader_close(&reader);
}

static void
test_the_second_call_reuses_the_connection(void **state)
{
    struct http_reader reader = { 0 };
    struct http_result result;

    (void)state;
    assert_false(
        http_fixture_fetch("/ok", (struct http_request){ 0 }, &reader).reused);
    result = http_fixture_fetch("/ok", (struct http_request){ 0 }, &reader);
    assert_int_equal(result.outcome, HTTP_DONE);
    assert_true(result.reused);
    assert_int_equal(fixture.seen->connections, 1);
    http_reader_close(&reader);
}

static int
count_open_fds(void)
{
    DIR *fds = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(fds);
    while (readdir(fds) != NULL)
        count++;
    closedir(fds);
    return count;
}

static void
test_five_hundred_calls_leave_no_descriptor_behind(void **state)
{
    static const char *const paths[] = { "/ok", "/cut-length", "/close-now",
                                         "/ok", "/ok" };
    int before;

    (void)state;
    assert_int_equal(http_fixture_outcome("/ok", (struct http_request){ 0 }),
                     HTTP_DONE);
    before = count_open_fds();
    for (size_t i = 0; i < 500; i++)
        http_fixture_outcome(paths[i % ARRAY_LEN(paths)],
                             (struct http_request){ 0 });
    assert_true(count_open_fds() <= before);
    assert_int_equal(fixture.seen->requests, 501);
}

static void
test_every_allocation_may_fail(void **state)
{
    const struct http_limits limits = { 1, MEGABYTE, false };
    struct http_reader reader = { 0 };
    const struct http_request request =
        http_fixture_request("/ok", (struct http_request){ 0 }, &reader);
    int round;

    (void)state;
    for (round = 0; round < 10; round++) {
        struct err err = { 0 };
        struct http_call *call = NULL;
        struct http *fresh;
        bool done;

        faults_after = round;
        fresh = http_new(&limits, &err);
        if (fresh != NULL)
            call = http_start(fresh, &request, &err);
        faults_after = -1;
        done = call != NULL;
        assert_int_equal(err.kind, done ? ERR_NONE : ERR_NOMEM);
        http_call_free(call);
        http_free(fresh);
        if (done)
            break;
    }
    assert_int_equal(round, 2);
}

/* ---- the program -------------------------------------------------------- */

static int
begin_test(void **state)
{
    (void)state;
    http_fixture_open(routes);
    return 0;
}

static int
end_test(void **state)
{
    (void)state;
    http_fixture_close();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_whole_response_is_done),
        TEST(test_only_the_final_response_speaks_of_headers_and_status),
        TEST(test_a_redirect_is_an_answer_and_not_followed),
        TEST(test_the_request_says_what_it_was_told_and_nothing_more),
        TEST(test_a_request_says_nothing_of_the_one_before),
        TEST(test_two_megabytes_go_up_and_come_back),
        TEST(test_three_megabytes_come_down),
        TEST(test_a_response_that_breaks_off_is_cut),
        TEST(test_a_connection_that_dies_before_the_response_is_lost),
        TEST(test_a_post_is_never_sent_twice_when_its_kept_connection_dies),
        TEST(test_a_post_is_never_sent_twice_when_its_kept_connection_resets),
        TEST(
            test_what_may_be_repeated_is_sent_again_when_its_kept_connection_dies),
        TEST(
            test_a_refused_connection_is_unreachable_and_keeps_the_query_secret),
        TEST(test_a_scheme_other_than_http_is_unreachable),
        TEST(test_the_sink_can_stop_the_transfer),
        TEST(test_a_response_above_the_limit_is_too_large),
        TEST(test_more_calls_than_allowed_are_refused),
        TEST(test_the_second_call_reuses_the_connection),
        TEST(test_five_hundred_calls_leave_no_descriptor_behind),
        TEST(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, http_fixture_begin_group,
                                  http_fixture_end_group);
}
