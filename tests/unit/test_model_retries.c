/*
 * test_model_retries - app/model/call against providers that fail at first:
 * what is asked again, whom, after which pause, and what is never sent twice.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "client/http.h"
#include "guard/breakers.h"
#include "model/model.h"
#include "support/fake_http.h"
#include "support/listed_http.h"
#include "support/model_fixture.h"

#define PAUSE_MS 50

#define ANSWER LISTED_OK("", TEXT("ok") STOP)
#define BUSY   LISTED_STATUS("503", "{\"error\":{\"code\":503}}")
#define EXHAUSTED(delay) \
    LISTED_STATUS("429", "{\"error\":{\"code\":429,\"details\":[{\"@type\":" \
                         "\"type.googleapis.com/google.rpc.RetryInfo\"," \
                         "\"retryDelay\":\"" delay "\"}]}}")
#define BUSY_EVENT LISTED_OK("", "data: {\"error\":{\"code\":503}}\r\n\r\n")
#define BUSY_LATE \
    LISTED_OK("", TEXT("some") "data: {\"error\":{\"code\":503}}\r\n\r\n")

/* ---- providers that recover ---------------------------------------------- */

struct listed_world {
    struct listed_http *server;
    struct models_config config;
    struct models *models;
    struct model_call *call;
    char url[60];
};

static void
open_listed(struct listed_world *w, const char *const *answers)
{
    w->server = listed_http_start(answers);
    snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%d",
             listed_http_port(w->server));
    w->config = models_config(MODEL_GEMINI, w->url);
    w->config.retries = 2;
    w->config.retry_pause_ms = PAUSE_MS;
}

static void
ask(struct listed_world *w, int64_t within_ms)
{
    w->models = new_models(&w->config);
    w->call = start_call(w->models, MODEL_PRO, within_ms);
    finish_call(w->models, w->call);
}

static void
close_listed(struct listed_world *w)
{
    model_call_free(w->call);
    models_free(w->models);
    listed_http_stop(w->server);
}

static void
assert_attempt(const struct model_call *call, int number, const char *model,
               const char *error_class, long http_status)
{
    const struct model_answer answer = model_call_answer(call);
    const struct model_attempt *attempt = &answer.attempt_log[number];

    assert_in_range(number, 0, answer.attempts - 1);
    assert_string_equal(attempt->model, model);
    assert_string_equal(attempt->error_class, error_class);
    assert_int_equal(attempt->http_status, http_status);
    assert_true(attempt->took_ms >= 0);
}

static void
test_a_busy_provider_is_asked_again(void **state)
{
    static const char *const answers[] = { BUSY, BUSY, ANSWER, NULL };
    struct model_answer answer;
    struct listed_world w;

    (void)state;
    open_listed(&w, answers);
    ask(&w, 8000);
    assert_answer(w.call, MODEL_COMPLETE, "", "ok");
    answer = model_call_answer(w.call);
    assert_int_equal(answer.attempts, 3);
    assert_int_equal(answer.retries, 2);
    assert_int_equal(answer.http_status, 200);
    assert_false(answer.fallback);
    assert_attempt(w.call, 0, "gemini-test", "HttpError503", 503);
    assert_attempt(w.call, 1, "gemini-test", "HttpError503", 503);
    assert_attempt(w.call, 2, "gemini-test", "", 200);
    assert_int_equal(answer.attempt_log[0].wait_ms, 0);
    assert_in_range(answer.attempt_log[1].wait_ms, PAUSE_MS, 2 * PAUSE_MS);
    assert_in_range(answer.attempt_log[2].wait_ms, 2 * PAUSE_MS, 3 * PAUSE_MS);
    assert_true(answer.latency_ms >= 3 * PAUSE_MS);
    assert_int_equal(listed_http_count(w.server), 3);
    assert_string_equal(strstr(listed_http_request(w.server, 2), "\r\n\r\n"),
                        strstr(listed_http_request(w.server, 0), "\r\n\r\n"));
    close_listed(&w);
}

static void
test_the_last_failure_is_that_of_the_call(void **state)
{
    static const char *const answers[] = { BUSY, EXHAUSTED("0s"), BUSY, ANSWER,
                                           NULL };
    struct listed_world w;

    (void)state;
    open_listed(&w, answers);
    ask(&w, 8000);
    assert_answer(w.call, MODEL_UNAVAILABLE, "HttpError503", "");
    assert_int_equal(model_call_answer(w.call).attempts, 3);
    assert_attempt(w.call, 1, "gemini-test", "RateLimited", 429);
    assert_int_equal(model_call_answer(w.call).attempt_log[2].wait_ms, 0);
    assert_int_equal(listed_http_count(w.server), 3);
    close_listed(&w);
}

