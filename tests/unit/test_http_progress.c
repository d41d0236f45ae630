/*
 * test_http_progress - lib/client/http_progress, line by line and clock by
 * clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "client/http_progress.h"

#define DEADLINE INT64_MAX

static enum http_sink_status answer;
static size_t sunk;
static char header_lines[256];

static enum http_sink_status
sink(void *arg, const char *bytes, size_t len)
{
    (void)arg;
    (void)bytes;
    sunk += len;
    return answer;
}

static void
on_header(void *arg, const char *line, size_t len)
{
    (void)arg;
    strncat(header_lines, line, len);
    strcat(header_lines, "|");
}

static void
begin(struct http_progress *progress, struct http_request request)
{
    request.sink = sink;
    request.on_header = on_header;
    if (request.deadline_mono_ms == 0)
        request.deadline_mono_ms = DEADLINE;
    answer = HTTP_SINK_MORE;
    sunk = 0;
    header_lines[0] = '\0';
    http_progress_begin(progress, &request, 10);
}

static void
feed(struct http_progress *progress, const char *line)
{
    assert_int_equal(http_progress_header(progress, line, strlen(line)), 0);
}

static void
assert_status(const char *line, long status)
{
    struct http_progress progress;

    begin(&progress, (struct http_request){ 0 });
    feed(&progress, line);
    assert_int_equal(progress.result.status, status);
}

/* ---- headers ------------------------------------------------------------ */

static void
test_the_status_is_the_three_digits_of_the_status_line(void **state)
{
    (void)state;
    assert_status("HTTP/1.1 200 OK\r\n", 200);
    assert_status("HTTP/2 503 \r\n", 503);
    assert_status("HTTP/1.0 404", 404);
    assert_status("HTTP/1.1 20\r\n", 0);
    assert_status("HTTP/1.1 2x0 OK\r\n", 0);
    assert_status("HTTP/1.1\r\n", 0);
    assert_status("Server: x 200\r\n", 0);
}

static void
test_an_interim_response_leaves_no_trace(void **state)
{
    struct http_progress progress;

    (void)state;
    begin(&progress, (struct http_request){ 0 });
    feed(&progress, "HTTP/1.1 103 Early Hints\r\n");
    feed(&progress, "Content-Type: text/early\r\n");
    feed(&progress, "\r\n");
    assert_false(progress.had_all_headers);
    feed(&progress, "HTTP/1.1 200 OK\r\n");
    feed(&progress, "CONTENT-TYPE:  text/event-stream; charset=utf-8\r\n");
    assert_false(progress.had_all_headers);
    feed(&progress, "\r\n");
    assert_true(progress.had_all_headers);
    feed(&progress, "Content-Type: text/trailer\r\n");
    assert_string_equal(header_lines,
                        "CONTENT-TYPE:  text/event-stream; charset=utf-8|");
}

static void
test_endless_interim_responses_are_too_large(void **state)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n";
    struct http_progress progress;
    int rounds = 0;

    (void)state;
    begin(&progress, (struct http_request){ 0 });
    while (http_progress_header(&progress, line, sizeof(line) - 1) == 0)
        assert_true(++rounds < 10000);
    assert_int_equal(progress.verdict, HTTP_TOO_LARGE);
}

/* ---- body --------------------------------------------------------------- */

static void
test_the_last_byte_allowed_is_taken_and_one_more_is_not(void **state)
{
    struct http_progress progress;

    (void)state;
    begin(&progress, (struct http_request){ 0 });
    assert_int_equal(http_progress_body(&progress, "123456", 6), 0);
    assert_int_equal(http_progress_body(&progress, "", 0), 0);
    assert_int_equal(http_progress_body(&progress, "7890", 4), 0);
    assert_int_equal(progress.result.body_bytes, 10);
    assert_int_equal(http_progress_body(&progress, "!", 1), -1);
    assert_int_equal(progress.verdict, HTTP_TOO_LARGE);
    assert_int_equal(sunk, 10);
}

/* ---- clocks ------------------------------------------------------------- */

static void
assert_alarm(const struct http_progress *progress, enum http_outcome outcome,
             int64_t at_mono_ms)
{
    const struct http_alarm alarm = http_progress_alarm(progress);

    assert_int_equal(alarm.outcome, outcome);
    assert_int_equal(alarm.at_mono_ms, at_mono_ms);
}

