/*
 * test_http - lib/client/http against a server that misbehaves on request.
 */
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "client/http.h"
#include "support/fake_http.h"

#define MEGABYTE (1024 * 1024)

/* How late a time-out may be noticed on a busy machine. */
#define LATE_MS 100

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
STEPS hang[] = { { .what = FAKE_HANG }, { 0 } };
STEPS comments[] = { FAKE_TEXT(CHUNKED),
                     { FAKE_DRIP, "2\r\n:\n\r\n2\r\n:\n\r\n2\r\n:\n\r\n", 0,
                       40 },
                     { .what = FAKE_HANG },
                     { 0 } };
STEPS silence[] = { FAKE_TEXT(CHUNKED "5\r\nfirst\r\n"),
                    { .what = FAKE_HANG },
                    { 0 } };
STEPS drip[] = { FAKE_TEXT(OK_HEAD "Content-Length: 40\r\n\r\n"),
                 { FAKE_DRIP, "0123456789012345678901234567890123456789", 0,
                   20 },
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
    { "/hang", hang },
    { "/comments", comments },
    { "/silence", silence },
    { "/drip", drip },
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

/* ---- helpers ------------------------------------------------------------ */

static struct fake_http *server;
static const struct fake_seen *seen;
static struct http *http;

/* Where the callbacks put things, and what they answer. */
struct reader {
    enum http_sink_status answer;
    char *bytes; /* owned */
    size_t len;
    char headers[256];
};

static enum http_sink_status
sink(void *arg, const char *bytes, size_t len)
{
    struct reader *reader = arg;

    reader->bytes = realloc(reader->bytes, reader->len + len + 1);
    assert_non_null(reader->bytes);
    memcpy(reader->bytes + reader->len, bytes, len);
    reader->len += len;
    reader->bytes[reader->len] = '\0';
    return reader->answer;
}

static void
on_header(void *arg, const char *line, size_t len)
{
    struct reader *reader = arg;

    strncat(reader->headers, line, len);
    strcat(reader->headers, "|");
}

static struct http_call *
start(const char *path, struct http_request request, struct reader *reader)
{
    char url[FAKE_URL_LEN];
    struct http_call *call;

    fake_http_url(server, path, url);
    request.url = url;
    request.sink = sink;
    request.on_header = on_header;
    request.arg = reader;
    if (request.deadline_mono_ms == 0)
        request.deadline_mono_ms = clock_mono_ms() + 5000;
    call = http_start(http, &request, NULL);
    assert_non_null(call);
    return call;
}

static void
turn_until_done(const struct http_call *call)
{
    while (!http_call_is_done(call))
        assert_int_equal(http_turn(http, NULL, 0, INT64_MAX, NULL), 0);
}

/* Runs one call to its end.  content_type and reason do not outlive it. */
static struct http_result
fetch(const char *path, struct http_request request, struct reader *reader)
{
    struct http_call *call = start(path, request, reader);
    struct http_result result;

    turn_until_done(call);
    result = http_call_result(call);
    http_call_free(call);
    return result;
}

static enum http_outcome
outcome_of(const char *path, struct http_request request)
{
    struct reader reader = { .answer = HTTP_SINK_FIRST };
    const struct http_result result = fetch(path, request, &reader);

    free(reader.bytes);
    return result.outcome;
}

static void
assert_took(const struct http_result *result, int64_t limit_ms)
{
    assert_in_range(result->total_us / 1000, limit_ms - 1, limit_ms + LATE_MS);
}

/* ---- whole responses ---------------------------------------------------- */

static void
test_a_whole_response_is_done(void **state)
{
    struct reader reader = { 0 };
    struct http_call *call = start("/ok", (struct http_request){ 0 }, &reader);
    struct http_result result;

    (void)state;
    assert_int_equal(http_call_result(call).outcome, HTTP_PENDING);
    turn_until_done(call);
    result = http_call_result(call);
    assert_int_equal(result.outcome, HTTP_DONE);
    assert_int_equal(result.status, 200);
    assert_string_equal(result.content_type, "text/plain");
    assert_string_equal(result.reason, "");
    assert_int_equal(result.body_bytes, 5);
    assert_false(result.reused);
    assert_true(result.connected_us > 0);
    assert_true(result.first_byte_us >= result.connected_us);
    assert_true(result.total_us >= result.first_byte_us);
    assert_string_equal(reader.bytes, "hello");
    http_call_free(call);
    free(reader.bytes);
}

static void
test_only_the_final_response_speaks_of_headers_and_status(void **state)
{
    struct reader reader = { 0 };
    struct http_call *call =
        start("/hints", (struct http_request){ 0 }, &reader);
    struct http_result result;

    (void)state;
    turn_until_done(call);
    result = http_call_result(call);
    assert_int_equal(result.outcome, HTTP_DONE);
    assert_int_equal(result.status, 429);
    assert_string_equal(result.content_type, "application/json");
    assert_string_equal(reader.headers,
                        "Content-Type:  application/json|Retry-After: 3|"
                        "Transfer-Encoding: chunked|");
    assert_string_equal(reader.bytes, "{}");
    http_call_free(call);
    free(reader.bytes);
}

static void
test_a_redirect_is_an_answer_and_not_followed(void **state)
{
    struct reader reader = { 0 };
    const struct http_result result =
        fetch("/moved", (struct http_request){ 0 }, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_DONE);
    assert_int_equal(result.status, 302);
    assert_int_equal(result.first_byte_us, -1);
    assert_int_equal(seen->requests, 1);
}

static void
test_the_request_says_what_it_was_told_and_nothing_more(void **state)
{
    static const char *const headers[] = { "Content-Type: application/json",
                                           "X-Key: secret", NULL };
    struct reader reader = { 0 };
    struct http_request request = { .headers = headers,
                                    .body = "{\"a\":1}",
                                    .body_len = 7 };

    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    assert_int_equal(fetch("/echo", request, &reader).outcome, HTTP_DONE);
    unsetenv("http_proxy");
    assert_string_equal(reader.bytes, "{\"a\":1}");
    assert_non_null(strstr(seen->last_head, "POST /echo HTTP/1.1\r\n"));
    assert_non_null(strstr(seen->last_head, "X-Key: secret\r\n"));
    assert_non_null(strstr(seen->last_head, "Content-Length: 7\r\n"));
    assert_null(strstr(seen->last_head, "Expect"));
    assert_null(strstr(seen->last_head, "Accept-Encoding"));
    assert_null(strstr(seen->last_head, "Transfer-Encoding"));
    free(reader.bytes);
}

static void
test_two_megabytes_go_up_and_come_back(void **state)
{
    const size_t len = 2 * MEGABYTE;
    char *body = malloc(len);
    struct reader reader = { 0 };
    struct http_request request = { .body = body, .body_len = len };

    (void)state;
    assert_non_null(body);
    for (size_t i = 0; i < len; i++)
        body[i] = (char)(i * 31 >> 3);
    assert_int_equal(fetch("/echo", request, &reader).outcome, HTTP_DONE);
    assert_int_equal(reader.len, len);
    assert_memory_equal(reader.bytes, body, len);
    assert_null(strstr(seen->last_head, "Expect"));
    free(reader.bytes);
    free(body);
}

static void
test_three_megabytes_come_down(void **state)
{
    struct reader reader = { 0 };
    const struct http_result result =
        fetch("/big", (struct http_request){ 0 }, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_DONE);
    assert_int_equal(result.body_bytes, 3 * MEGABYTE);
    assert_int_equal(reader.len, 3 * MEGABYTE);
    assert_int_equal(reader.bytes[reader.len - 1], FAKE_FILLER);
    free(reader.bytes);
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
        assert_int_equal(outcome_of(paths[i], (struct http_request){ 0 }),
                         HTTP_CUT);
}

static void
test_a_connection_that_dies_before_the_response_is_lost(void **state)
{
    const struct http_request post = { .body = "x", .body_len = 1 };

    (void)state;
    assert_int_equal(outcome_of("/close-now", (struct http_request){ 0 }),
                     HTTP_CONNECTION_LOST);
    assert_int_equal(outcome_of("/close-now", post), HTTP_CONNECTION_LOST);
    assert_int_equal(outcome_of("/reset-now", post), HTTP_CONNECTION_LOST);
    assert_int_equal(seen->requests, 3);
}

static void
assert_not_sent_again(const char *path)
{
    const struct http_request post = { .body = "paid for", .body_len = 8 };
    const int requests = seen->requests;
    struct reader reader = { 0 };
    struct http_result result;

    assert_int_equal(outcome_of("/ok", post), HTTP_DONE);
    result = fetch(path, post, &reader);
    assert_int_equal(result.outcome, HTTP_CONNECTION_LOST);
    assert_true(result.reused);
    assert_int_equal(outcome_of("/ok", post), HTTP_DONE);
    assert_int_equal(seen->requests, requests + 3);
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
test_a_refused_connection_is_unreachable_and_keeps_the_query_secret(
    void **state)
{
    struct reader reader = { 0 };
    struct http_request request = {
        .url = "http://user:word@127.0.0.1:1/x?key=secret",
        .sink = sink,
        .arg = &reader,
        .deadline_mono_ms = clock_mono_ms() + 5000,
    };
    struct http_call *call = http_start(http, &request, NULL);
    struct http_result result;

    (void)state;
    assert_non_null(call);
    turn_until_done(call);
    result = http_call_result(call);
    assert_int_equal(result.outcome, HTTP_UNREACHABLE);
    assert_int_equal(result.status, 0);
    assert_string_not_equal(result.reason, "");
    assert_null(strstr(result.reason, "secret"));
    assert_null(strstr(result.reason, "word"));
    http_call_free(call);
}

static void
test_a_scheme_other_than_http_is_unreachable(void **state)
{
    struct reader reader = { 0 };
    struct http_request request = { .url = "file:///etc/hostname",
                                    .sink = sink,
                                    .arg = &reader,
                                    .deadline_mono_ms =
                                        clock_mono_ms() + 5000 };
    struct http_call *call = http_start(http, &request, NULL);

    (void)state;
    assert_non_null(call);
    turn_until_done(call);
    assert_int_equal(http_call_result(call).outcome, HTTP_UNREACHABLE);
    assert_int_equal(reader.len, 0);
    http_call_free(call);
}

static void
test_the_sink_can_stop_the_transfer(void **state)
{
    struct reader reader = { .answer = HTTP_SINK_STOP };
    const struct http_result result =
        fetch("/silence", (struct http_request){ 0 }, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_STOPPED);
    assert_int_equal(result.status, 200);
    assert_string_equal(reader.bytes, "first");
    assert_true(fake_http_reaches(&seen->aborted, 1, LATE_MS));
    free(reader.bytes);
}

static void
test_a_response_above_the_limit_is_too_large(void **state)
{
    struct reader reader = { 0 };
    const struct http_result result =
        fetch("/huge", (struct http_request){ 0 }, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_TOO_LARGE);
    assert_true(result.body_bytes <= 4 * MEGABYTE);
    assert_int_equal(reader.len, result.body_bytes);
    assert_int_equal(outcome_of("/endless-head", (struct http_request){ 0 }),
                     HTTP_TOO_LARGE);
    free(reader.bytes);
}

/* ---- clocks ------------------------------------------------------------- */

static void
test_a_server_that_never_answers_costs_the_first_byte_limit(void **state)
{
    struct reader reader = { 0 };
    const struct http_request request = { .first_byte_ms = 150,
                                          .connect_ms = 100,
                                          .idle_ms = 50 };
    const struct http_result result = fetch("/hang", request, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_TIMEOUT_FIRST);
    assert_took(&result, 150);
    assert_int_equal(result.status, 0);
}

static void
test_bytes_of_no_substance_do_not_stop_the_first_byte_clock(void **state)
{
    struct reader reader = { .answer = HTTP_SINK_MORE };
    const struct http_request request = { .first_byte_ms = 200 };
    const struct http_result result = fetch("/comments", request, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_TIMEOUT_FIRST);
    assert_took(&result, 200);
    free(reader.bytes);
}

static void
test_silence_after_the_first_byte_is_noticed_at_the_idle_limit(void **state)
{
    struct reader reader = { .answer = HTTP_SINK_FIRST };
    const struct http_request request = { .first_byte_ms = 100,
                                          .idle_ms = 150 };
    const struct http_result result = fetch("/silence", request, &reader);
    const int64_t silent_ms = (result.total_us - result.first_byte_us) / 1000;

    (void)state;
    assert_int_equal(result.outcome, HTTP_TIMEOUT_IDLE);
    assert_in_range(silent_ms, 149, 150 + LATE_MS);
    assert_true(fake_http_reaches(&seen->aborted, 1, LATE_MS));
    free(reader.bytes);
}

static void
test_every_byte_winds_the_idle_clock_up_again(void **state)
{
    struct reader reader = { .answer = HTTP_SINK_FIRST };
    const struct http_request request = { .idle_ms = 150 };
    const struct http_result result = fetch("/drip", request, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_DONE);
    assert_true(result.total_us > 700000);
    assert_int_equal(result.body_bytes, 40);
    free(reader.bytes);
}

static void
test_the_deadline_ends_a_response_that_never_stalls(void **state)
{
    struct reader reader = { .answer = HTTP_SINK_FIRST };
    const struct http_request request = { .idle_ms = 150,
                                          .deadline_mono_ms =
                                              clock_mono_ms() + 250 };
    const struct http_result result = fetch("/drip", request, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_TIMEOUT_TOTAL);
    assert_in_range(result.total_us / 1000, 240, 250 + LATE_MS);
    assert_in_range(reader.len, 1, 39);
    free(reader.bytes);
}

/* The server reads a ClientHello as the beginning of a request and waits for
 * the rest. */
static void
test_a_handshake_that_hangs_costs_the_connect_limit(void **state)
{
    struct reader reader = { 0 };
    char url[FAKE_URL_LEN], https_url[FAKE_URL_LEN + 1] = "https";
    struct http_request request = { .url = https_url,
                                    .connect_ms = 150,
                                    .first_byte_ms = 2000,
                                    .sink = sink,
                                    .arg = &reader,
                                    .deadline_mono_ms =
                                        clock_mono_ms() + 3000 };
    struct http_call *call;
    struct http_result result;

    (void)state;
    fake_http_url(server, "/ok", url);
    strcat(https_url, url + 4);
    call = http_start(http, &request, NULL);
    assert_non_null(call);
    turn_until_done(call);
    result = http_call_result(call);
    assert_int_equal(result.outcome, HTTP_TIMEOUT_CONNECT);
    assert_took(&result, 150);
    http_call_free(call);
}

/* ---- several calls, connections, cancelling ----------------------------- */

static void
test_a_call_that_stalls_does_not_touch_the_other(void **state)
{
    struct reader stalled = { .answer = HTTP_SINK_FIRST };
    struct reader lively = { .answer = HTTP_SINK_FIRST };
    struct http_call *stalling =
        start("/silence", (struct http_request){ .idle_ms = 200 }, &stalled);
    struct http_call *living =
        start("/drip", (struct http_request){ .idle_ms = 200 }, &lively);

    (void)state;
    turn_until_done(stalling);
    assert_false(http_call_is_done(living));
    turn_until_done(living);
    assert_int_equal(http_call_result(stalling).outcome, HTTP_TIMEOUT_IDLE);
    assert_int_equal(http_call_result(living).outcome, HTTP_DONE);
    assert_in_range(http_call_result(living).total_us, 780000, 1300000);
    http_call_free(stalling);
    http_call_free(living);
    free(stalled.bytes);
    free(lively.bytes);
}

static void
test_more_calls_than_allowed_are_refused(void **state)
{
    struct reader reader = { 0 };
    struct http_request request = { .url = "http://127.0.0.1:1/",
                                    .sink = sink,
                                    .deadline_mono_ms = INT64_MAX };
    struct http_call *one = start("/ok", (struct http_request){ 0 }, &reader);
    struct http_call *two = start("/ok", (struct http_request){ 0 }, &reader);
    struct err err = { 0 };

    (void)state;
    assert_null(http_start(http, &request, &err));
    assert_int_equal(err.kind, ERR_LIMIT);
    http_call_free(one);
    http_call_free(start("/ok", (struct http_request){ 0 }, &reader));
    http_call_free(two);
    free(reader.bytes);
}

static void
test_the_second_call_reuses_the_connection(void **state)
{
    struct reader reader = { 0 };
    struct http_result result;

    (void)state;
    assert_false(fetch("/ok", (struct http_request){ 0 }, &reader).reused);
    result = fetch("/ok", (struct http_request){ 0 }, &reader);
    assert_int_equal(result.outcome, HTTP_DONE);
    assert_true(result.reused);
    assert_int_equal(result.connected_us, 0);
    assert_int_equal(seen->connections, 1);
    free(reader.bytes);
}

static void
test_freeing_a_running_call_closes_its_connection_at_once(void **state)
{
    struct reader reader = { 0 };
    struct http_call *call =
        start("/silence", (struct http_request){ 0 }, &reader);
    int64_t freed_mono_ms;

    (void)state;
    while (reader.len == 0)
        assert_int_equal(http_turn(http, NULL, 0, INT64_MAX, NULL), 0);
    assert_int_equal(http_call_result(call).outcome, HTTP_PENDING);
    assert_int_equal(http_call_result(call).status, 200);
    freed_mono_ms = clock_mono_ms();
    http_call_free(call);
    assert_true(fake_http_reaches(&seen->aborted, 1, 1000));
    assert_in_range(seen->aborted_mono_ms - freed_mono_ms, 0, LATE_MS);
    assert_int_equal(outcome_of("/ok", (struct http_request){ 0 }), HTTP_DONE);
    free(reader.bytes);
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
    assert_int_equal(outcome_of("/ok", (struct http_request){ 0 }), HTTP_DONE);
    before = count_open_fds();
    for (size_t i = 0; i < 500; i++)
        outcome_of(paths[i % ARRAY_LEN(paths)], (struct http_request){ 0 });
    assert_true(count_open_fds() <= before);
    assert_int_equal(seen->requests, 501);
}

/* ---- waiting ------------------------------------------------------------ */

static int
timer_after_ms(int ms)
{
    const struct itimerspec when = { .it_value = { 0, ms * 1000000L } };
    const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(timerfd_settime(fd, 0, &when, NULL), 0);
    return fd;
}

static void
test_an_extra_descriptor_wakes_the_turn(void **state)
{
    struct reader reader = { 0 };
    struct http_fd extra[] = { { -1, POLLIN, 77 }, { -1, POLLIN, 77 } };
    struct http_call *call =
        start("/hang", (struct http_request){ 0 }, &reader);
    const int64_t begin_mono_ms = clock_mono_ms();

    (void)state;
    extra[1].fd = timer_after_ms(120);
    do {
        assert_int_equal(http_turn(http, extra, 2, begin_mono_ms + 2000, NULL),
                         0);
        assert_int_equal(extra[0].revents, 0);
    } while (extra[1].revents == 0 && clock_mono_ms() < begin_mono_ms + 2000);
    assert_int_equal(extra[1].revents, POLLIN);
    assert_in_range(clock_mono_ms() - begin_mono_ms, 119, 120 + LATE_MS);
    close(extra[1].fd);
    http_call_free(call);
}

static void
test_a_turn_without_calls_waits_for_its_time(void **state)
{
    struct http_fd quiet = { timer_after_ms(900), POLLIN, 77 };
    const int64_t begin_mono_ms = clock_mono_ms();

    (void)state;
    assert_int_equal(http_turn(http, &quiet, 1, begin_mono_ms + 100, NULL), 0);
    assert_in_range(clock_mono_ms() - begin_mono_ms, 100, 100 + LATE_MS);
    assert_int_equal(quiet.revents, 0);
    assert_int_equal(http_turn(http, NULL, 0, begin_mono_ms + 150, NULL), 0);
    assert_in_range(clock_mono_ms() - begin_mono_ms, 150, 150 + LATE_MS);
    close(quiet.fd);
}

static volatile sig_atomic_t signal_came;

static void
note_signal(int number)
{
    (void)number;
    signal_came = 1;
}

static void
assert_signal_ends_turn(void)
{
    const struct itimerval when = { .it_value = { 0, 100000 } };
    const int64_t begin_mono_ms = clock_mono_ms();
    int turns = 0;

    signal_came = 0;
    assert_int_equal(setitimer(ITIMER_REAL, &when, NULL), 0);
    while (!signal_came && turns++ < 100)
        assert_int_equal(http_turn(http, NULL, 0, begin_mono_ms + 2000, NULL),
                         0);
    assert_in_range(clock_mono_ms() - begin_mono_ms, 99, 100 + LATE_MS);
}

static void
test_a_signal_ends_the_turn_and_is_no_error(void **state)
{
    const struct sigaction action = { .sa_handler = note_signal };
    struct sigaction old;
    struct reader reader = { 0 };
    struct http_call *call;

    (void)state;
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    assert_signal_ends_turn();
    call = start("/hang", (struct http_request){ 0 }, &reader);
    assert_signal_ends_turn();
    assert_false(http_call_is_done(call));
    http_call_free(call);
    sigaction(SIGALRM, &old, NULL);
}

/* ---- memory ------------------------------------------------------------- */

static void
test_every_allocation_may_fail(void **state)
{
    const struct http_limits limits = { 1, MEGABYTE, false };
    struct reader reader = { 0 };
    struct http_request request = { .sink = sink, .arg = &reader };
    char url[FAKE_URL_LEN];
    int round;

    (void)state;
    fake_http_url(server, "/ok", url);
    request.url = url;
    request.deadline_mono_ms = clock_mono_ms() + 5000;
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
begin_group(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return http_global_init(NULL);
}

static int
end_group(void **state)
{
    (void)state;
    http_global_cleanup();
    return 0;
}

static int
begin_test(void **state)
{
    const struct http_limits limits = { 2, 4 * MEGABYTE, false };

    (void)state;
    server = fake_http_start(routes);
    seen = fake_http_seen(server);
    http = http_new(&limits, NULL);
    return http != NULL ? 0 : -1;
}

static int
end_test(void **state)
{
    (void)state;
    http_free(http);
    fake_http_stop(server);
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
        TEST(test_two_megabytes_go_up_and_come_back),
        TEST(test_three_megabytes_come_down),
        TEST(test_a_response_that_breaks_off_is_cut),
        TEST(test_a_connection_that_dies_before_the_response_is_lost),
        TEST(test_a_post_is_never_sent_twice_when_its_kept_connection_dies),
        TEST(test_a_post_is_never_sent_twice_when_its_kept_connection_resets),
        TEST(
            test_a_refused_connection_is_unreachable_and_keeps_the_query_secret),
        TEST(test_a_scheme_other_than_http_is_unreachable),
        TEST(test_the_sink_can_stop_the_transfer),
        TEST(test_a_response_above_the_limit_is_too_large),
        TEST(test_a_server_that_never_answers_costs_the_first_byte_limit),
        TEST(test_bytes_of_no_substance_do_not_stop_the_first_byte_clock),
        TEST(test_silence_after_the_first_byte_is_noticed_at_the_idle_limit),
        TEST(test_every_byte_winds_the_idle_clock_up_again),
        TEST(test_the_deadline_ends_a_response_that_never_stalls),
        TEST(test_a_handshake_that_hangs_costs_the_connect_limit),
        TEST(test_a_call_that_stalls_does_not_touch_the_other),
        TEST(test_more_calls_than_allowed_are_refused),
        TEST(test_the_second_call_reuses_the_connection),
        TEST(test_freeing_a_running_call_closes_its_connection_at_once),
        TEST(test_five_hundred_calls_leave_no_descriptor_behind),
        TEST(test_an_extra_descriptor_wakes_the_turn),
        TEST(test_a_turn_without_calls_waits_for_its_time),
        TEST(test_a_signal_ends_the_turn_and_is_no_error),
        TEST(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, begin_group, end_group);
}