static void
test_no_retries_means_none(void **state)
{
    static const char *const answers[] = { BUSY, ANSWER, NULL };
    struct listed_world w;

    (void)state;
    open_listed(&w, answers);
    w.config.retries = 0;
    ask(&w, 8000);
    assert_answer(w.call, MODEL_UNAVAILABLE, "HttpError503", "");
    assert_int_equal(listed_http_count(w.server), 1);
    close_listed(&w);
}

static void
test_the_provider_says_how_long(void **state)
{
    static const char *const in_body[] = { EXHAUSTED("0.2s"), ANSWER, NULL };
    static const char *const in_header[] = {
        "HTTP/1.1 503 X\r\nConnection: close\r\nRetry-After: 0.2\r\n\r\n",
        ANSWER, NULL
    };
    static const char *const *const both[] = { in_body, in_header };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct listed_world w;

        open_listed(&w, both[i]);
        ask(&w, 8000);
        assert_answer(w.call, MODEL_COMPLETE, "", "ok");
        assert_in_range(model_call_answer(w.call).attempt_log[1].wait_ms, 200,
                        250);
        assert_true(model_call_answer(w.call).latency_ms >= 200);
        close_listed(&w);
    }
}

static void
test_a_pause_that_would_outlast_the_call_is_not_begun(void **state)
{
    static const char *const answers[] = { EXHAUSTED("36.4s"), ANSWER, NULL };
    struct listed_world w;

    (void)state;
    open_listed(&w, answers);
    ask(&w, 10000);
    assert_answer(w.call, MODEL_UNAVAILABLE, "RateLimited", "");
    assert_true(model_call_answer(w.call).latency_ms < 5000);
    assert_int_equal(listed_http_count(w.server), 1);
    close_listed(&w);

    open_listed(&w, answers); /* nor one that the first-token limit ends */
    w.config.roles[MODEL_PRO].first_token_ms = 3000;
    ask(&w, 60000);
    assert_answer(w.call, MODEL_UNAVAILABLE, "RateLimited", "");
    assert_int_equal(listed_http_count(w.server), 1);
    close_listed(&w);
}

static void
test_an_error_in_the_stream_is_tried_again_while_no_text_came(void **state)
{
    static const char *const early[] = { BUSY_EVENT, ANSWER, NULL };
    static const char *const late[] = { BUSY_LATE, ANSWER, NULL };
    struct listed_world w;

    (void)state;
    open_listed(&w, early);
    ask(&w, 8000);
    assert_answer(w.call, MODEL_COMPLETE, "", "ok");
    assert_attempt(w.call, 0, "gemini-test", "HttpError503", 200);
    close_listed(&w);

    open_listed(&w, late);
    ask(&w, 8000);
    assert_answer(w.call, MODEL_UNAVAILABLE, "HttpError503", "some");
    assert_int_equal(listed_http_count(w.server), 1);
    close_listed(&w);
}

static void
test_what_another_attempt_cannot_mend_is_not_tried_again(void **state)
{
    static const char *const statuses[] = { "400", "401", "404", "500", "504" };

    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        char answer[80];
        const char *const answers[] = { answer, ANSWER, NULL };
        struct listed_world w;

        snprintf(answer, sizeof(answer),
                 "HTTP/1.1 %s X\r\nConnection: close\r\n\r\n{}", statuses[i]);
        open_listed(&w, answers);
        ask(&w, 8000);
        assert_int_equal(listed_http_count(w.server), 1);
        assert_int_equal(model_call_answer(w.call).attempts, 1);
        close_listed(&w);
    }
}

