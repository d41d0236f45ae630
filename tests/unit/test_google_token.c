/*
 * test_google_token - lib/client/google_token against a token endpoint of our
 * own: when a token is fetched, kept, replaced and forgotten.
 *
 * Ages are not waited for: the token takes its now from the caller.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/clock.h"
#include "client/google_token.h"
#include "client/http.h"
#include "support/listed_http.h"

#define HOUR_MS 3600000

static struct http *http;

/* ---- the cache ---------------------------------------------------------- */

#define GRANT(token, seconds) \
    LISTED_OK("Metadata-Flavor: Google\r\n", \
              "{\"access_token\":\"" token "\",\"expires_in\":" seconds "}")

#define DENIED \
    "HTTP/1.1 400 X\r\nConnection: close\r\nMetadata-Flavor: Google\r\n\r\n" \
    "{\"error\":\"invalid_grant\"}"

struct fixture {
    struct listed_http *server;
    struct google_token *token;
    int64_t start_mono_ms; /* now, as the token is told */
};

static void
open_fixture(struct fixture *f, const char *const *answers)
{
    char host[40];

    f->server = listed_http_start(answers);
    snprintf(host, sizeof(host), "127.0.0.1:%d", listed_http_port(f->server));
    f->token = google_token_new("", host, http, NULL);
    assert_non_null(f->token);
    f->start_mono_ms = clock_mono_ms();
}

static void
close_fixture(struct fixture *f)
{
    google_token_free(f->token);
    listed_http_stop(f->server);
}

static void
want(struct fixture *f, int64_t age_ms)
{
    assert_int_equal(
        google_token_want(f->token, f->start_mono_ms + age_ms, NULL), 0);
}

static enum google_token_state
state_at(const struct fixture *f, int64_t age_ms)
{
    return google_token_state(f->token, f->start_mono_ms + age_ms);
}

/* Turns the loop until the server has answered count requests, and then often
 * enough to take in an answer that is all there. */
static void
settle(struct fixture *f, size_t count, int64_t age_ms)
{
    const int64_t deadline = clock_mono_ms() + 20000;
    int turns = 8;

    while (turns > 0 && clock_mono_ms() < deadline) {
        turns -= listed_http_answered(f->server) >= count;
        assert_int_equal(http_turn(http, NULL, 0, clock_mono_ms() + 5, NULL),
                         0);
        google_token_collect(f->token, f->start_mono_ms + age_ms);
    }
    assert_int_equal(listed_http_count(f->server), count);
}

static void
test_a_token_is_fetched_once_and_kept(void **state)
{
    static const char *const answers[] = { GRANT("t1", "3600"), NULL };
    struct fixture f;

    (void)state;
    open_fixture(&f, answers);
    assert_int_equal(state_at(&f, 0), GOOGLE_TOKEN_FAILED);
    want(&f, 0);
    want(&f, 0); /* one fetch for both */
    assert_int_equal(state_at(&f, 0), GOOGLE_TOKEN_FETCHING);
    settle(&f, 1, 0);
    assert_int_equal(state_at(&f, 0), GOOGLE_TOKEN_READY);
    assert_string_equal(google_token_bearer(f.token), "t1");
    want(&f, HOUR_MS / 2);
    settle(&f, 1, HOUR_MS / 2);
    assert_non_null(strstr(listed_http_request(f.server, 0),
                           "GET /computeMetadata/v1/instance/service-accounts/"
                           "default/token HTTP/1.1\r\n"));
    assert_non_null(strstr(listed_http_request(f.server, 0),
                           "Metadata-Flavor: Google\r\n"));
    close_fixture(&f);
}