static void
test_each_stage_has_its_clock(void **state)
{
    struct http_progress progress;
    int64_t start;

    (void)state;
    begin(&progress, (struct http_request){
                         .connect_ms = 1000,
                         .first_byte_ms = 5000,
                         .idle_ms = 2000,
                     });
    start = progress.started_mono_ms;
    assert_alarm(&progress, HTTP_TIMEOUT_CONNECT, start + 1000);
    assert_int_equal(http_progress_connected(&progress, false), 0);
    assert_alarm(&progress, HTTP_TIMEOUT_FIRST, start + 5000);
    assert_int_equal(http_progress_body(&progress, ":", 1), 0);
    assert_alarm(&progress, HTTP_TIMEOUT_IDLE,
                 progress.last_read_mono_ms + 2000);
    progress.last_read_mono_ms = start + 4000;
    assert_alarm(&progress, HTTP_TIMEOUT_FIRST, start + 5000);
    answer = HTTP_SINK_FIRST;
    assert_int_equal(http_progress_body(&progress, "x", 1), 0);
    progress.last_read_mono_ms = start + 4000;
    assert_alarm(&progress, HTTP_TIMEOUT_IDLE, start + 6000);
    progress.deadline_mono_ms = start + 5999;
    assert_alarm(&progress, HTTP_TIMEOUT_TOTAL, start + 5999);
}

static void
test_after_the_last_word_a_response_has_a_second_to_end(void **state)
{
    struct http_progress progress;
    int64_t said;

    (void)state;
    begin(&progress,
          (struct http_request){ .first_byte_ms = 50, .idle_ms = 30000 });
    assert_int_equal(http_progress_connected(&progress, false), 0);
    answer = HTTP_SINK_LAST;
    assert_int_equal(http_progress_body(&progress, "[DONE]", 6), 0);
    said = progress.last_read_mono_ms;
    assert_alarm(&progress, HTTP_TIMEOUT_IDLE, said + 1000);
    progress.last_said_mono_ms = said -= 10;
    assert_int_equal(http_progress_body(&progress, "x", 1), 0);
    assert_alarm(&progress, HTTP_TIMEOUT_IDLE, said + 1000);
}

static void
test_a_limit_of_zero_is_no_limit(void **state)
{
    struct http_progress progress;

    (void)state;
    begin(&progress, (struct http_request){ .deadline_mono_ms = 77 });
    progress.started_mono_ms = 0;
    assert_alarm(&progress, HTTP_TIMEOUT_TOTAL, 77);
    assert_int_equal(http_progress_body(&progress, "x", 1), 0);
    progress.last_read_mono_ms = 1;
    assert_alarm(&progress, HTTP_TIMEOUT_TOTAL, 77);
}

/* ---- ends --------------------------------------------------------------- */

static void
test_a_broken_connection_is_judged_by_how_far_it_came(void **state)
{
    struct http_progress progress;

    (void)state;
    begin(&progress, (struct http_request){ 0 });
    assert_int_equal(http_progress_broken(&progress), HTTP_UNREACHABLE);
    assert_int_equal(http_progress_connected(&progress, true), 0);
    assert_int_equal(http_progress_broken(&progress), HTTP_CONNECTION_LOST);
    feed(&progress, "HTTP/1.1 100 Continue\r\n");
    assert_int_equal(http_progress_broken(&progress), HTTP_CUT);
}

static void
test_the_connection_curl_tries_second_does_not_count(void **state)
{
    struct http_progress progress;

    (void)state;
    begin(&progress, (struct http_request){ 0 });
    assert_int_equal(http_progress_connected(&progress, true), 0);
    assert_int_equal(http_progress_connected(&progress, false), 0);
    http_progress_end(&progress, HTTP_CONNECTION_LOST, "gone");
    assert_true(progress.result.reused);
    assert_int_equal(progress.result.outcome, HTTP_CONNECTION_LOST);
    assert_string_equal(progress.result.reason, "gone");
}

static void
test_a_post_may_be_sent_once(void **state)
{
    struct http_progress progress;

    (void)state;
    begin(&progress, (struct http_request){ .body = "", .body_len = 0 });
    assert_int_equal(http_progress_connected(&progress, true), 0);
    assert_int_equal(progress.verdict, HTTP_PENDING);
    assert_int_equal(http_progress_connected(&progress, false), -1);
    assert_int_equal(progress.verdict, HTTP_CONNECTION_LOST);
    assert_true(progress.result.reused);
}

static void
test_every_outcome_has_a_text(void **state)
{
    (void)state;
    for (int i = HTTP_PENDING; i <= HTTP_TLS_FAILED; i++)
        assert_non_null(http_outcome_text((enum http_outcome)i));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_the_status_is_the_three_digits_of_the_status_line),
        cmocka_unit_test(test_an_interim_response_leaves_no_trace),
        cmocka_unit_test(test_endless_interim_responses_are_too_large),
        cmocka_unit_test(
            test_the_last_byte_allowed_is_taken_and_one_more_is_not),
        cmocka_unit_test(test_each_stage_has_its_clock),
        cmocka_unit_test(
            test_after_the_last_word_a_response_has_a_second_to_end),
        cmocka_unit_test(test_a_limit_of_zero_is_no_limit),
        cmocka_unit_test(test_a_broken_connection_is_judged_by_how_far_it_came),
        cmocka_unit_test(test_the_connection_curl_tries_second_does_not_count),
        cmocka_unit_test(test_a_post_may_be_sent_once),
        cmocka_unit_test(test_every_outcome_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