static void
test_a_call_that_is_cancelled_in_its_pause_ends_at_once(void **state)
{
    static const char *const listed[] = { EXHAUSTED("5s"), ANSWER, NULL };
    const int64_t deadline = clock_mono_ms() + 10000;
    struct model_answer answer;
    struct listed_world w;

    (void)state;
    open_listed(&w, listed);
    w.config.roles[MODEL_PRO].first_token_ms = 0;
    w.models = new_models(&w.config);
    w.call = start_call(w.models, MODEL_PRO, 20000);
    while (model_call_answer(w.call).attempts == 0 &&
           clock_mono_ms() < deadline)
        assert_int_equal(
            models_turn(w.models, NULL, 0, clock_mono_ms() + 100, NULL), 0);
    assert_false(model_call_is_done(w.call));
    model_call_cancel(w.call);
    assert_true(model_call_is_done(w.call));
    answer = model_call_answer(w.call);
    assert_int_equal(answer.outcome, MODEL_CANCELLED);
    assert_true(answer.latency_ms < 5000);
    assert_int_equal(answer.attempts, 1);
    assert_int_equal(answer.retries, 0);
    assert_int_equal(listed_http_count(w.server), 1);
    close_listed(&w);
}

/* ---- a server for each path ---------------------------------------------- */

#define OWN   "/v1beta/models/gemini-test"
#define SPARE "/v1beta/models/spare"

static const struct fake_step is_busy[] = {
    FAKE_TEXT("HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"), { 0 }
};
static const struct fake_step is_gone[] = {
    FAKE_TEXT("HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"), { 0 }
};
static const struct fake_step is_refused[] = {
    FAKE_TEXT("HTTP/1.1 400 X\r\nContent-Length: 0\r\n\r\n"), { 0 }
};
static const struct fake_step answers[] = {
    FAKE_TEXT(STREAM_HEAD TEXT("spare") STOP), { .what = FAKE_CLOSE }, { 0 }
};
static const struct fake_step closes[] = { { .what = FAKE_CLOSE }, { 0 } };

struct routed_world {
    struct fake_http *server;
    struct models_config config;
    struct models *models;
    char url[FAKE_URL_LEN];
};

static void
open_routed(struct routed_world *w, const struct fake_route *routes)
{
    w->server = fake_http_start(routes);
    fake_http_url(w->server, "", w->url);
    w->config = models_config(MODEL_GEMINI, w->url);
    w->config.retry_pause_ms = 10;
}

static void
close_routed(struct routed_world *w)
{
    models_free(w->models);
    fake_http_stop(w->server);
    breakers_forget();
}

static int
requests_seen(const struct routed_world *w)
{
    return atomic_load(&fake_http_seen(w->server)->requests);
}

/* A whole call; what it has to say stays readable until the free. */
static struct model_call *
call_to_the_end(struct routed_world *w, enum model_role role)
{
    struct model_call *call = start_call(w->models, role, 8000);

    finish_call(w->models, call);
    return call;
}

/* ---- nothing is sent behind our back ------------------------------------- */

/* The first call leaves its connection; the second one takes it, and the server
 * closes when the POST is in.  curl would send that again if it could. */
static void
assert_every_post_is_an_attempt(int64_t retries)
{
    static const struct fake_step keeps[] = {
        FAKE_TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "0\r\n\r\n"),
        { 0 }
    };
    static const struct fake_route routes[] = { { SPARE, keeps },
                                                { "/", closes },
                                                { NULL, NULL } };
    struct routed_world w;
    struct model_call *call;

    open_routed(&w, routes);
    w.config.roles[MODEL_FLASH].model = "spare";
    w.config.retries = retries;
    w.models = new_models(&w.config);
    model_call_free(call_to_the_end(&w, MODEL_FLASH));
    assert_int_equal(requests_seen(&w), 1);
    call = call_to_the_end(&w, MODEL_PRO);
    assert_answer(call, MODEL_UNAVAILABLE, "ConnectionLost", "");
    assert_int_equal(model_call_answer(call).attempts, 1 + retries);
    assert_int_equal(requests_seen(&w), 2 + retries);
    if (retries > 0) /* it was the kept connection that died */
        assert_int_equal(model_call_answer(call).attempt_log[1].wait_ms, 0);
    model_call_free(call);
    close_routed(&w);
}

static void
test_a_post_on_a_dying_connection_is_sent_once_for_each_attempt(void **state)
{
    (void)state;
    assert_every_post_is_an_attempt(0);
    assert_every_post_is_an_attempt(2);
}

/* ---- the fallback -------------------------------------------------------- */

