/*
 * test_model_token - app/model/call on Vertex AI: no call without a token, and
 * a second attempt only after a 401.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/http.h"
#include "model/model.h"
#include "support/listed_http.h"
#include "support/model_fixture.h"

/* ---- Google's token ----------------------------------------------------- */

#define GRANT(token) \
    LISTED_OK("Metadata-Flavor: Google\r\n", \
              "{\"access_token\":\"" token "\",\"expires_in\":3600}")
#define ANSWER LISTED_OK("", TEXT("ok") STOP)

struct google_world {
    struct listed_http *tokens;
    struct listed_http *api;
    struct models_config config;
    struct models *models;
    char metadata_host[40];
    char api_url[60];
};

static void
open_google(struct google_world *w, const char *const *tokens,
            const char *const *answers)
{
    w->tokens = listed_http_start(tokens);
    w->api = listed_http_start(answers);
    snprintf(w->metadata_host, sizeof(w->metadata_host), "127.0.0.1:%d",
             listed_http_port(w->tokens));
    snprintf(w->api_url, sizeof(w->api_url), "http://127.0.0.1:%d",
             listed_http_port(w->api));
    w->config = models_config(MODEL_VERTEX, w->api_url);
    w->config.metadata_host = w->metadata_host;
    w->models = new_models(&w->config);
}

static void
close_google(struct google_world *w)
{
    models_free(w->models);
    listed_http_stop(w->api);
    listed_http_stop(w->tokens);
}

static void
test_both_calls_wait_for_one_token_and_use_it(void **state)
{
    static const char *const tokens[] = { GRANT("t1"), NULL };
    static const char *const answers[] = { ANSWER, NULL };
    struct model_call *flash, *pro;
    struct google_world w;

    (void)state;
    open_google(&w, tokens, answers);
    flash = start_call(w.models, MODEL_FLASH, 4000);
    pro = start_call(w.models, MODEL_PRO, 4000);
    finish_call(w.models, flash);
    finish_call(w.models, pro);
    assert_answer(flash, MODEL_COMPLETE, "", "ok");
    assert_answer(pro, MODEL_COMPLETE, "", "ok");
    assert_int_equal(listed_http_count(w.tokens), 1);
    assert_int_equal(listed_http_count(w.api), 2);
    assert_non_null(
        strstr(listed_http_request(w.api, 0), "Authorization: Bearer t1\r\n"));
    assert_non_null(strstr(listed_http_request(w.api, 0),
                           "POST /v1/projects/acme/locations/global/publishers/"
                           "google/models/gemini-test:streamGenerateContent"
                           "?alt=sse HTTP/1.1\r\n"));
    assert_null(strstr(listed_http_request(w.api, 0), SECRET));
    model_call_free(flash);
    model_call_free(pro);
    close_google(&w);
}

static void
test_a_401_is_tried_once_more_with_a_new_token(void **state)
{
    static const char *const tokens[] = { GRANT("t1"), GRANT("t2"), NULL };
    static const char *const answers[] = { LISTED_STATUS("401", "{}"), ANSWER,
                                           NULL };
    struct google_world w;
    struct model_call *call;

    (void)state;
    open_google(&w, tokens, answers);
    call = start_call(w.models, MODEL_PRO, 4000);
    finish_call(w.models, call);
    assert_answer(call, MODEL_COMPLETE, "", "ok");
    assert_int_equal(model_call_answer(call).attempts, 2);
    assert_non_null(
        strstr(listed_http_request(w.api, 1), "Authorization: Bearer t2\r\n"));
    assert_non_null(strstr(listed_http_request(w.api, 1), "Why?"));
    model_call_free(call);
    close_google(&w);
}

static void
test_a_second_401_is_final(void **state)
{
    static const char *const tokens[] = { GRANT("t1"), GRANT("t2"), NULL };
    static const char *const answers[] = { LISTED_STATUS("401", "{}"), NULL };
    struct google_world w;
    struct model_call *call;

    (void)state;
    open_google(&w, tokens, answers);
    call = start_call(w.models, MODEL_PRO, 4000);
    finish_call(w.models, call);
    assert_answer(call, MODEL_UNAVAILABLE, "AuthError", "");
    assert_int_equal(model_call_answer(call).attempts, 2);
    assert_int_equal(model_call_answer(call).http_status, 401);
    assert_int_equal(listed_http_count(w.api), 2);
    model_call_free(call);
    close_google(&w);
}

static void
assert_no_token(const char *const *tokens, enum model_outcome outcome,
                const char *error_class)
{
    static const char *const answers[] = { ANSWER, NULL };
    struct google_world w;
    struct model_call *call;

    open_google(&w, tokens, answers);
    call = start_call(w.models, MODEL_PRO, 300);
    finish_call(w.models, call);
    assert_answer(call, outcome, error_class, "");
    assert_int_equal(model_call_answer(call).attempts, 0);
    assert_int_equal(listed_http_count(w.api), 0);
    if (outcome == MODEL_TIMED_OUT)
        assert_took(call, 300);
    model_call_free(call);
    close_google(&w);
}

static void
test_without_a_token_nothing_is_sent(void **state)
{
    static const char *const denied[] = {
        "HTTP/1.1 404 X\r\nConnection: close\r\nMetadata-Flavor: Google\r\n"
        "\r\n",
        NULL
    };
    static const char *const broken[] = { LISTED_STATUS("500", ""), NULL };
    static const char *const silent[] = { LISTED_SILENCE, NULL };

    (void)state;
    assert_no_token(denied, MODEL_UNAVAILABLE, "AuthError");
    assert_no_token(broken, MODEL_UNAVAILABLE, "TokenError");
    assert_no_token(silent, MODEL_TIMED_OUT, "TotalTimeout");
}

static void
test_the_wait_for_a_token_counts_as_wait_for_the_first_token(void **state)
{
    static const char *const silent[] = { LISTED_SILENCE, NULL };
    static const char *const answers[] = { ANSWER, NULL };
    struct google_world w;
    struct model_call *call;

    (void)state;
    open_google(&w, silent, answers);
    models_free(w.models);
    w.config.roles[MODEL_PRO].first_token_ms = 250;
    w.models = new_models(&w.config);
    call = start_call(w.models, MODEL_PRO, 4000);
    finish_call(w.models, call);
    assert_answer(call, MODEL_TIMED_OUT, "FirstTokenTimeout", "");
    assert_took(call, 250);
    model_call_free(call);
    close_google(&w);
}

static int
open_all(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return http_global_init(NULL);
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
        cmocka_unit_test(test_both_calls_wait_for_one_token_and_use_it),
        cmocka_unit_test(test_a_401_is_tried_once_more_with_a_new_token),
        cmocka_unit_test(test_a_second_401_is_final),
        cmocka_unit_test(test_without_a_token_nothing_is_sent),
        cmocka_unit_test(
            test_the_wait_for_a_token_counts_as_wait_for_the_first_token),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
