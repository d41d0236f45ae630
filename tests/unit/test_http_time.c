/*
 * test_http_time - lib/client/http: its clocks, its waiting, and calls side by
 * side.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "client/http.h"
#include "support/fake_http.h"
#include "support/http_fixture.h"

/* ---- what the server does ----------------------------------------------- */

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
#define CHUNKED OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"

#define STEPS static const struct fake_step

STEPS ok[] = { FAKE_TEXT(OK_HEAD "Content-Length: 5\r\n\r\nhello"), { 0 } };
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

STEPS long_drip[] = { FAKE_TEXT(OK_HEAD "Content-Length: 40\r\n\r\n"),
                      { FAKE_DRIP, "0123456789012345678901234567890123456789",
                        0, 75 },
                      { 0 } };

static const struct fake_route routes[] = {
    { "/ok", ok },           { "/hang", hang }, { "/comments", comments },
    { "/silence", silence }, { "/drip", drip }, { "/long_drip", long_drip },
    { NULL, NULL },
};

static void
assert_took(const struct http_reader *reader, int64_t limit_ms)
{
    assert_in_range(reader->took_ms, limit_ms - 1, limit_ms + LATE_MS);
}

/* ---- clocks ------------------------------------------------------------- */

static void
test_a_server_that_never_answers_costs_the_first_byte_limit(void **state)
{
    struct http_reader reader = { 0 };
    const struct http_request request = { .first_byte_ms = 150,
                                          .connect_ms = 100,
                                          .idle_ms = 50 };
    const struct http_result result =
        http_fixture_fetch("/hang", request, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_TIMEOUT_FIRST);
    assert_took(&reader, 150);
    assert_int_equal(result.status, 0);
}

static void
test_bytes_of_no_substance_do_not_stop_the_first_byte_clock(void **state)
{
    struct http_reader reader = { .answer = HTTP_SINK_MORE };
    const struct http_request request = { .first_byte_ms = 200 };
    const struct http_result result =
        http_fixture_fetch("/comments", request, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_TIMEOUT_FIRST);
    assert_took(&reader, 200);
    http_reader_close(&reader);
}

static void
test_silence_after_the_first_byte_is_noticed_at_the_idle_limit(void **state)
{
    struct http_reader reader = { .answer = HTTP_SINK_FIRST };
    const struct http_request request = { .first_byte_ms = 1000,
                                          .idle_ms = 1200 };
    const struct http_result result =
        http_fixture_fetch("/silence", request, &reader);
    const int64_t silent_ms =
        reader.started_mono_ms + reader.took_ms - reader.first_mono_ms;

    (void)state;
    assert_int_equal(result.outcome, HTTP_TIMEOUT_IDLE);
    assert_true(reader.took_ms >= 1199);
    assert_in_range(silent_ms, 0, 1200 + LATE_MS);
    assert_true(fake_http_reaches(&fixture.seen->aborted, 1, LATE_MS));
    http_reader_close(&reader);
}

static void
test_every_byte_winds_the_idle_clock_up_again(void **state)
{
    struct http_reader reader = { .answer = HTTP_SINK_FIRST };
    const struct http_request request = { .idle_ms = 1000 };
    const struct http_result result =
        http_fixture_fetch("/long_drip", request, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_DONE);
    assert_true(reader.took_ms > 2500);
    assert_int_equal(result.body_bytes, 40);
    http_reader_close(&reader);
}

static void
test_the_deadline_ends_a_response_that_never_stalls(void **state)
{
    struct http_reader reader = { .answer = HTTP_SINK_FIRST };
    const struct http_request request = { .idle_ms = 1000,
                                          .deadline_mono_ms =
                                              clock_mono_ms() + 1200 };
    const struct http_result result =
        http_fixture_fetch("/long_drip", request, &reader);

    (void)state;
    assert_int_equal(result.outcome, HTTP_TIMEOUT_TOTAL);
    assert_in_range(reader.took_ms, 1000, 1200 + LATE_MS);
    assert_in_range(reader.len, 1, 39);
    http_reader_close(&reader);
}

/* The server reads a ClientHello as the beginning of a request and waits for
 * the rest. */
static void
test_a_handshake_that_hangs_costs_the_connect_limit(void **state)
{
    char url[FAKE_URL_LEN], https_url[FAKE_URL_LEN + 1] = "https";
    const struct http_request request = { .url = https_url,
                                          .connect_ms = 150,
                                          .first_byte_ms = 2000 };
    struct http_reader reader = { 0 };
    struct http_result result;

    (void)state;
    fake_http_url(fixture.server, "/ok", url);
    strcat(https_url, url + 4);
    result = http_fixture_fetch("", request, &reader);
    assert_int_equal(result.outcome, HTTP_TIMEOUT_CONNECT);
    assert_took(&reader, 150);
}

/* ---- side by side ------------------------------------------------------- */

static void
test_a_call_that_stalls_does_not_touch_the_other(void **state)
{
    struct http_reader stalled = { .answer = HTTP_SINK_FIRST };
    struct http_reader lively = { .answer = HTTP_SINK_FIRST };
    struct http_call *stalling = http_fixture_start(
        "/silence", (struct http_request){ .idle_ms = 1000 }, &stalled);
    struct http_call *living = http_fixture_start(
        "/long_drip", (struct http_request){ .idle_ms = 1000 }, &lively);

    (void)state;
    http_fixture_finish(stalling);
    assert_false(http_call_is_done(living));
    http_fixture_finish(living);
    assert_int_equal(http_call_result(stalling).outcome, HTTP_TIMEOUT_IDLE);
    assert_int_equal(http_call_result(living).outcome, HTTP_DONE);
    assert_true(clock_mono_ms() - lively.started_mono_ms > 2500);
    http_call_free(stalling);
    http_call_free(living);
    http_reader_close(&stalled);
    http_reader_close(&lively);
}