static void
assert_falls_back(const struct fake_step *own, int64_t retries,
                  const char *error_class)
{
    const struct fake_route routes[] = { { OWN, own },
                                         { SPARE, answers },
                                         { NULL, NULL } };
    struct model_answer answer;
    struct routed_world w;
    struct model_call *call;

    open_routed(&w, routes);
    w.config.roles[MODEL_PRO].fallback = "spare";
    w.config.retries = retries;
    w.models = new_models(&w.config);
    call = call_to_the_end(&w, MODEL_PRO);
    assert_answer(call, MODEL_COMPLETE, "", "spare");
    answer = model_call_answer(call);
    assert_true(answer.fallback);
    assert_int_equal(answer.attempts, 2 + retries);
    assert_attempt(call, 0, "gemini-test", error_class,
                   answer.attempt_log[0].http_status);
    assert_attempt(call, answer.attempts - 1, "spare", "", 200);
    model_call_free(call);
    close_routed(&w);
}

static void
test_the_fallback_answers_for_a_model_that_is_not_to_be_had(void **state)
{
    (void)state;
    assert_falls_back(is_busy, 1, "HttpError503");
    assert_falls_back(is_gone, 0, "ModelNotFound");
    assert_falls_back(closes, 0, "ConnectionLost");
}

static void
test_the_fallback_is_not_asked_what_is_wrong_for_all(void **state)
{
    static const struct fake_route routes[] = { { OWN, is_refused },
                                                { SPARE, answers },
                                                { NULL, NULL } };
    struct routed_world w;
    struct model_call *call;

    (void)state;
    open_routed(&w, routes);
    w.config.roles[MODEL_PRO].fallback = "spare";
    w.models = new_models(&w.config);
    call = call_to_the_end(&w, MODEL_PRO);
    assert_answer(call, MODEL_FAILED, "HttpError4xx", "");
    assert_false(model_call_answer(call).fallback);
    assert_int_equal(requests_seen(&w), 1);
    model_call_free(call);
    close_routed(&w);
}

static void
test_a_fallback_that_fails_too_has_the_last_word(void **state)
{
    static const struct fake_route routes[] = { { OWN, is_busy },
                                                { SPARE, is_gone },
                                                { NULL, NULL } };
    struct routed_world w;
    struct model_call *call;

    (void)state;
    open_routed(&w, routes);
    w.config.roles[MODEL_PRO].fallback = "spare";
    w.models = new_models(&w.config);
    call = call_to_the_end(&w, MODEL_PRO);
    assert_answer(call, MODEL_UNAVAILABLE, "ModelNotFound", "");
    assert_true(model_call_answer(call).fallback);
    assert_int_equal(requests_seen(&w), 2);
    model_call_free(call);
    close_routed(&w);
}

static void
test_a_fallback_is_checked_like_a_model(void **state)
{
    struct models_config config = models_config(MODEL_GEMINI, "");
    struct err err = { 0 };

    (void)state;
    config.roles[MODEL_FLASH].fallback = "no/../good?";
    assert_int_equal(models_check(&config, &err), -1);
    assert_non_null(strstr(err.text, "flash model: fallback"));
}

/* ---- the breaker --------------------------------------------------------- */

static const struct breaker_policy touchy = { .failures = 2,
                                              .window_ms = 60000,
                                              .open_ms = 200 };

static void
assert_call(struct routed_world *w, const char *error_class, int requests)
{
    struct model_call *call = call_to_the_end(w, MODEL_PRO);

    assert_string_equal(model_call_answer(call).error_class, error_class);
    assert_int_equal(requests_seen(w), requests);
    model_call_free(call);
}

static void
test_an_open_breaker_saves_the_call(void **state)
{
    static const struct fake_route routes[] = { { OWN, is_busy },
                                                { NULL, NULL } };
    struct routed_world w;
    struct model_call *call;

    (void)state;
    open_routed(&w, routes);
    w.config.breaker = touchy;
    w.config.retries = 1;
    w.models = new_models(&w.config);
    assert_call(&w, "HttpError503", 2); /* two attempts, one failure */
    assert_int_equal(breakers_state(BREAKERS_PRO), BREAKER_CLOSED);
    assert_call(&w, "HttpError503", 4);
    assert_int_equal(breakers_state(BREAKERS_PRO), BREAKER_OPEN);
    call = start_call(w.models, MODEL_PRO, 8000);
    assert_true(model_call_is_done(call)); /* without a turn */
    assert_answer(call, MODEL_UNAVAILABLE, "CircuitOpen", "");
    assert_int_equal(model_call_answer(call).attempts, 0);
    assert_int_equal(requests_seen(&w), 4);
    model_call_free(call);
    model_call_free(call_to_the_end(&w, MODEL_FLASH)); /* has its own */
    assert_int_equal(requests_seen(&w), 6);
    usleep(250000);                     /* the breaker's own time */
    assert_call(&w, "HttpError503", 8); /* the probe */
    assert_call(&w, "CircuitOpen", 8);
    close_routed(&w);
}