static void
test_a_stale_token_is_used_while_the_next_is_fetched(void **state)
{
    static const char *const answers[] = { GRANT("t1", "3600"),
                                           GRANT("t2", "3600"), NULL };
    const int64_t stale = HOUR_MS - GOOGLE_TOKEN_STALE_MS;
    struct fixture f;
    unsigned serial;

    (void)state;
    open_fixture(&f, answers);
    want(&f, 0);
    settle(&f, 1, 0);
    serial = google_token_serial(f.token);
    want(&f, stale - GOOGLE_TOKEN_JITTER_MS - 1); /* before any jitter */
    settle(&f, 1, stale - GOOGLE_TOKEN_JITTER_MS - 1);
    want(&f, stale);
    assert_int_equal(state_at(&f, stale), GOOGLE_TOKEN_READY);
    assert_string_equal(google_token_bearer(f.token), "t1");
    settle(&f, 2, stale);
    assert_string_equal(google_token_bearer(f.token), "t2");
    assert_int_not_equal(google_token_serial(f.token), serial);
    assert_int_equal(state_at(&f, stale + HOUR_MS / 2), GOOGLE_TOKEN_READY);
    close_fixture(&f);
}

static void
test_a_failed_refresh_keeps_a_token_that_is_still_good(void **state)
{
    static const char *const answers[] = { GRANT("t1", "3600"),
                                           LISTED_STATUS("500", ""), DENIED,
                                           NULL };
    const int64_t stale = HOUR_MS - GOOGLE_TOKEN_STALE_MS;
    struct fixture f;

    (void)state;
    open_fixture(&f, answers);
    want(&f, 0);
    settle(&f, 1, 0);
    want(&f, stale);
    settle(&f, 2, stale);
    assert_int_equal(state_at(&f, stale), GOOGLE_TOKEN_READY);
    assert_string_equal(google_token_bearer(f.token), "t1");
    want(&f, stale + 9000); /* not again so soon */
    settle(&f, 2, stale + 9000);
    want(&f, stale + 11000);
    settle(&f, 3, stale + 11000);
    assert_int_equal(state_at(&f, stale + 11000), GOOGLE_TOKEN_READY);
    assert_int_equal(state_at(&f, HOUR_MS - GOOGLE_TOKEN_MARGIN_MS),
                     GOOGLE_TOKEN_DENIED);
    close_fixture(&f);
}

static void
test_without_a_token_each_want_fetches_at_once(void **state)
{
    static const char *const answers[] = { DENIED, LISTED_STATUS("503", ""),
                                           GRANT("t3", "\"3600\""), NULL };
    struct fixture f;

    (void)state;
    open_fixture(&f, answers);
    want(&f, 0);
    settle(&f, 1, 0);
    assert_int_equal(state_at(&f, 0), GOOGLE_TOKEN_DENIED);
    want(&f, 1);
    settle(&f, 2, 1);
    assert_int_equal(state_at(&f, 1), GOOGLE_TOKEN_FAILED);
    want(&f, 2);
    settle(&f, 3, 2);
    assert_int_equal(state_at(&f, 2), GOOGLE_TOKEN_READY);
    close_fixture(&f);
}

static void
test_a_rejected_token_is_forgotten_once(void **state)
{
    static const char *const answers[] = { GRANT("t1", "3600"),
                                           GRANT("t2", "3600"), NULL };
    struct fixture f;
    unsigned first;

    (void)state;
    open_fixture(&f, answers);
    want(&f, 0);
    settle(&f, 1, 0);
    first = google_token_serial(f.token);
    google_token_reject(f.token, first);
    want(&f, 1);
    assert_int_equal(state_at(&f, 1), GOOGLE_TOKEN_FETCHING);
    settle(&f, 2, 1);
    google_token_reject(f.token, first); /* late news of the old one */
    assert_int_equal(state_at(&f, 1), GOOGLE_TOKEN_READY);
    assert_string_equal(google_token_bearer(f.token), "t2");
    close_fixture(&f);
}

static void
test_an_answer_that_is_not_googles_is_not_believed(void **state)
{
    static const char *const answers[] = {
        LISTED_OK("", "{\"access_token\":\"t\",\"expires_in\":3600}"), NULL
    };
    struct fixture f;

    (void)state;
    open_fixture(&f, answers);
    want(&f, 0);
    settle(&f, 1, 0);
    assert_int_equal(state_at(&f, 0), GOOGLE_TOKEN_FAILED);
    close_fixture(&f);
}