static void
test_freeing_a_running_call_closes_its_connection_at_once(void **state)
{
    struct http_reader reader = { 0 };
    struct http_call *call =
        http_fixture_start("/silence", (struct http_request){ 0 }, &reader);
    int64_t freed_mono_ms;

    (void)state;
    while (reader.len == 0)
        assert_int_equal(http_turn(fixture.http, NULL, 0, INT64_MAX, NULL), 0);
    assert_int_equal(http_call_result(call).outcome, HTTP_PENDING);
    assert_int_equal(http_call_result(call).status, 200);
    freed_mono_ms = clock_mono_ms();
    http_call_free(call);
    assert_true(fake_http_reaches(&fixture.seen->aborted, 1, LATE_MS));
    assert_in_range(fixture.seen->aborted_mono_ms - freed_mono_ms, 0, LATE_MS);
    assert_int_equal(http_fixture_outcome("/ok", (struct http_request){ 0 }),
                     HTTP_DONE);
    http_reader_close(&reader);
}

/* ---- waiting ------------------------------------------------------------ */

static int
timer_after_ms(int ms)
{
    const struct itimerspec when = { .it_value = { ms / 1000,
                                                   ms % 1000 * 1000000L } };
    const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(timerfd_settime(fd, 0, &when, NULL), 0);
    return fd;
}

static void
test_an_extra_descriptor_wakes_the_turn(void **state)
{
    struct http_reader reader = { 0 };
    struct http_fd extra[] = { { -1, POLLIN, 77 }, { -1, POLLIN, 77 } };
    struct http_call *call =
        http_fixture_start("/hang", (struct http_request){ 0 }, &reader);
    const int64_t begin_mono_ms = clock_mono_ms();

    (void)state;
    extra[1].fd = timer_after_ms(120);
    do {
        assert_int_equal(
            http_turn(fixture.http, extra, 2, begin_mono_ms + 10000, NULL), 0);
        assert_int_equal(extra[0].revents, 0);
    } while (extra[1].revents == 0 && clock_mono_ms() < begin_mono_ms + 10000);
    assert_int_equal(extra[1].revents, POLLIN);
    assert_in_range(clock_mono_ms() - begin_mono_ms, 119, 120 + LATE_MS);
    close(extra[1].fd);
    http_call_free(call);
}

static void
test_a_turn_without_calls_waits_for_its_time(void **state)
{
    struct http_fd quiet = { timer_after_ms(9000), POLLIN, 77 };
    const int64_t begin_mono_ms = clock_mono_ms();

    (void)state;
    assert_int_equal(
        http_turn(fixture.http, &quiet, 1, begin_mono_ms + 100, NULL), 0);
    assert_in_range(clock_mono_ms() - begin_mono_ms, 100, 100 + LATE_MS);
    assert_int_equal(quiet.revents, 0);
    assert_int_equal(
        http_turn(fixture.http, NULL, 0, begin_mono_ms + 150, NULL), 0);
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
    /* Again and again: the first may come between two turns. */
    const struct itimerval when = { { 0, 100000 }, { 0, 100000 } };
    const struct itimerval never = { { 0, 0 }, { 0, 0 } };
    const int64_t begin_mono_ms = clock_mono_ms();
    int turns = 0;

    signal_came = 0;
    assert_int_equal(setitimer(ITIMER_REAL, &when, NULL), 0);
    while (!signal_came && turns++ < 100)
        assert_int_equal(
            http_turn(fixture.http, NULL, 0, begin_mono_ms + 10000, NULL), 0);
    setitimer(ITIMER_REAL, &never, NULL);
    assert_in_range(clock_mono_ms() - begin_mono_ms, 99, 100 + LATE_MS);
}

static void
test_a_signal_ends_the_turn_and_is_no_error(void **state)
{
    const struct sigaction action = { .sa_handler = note_signal };
    struct sigaction old;
    struct http_reader reader = { 0 };
    struct http_call *call;

    (void)state;
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    assert_signal_ends_turn();
    call = http_fixture_start("/hang", (struct http_request){ 0 }, &reader);
    assert_signal_ends_turn();
    assert_false(http_call_is_done(call));
    http_call_free(call);
    sigaction(SIGALRM, &old, NULL);
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
        TEST(test_a_server_that_never_answers_costs_the_first_byte_limit),
        TEST(test_bytes_of_no_substance_do_not_stop_the_first_byte_clock),
        TEST(test_silence_after_the_first_byte_is_noticed_at_the_idle_limit),
        TEST(test_every_byte_winds_the_idle_clock_up_again),
        TEST(test_the_deadline_ends_a_response_that_never_stalls),
        TEST(test_a_handshake_that_hangs_costs_the_connect_limit),
        TEST(test_a_call_that_stalls_does_not_touch_the_other),
        TEST(test_freeing_a_running_call_closes_its_connection_at_once),
        TEST(test_an_extra_descriptor_wakes_the_turn),
        TEST(test_a_turn_without_calls_waits_for_its_time),
        TEST(test_a_signal_ends_the_turn_and_is_no_error),
    };

    return cmocka_run_group_tests(tests, http_fixture_begin_group,
                                  http_fixture_end_group);
}