static void
test_a_probe_that_is_cut_short_makes_room_for_the_next(void **state)
{
    static const struct fake_step hangs[] = { { .what = FAKE_HANG }, { 0 } };
    static const struct fake_route routes[] = { { OWN, hangs },
                                                { NULL, NULL } };
    struct routed_world w;
    struct model_call *probe, *next;

    (void)state;
    open_routed(&w, routes);
    w.config.breaker = touchy;
    w.config.breaker.open_ms = 1;
    w.models = new_models(&w.config);
    for (int i = 0; i < 2; i++)
        breakers_tell(BREAKERS_PRO, &touchy, BREAKER_PASSED, BREAKER_FAILED);
    usleep(250000); /* the breaker's own time */
    probe = start_call(w.models, MODEL_PRO, 8000);
    assert_false(model_call_is_done(probe));
    next = start_call(w.models, MODEL_PRO, 8000);
    assert_answer(next, MODEL_UNAVAILABLE, "CircuitOpen", "");
    model_call_free(next);
    model_call_cancel(probe);
    next = start_call(w.models, MODEL_PRO, 8000);
    assert_false(model_call_is_done(next));
    model_call_free(next);
    model_call_free(probe);
    close_routed(&w);
}

static void
test_the_fallback_has_a_breaker_of_its_own(void **state)
{
    static const struct fake_route routes[] = { { OWN, is_busy },
                                                { SPARE, answers },
                                                { NULL, NULL } };
    struct routed_world w;
    struct model_call *call;

    (void)state;
    open_routed(&w, routes);
    w.config.breaker = touchy;
    w.config.breaker.open_ms = 60000;
    w.config.roles[MODEL_PRO].fallback = "spare";
    w.models = new_models(&w.config);
    assert_call(&w, "", 2);
    assert_call(&w, "", 4);
    assert_int_equal(breakers_state(BREAKERS_PRO), BREAKER_OPEN);
    assert_call(&w, "", 5); /* only the fallback was asked */
    assert_int_equal(breakers_state(BREAKERS_PRO_FALLBACK), BREAKER_CLOSED);
    for (int i = 0; i < 2; i++)
        breakers_tell(BREAKERS_PRO_FALLBACK, &w.config.breaker, BREAKER_PASSED,
                      BREAKER_FAILED);
    call = call_to_the_end(&w, MODEL_PRO);
    assert_answer(call, MODEL_UNAVAILABLE, "CircuitOpen", "");
    assert_int_equal(requests_seen(&w), 5);
    model_call_free(call);
    close_routed(&w);
}

static int
open_all(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return breakers_init(NULL) == 0 ? http_global_init(NULL) : -1;
}

static int
close_all(void **state)
{
    (void)state;
    http_global_cleanup();
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_busy_provider_is_asked_again),
        cmocka_unit_test(test_the_last_failure_is_that_of_the_call),
        cmocka_unit_test(test_no_retries_means_none),
        cmocka_unit_test(test_the_provider_says_how_long),
        cmocka_unit_test(test_a_pause_that_would_outlast_the_call_is_not_begun),
        cmocka_unit_test(
            test_an_error_in_the_stream_is_tried_again_while_no_text_came),
        cmocka_unit_test(
            test_what_another_attempt_cannot_mend_is_not_tried_again),
        cmocka_unit_test(
            test_a_call_that_is_cancelled_in_its_pause_ends_at_once),
        cmocka_unit_test(
            test_a_post_on_a_dying_connection_is_sent_once_for_each_attempt),
        cmocka_unit_test(
            test_the_fallback_answers_for_a_model_that_is_not_to_be_had),
        cmocka_unit_test(test_the_fallback_is_not_asked_what_is_wrong_for_all),
        cmocka_unit_test(test_a_fallback_that_fails_too_has_the_last_word),
        cmocka_unit_test(test_a_fallback_is_checked_like_a_model),
        cmocka_unit_test(test_an_open_breaker_saves_the_call),
        cmocka_unit_test(
            test_a_probe_that_is_cut_short_makes_room_for_the_next),
        cmocka_unit_test(test_the_fallback_has_a_breaker_of_its_own),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