static void
test_a_token_about_to_end_is_none(void **state)
{
    static const char *const answers[] = { GRANT("t1", "10"),
                                           GRANT("t2", "3600"),
                                           GRANT("t3", "10"), NULL };
    const int64_t stale = HOUR_MS - GOOGLE_TOKEN_STALE_MS;
    struct fixture f;

    (void)state;
    open_fixture(&f, answers);
    want(&f, 0);
    settle(&f, 1, 0);
    assert_int_equal(state_at(&f, 0), GOOGLE_TOKEN_FAILED);
    want(&f, 0);
    settle(&f, 2, 0);
    want(&f, stale);
    settle(&f, 3, stale);
    assert_int_equal(state_at(&f, stale), GOOGLE_TOKEN_READY);
    assert_string_equal(google_token_bearer(f.token), "t2");
    close_fixture(&f);
}

static void
test_a_fetch_that_nobody_drove_is_begun_anew(void **state)
{
    static const char *const answers[] = { LISTED_SILENCE, GRANT("t2", "3600"),
                                           NULL };
    struct fixture f;

    (void)state;
    open_fixture(&f, answers);
    want(&f, 0);
    settle(&f, 1, 0);
    assert_int_equal(state_at(&f, 0), GOOGLE_TOKEN_FETCHING);
    want(&f, 20000);
    settle(&f, 2, 20000);
    assert_int_equal(state_at(&f, 20000), GOOGLE_TOKEN_READY);
    assert_string_equal(google_token_bearer(f.token), "t2");
    close_fixture(&f);
}

static void
test_a_file_of_credentials_posts_its_form(void **state)
{
    static const char *const answers[] = {
        LISTED_OK("", "{\"access_token\":\"t1\",\"expires_in\":3600}"), NULL
    };
    struct fixture f = { .start_mono_ms = clock_mono_ms() };
    char path[] = "/tmp/test_google_token.XXXXXX";
    const int fd = mkstemp(path);
    char url[60];
    json_t *file =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "authorized_user",
                  "client_id", "id-1", "client_secret", "s", "refresh_token",
                  "r", "quota_project_id", "bill-me");

    (void)state;
    assert_int_not_equal(fd, -1);
    f.server = listed_http_start(answers);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/token",
             listed_http_port(f.server));
    json_object_set_new(file, "token_uri", json_string(url));
    assert_int_equal(json_dumpfd(file, fd, 0), 0);
    json_decref(file);
    close(fd);
    f.token = google_token_new(path, "", http, NULL);
    unlink(path);
    assert_non_null(f.token);
    want(&f, 0);
    settle(&f, 1, 0);
    assert_string_equal(google_token_bearer(f.token), "t1");
    assert_string_equal(google_token_quota_project(f.token), "bill-me");
    assert_non_null(
        strstr(listed_http_request(f.server, 0), "POST /token HTTP/1.1\r\n"));
    assert_non_null(strstr(listed_http_request(f.server, 0),
                           "\r\n\r\ngrant_type=refresh_token&client_id="));
    close_fixture(&f);
}

/* ---- all of them -------------------------------------------------------- */

static int
open_all(void **state)
{
    const struct http_limits limits = { .max_calls = 4,
                                        .max_response_bytes = 1u << 20 };

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    if (http_global_init(NULL) == -1)
        return -1;
    http = http_new(&limits, NULL);
    return http != NULL ? 0 : -1;
}

static int
close_all(void **state)
{
    (void)state;
    http_free(http);
    http_global_cleanup();
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_is_fetched_once_and_kept),
        cmocka_unit_test(test_a_stale_token_is_used_while_the_next_is_fetched),
        cmocka_unit_test(
            test_a_failed_refresh_keeps_a_token_that_is_still_good),
        cmocka_unit_test(test_without_a_token_each_want_fetches_at_once),
        cmocka_unit_test(test_a_rejected_token_is_forgotten_once),
        cmocka_unit_test(test_an_answer_that_is_not_googles_is_not_believed),
        cmocka_unit_test(test_a_token_about_to_end_is_none),
        cmocka_unit_test(test_a_fetch_that_nobody_drove_is_begun_anew),
        cmocka_unit_test(test_a_file_of_credentials_posts_its_form),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
