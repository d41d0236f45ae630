/*
 * test_model - app/model/model and call against servers that answer, break off
 * and refuse.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "client/http.h"
#include "model/model.h"
#include "support/fake_http.h"
#include "support/model_fixture.h"

/* ---- answers ------------------------------------------------------------ */

static void
test_a_gemini_answer_is_whole(void **state)
{
    static const struct fake_step steps[] = {
        FAKE_TEXT(STREAM_HEAD TEXT("Be") TEXT("cause.") STOP),
        { .what = FAKE_CLOSE },
        { 0 },
    };
    struct model_answer answer;
    struct model_call *call;
    struct world w;
    const char *head;

    (void)state;
    open_world(&w, MODEL_GEMINI, steps);
    w.models = new_models(&w.config);
    call = start_call(w.models, MODEL_FLASH, 4500);
    assert_int_equal(model_call_answer(call).outcome, MODEL_PENDING);
    finish_call(w.models, call);
    assert_answer(call, MODEL_COMPLETE, "", "Because.");
    answer = model_call_answer(call);
    assert_true(model_outcome_is_answer(answer.outcome));
    assert_string_equal(answer.served_model, "models/gemini-test-001");
    assert_string_equal(answer.response_id, "r-1");
    assert_string_equal(answer.finish_reason, "STOP");
    assert_int_equal(answer.http_status, 200);
    assert_int_equal(answer.attempts, 1);
    assert_int_equal(answer.usage.total_tokens, 8);
    assert_false(answer.rerouted);
    assert_false(answer.transport_unclean);
    assert_in_range(answer.first_token_ms, 0, answer.latency_ms);
    assert_true(answer.started_unix_us <= clock_unix_us());
    head = fake_http_seen(w.server)->last_head;
    assert_non_null(strstr(head, "POST /v1beta/models/gemini-test:"
                                 "streamGenerateContent?alt=sse HTTP/1.1\r\n"));
    assert_non_null(strstr(head, "x-goog-api-key: " SECRET "\r\n"));
    assert_non_null(strstr(head, "X-Server-Timeout: 5\r\n"));
    assert_null(strstr(head, "Expect:"));
    model_call_free(call);
    close_world(&w);
}

static void
test_an_openai_answer_is_whole_and_rerouting_shows(void **state)
{
    static const struct fake_step steps[] = {
        FAKE_TEXT(STREAM_HEAD CHAT("Be", "null")
                      CHAT("cause.", "\"stop\"") "data: [DONE]\n\n"),
        { .what = FAKE_CLOSE },
        { 0 },
    };
    struct model_call *call;
    struct world w;

    (void)state;
    open_world(&w, MODEL_OPENAI, steps);
    w.models = new_models(&w.config);
    call = start_call(w.models, MODEL_PRO, 4500);
    finish_call(w.models, call);
    assert_answer(call, MODEL_COMPLETE, "", "Because.");
    assert_string_equal(model_call_answer(call).served_model, "gpt-x-2026");
    assert_true(model_call_answer(call).rerouted);
    assert_non_null(strstr(fake_http_seen(w.server)->last_head,
                           "POST /chat/completions HTTP/1.1\r\n"));
    assert_non_null(strstr(fake_http_seen(w.server)->last_head,
                           "Authorization: Bearer " SECRET "\r\n"));
    model_call_free(call);
    close_world(&w);
}

static void
test_the_content_type_decides_nothing(void **state)
{
    static const char *const types[] = {
        "Text/Event-Stream; Charset=\"UTF-8\"",
        "application/json",
        "text/html",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        char response[1000];
        const struct fake_step steps[] = {
            FAKE_TEXT(response),
            { .what = FAKE_CLOSE },
            { 0 },
        };
        struct model_call *call;
        struct world w;

        snprintf(response, sizeof(response),
                 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n"
                 "\r\n%s",
                 types[i], TEXT("ok") STOP);
        open_world(&w, MODEL_GEMINI, steps);
        w.models = new_models(&w.config);
        call = start_call(w.models, MODEL_FLASH, 4500);
        finish_call(w.models, call);
        assert_answer(call, MODEL_COMPLETE, "", "ok");
        model_call_free(call);
        close_world(&w);
    }
}

static void
test_two_calls_run_side_by_side_and_connections_are_kept(void **state)
{
    static const char body[] = TEXT("ok") STOP;
    char response[2000];
    const struct fake_step steps[] = {
        { .what = FAKE_WAIT, .ms = 2000 },
        FAKE_TEXT(response),
        { 0 },
    };
    struct model_call *flash, *pro;
    struct world w;
    int64_t begun;

    (void)state;
    snprintf(response, sizeof(response),
             "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
             body);
    open_world(&w, MODEL_GEMINI, steps);
    w.models = new_models(&w.config);
    for (int round = 0; round < 2; round++) {
        begun = clock_mono_ms();
        flash = start_call(w.models, MODEL_FLASH, 8000);
        pro = start_call(w.models, MODEL_PRO, 8000);
        finish_call(w.models, flash);
        finish_call(w.models, pro);
        assert_in_range(clock_mono_ms() - begun, 1990, 3990);
        assert_answer(flash, MODEL_COMPLETE, "", "ok");
        assert_answer(pro, MODEL_COMPLETE, "", "ok");
        model_call_free(flash);
        model_call_free(pro);
    }
    assert_int_equal(fake_http_seen(w.server)->requests, 4);
    assert_int_equal(fake_http_seen(w.server)->connections, 2);
    close_world(&w);
}

#define MEGABYTE (1u << 20)

/* Events of many sizes whose texts together are a megabyte of changing
 * characters of one to four bytes; text gets what they say. */
static char *
megabyte_stream(char *text)
{
    static const char *const characters[] = { "a", "\xc3\xa9", "\xe4\xbd\xa0",
                                              "\xf0\x9f\x98\x80", "z" };
    char *stream = malloc(4 * MEGABYTE);
    size_t len = (size_t)sprintf(stream, "%s", STREAM_HEAD);
    size_t text_len = 0;

    for (size_t i = 0; text_len < MEGABYTE - 4; i++) {
        len += (size_t)sprintf(stream + len, "data: {\"candidates\":[{"
                                             "\"content\":{\"parts\":[{"
                                             "\"text\":\"");
        for (size_t k = 0; k < i % 97 && text_len < MEGABYTE - 4; k++) {
            const char *c = characters[(i * 7 + k * 3) % 5];

            memcpy(text + text_len, c, strlen(c));
            memcpy(stream + len, c, strlen(c));
            text_len += strlen(c);
            len += strlen(c);
        }
        len += (size_t)sprintf(stream + len, "\"}]}}]}\r\n\r\n");
    }
    text[text_len] = '\0';
    sprintf(stream + len, "%s", STOP);
    return stream;
}

static void
test_a_megabyte_arrives_byte_for_byte(void **state)
{
    static char text[MEGABYTE];
    char *stream = megabyte_stream(text);
    const struct fake_step steps[] = {
        { .what = FAKE_SEND, .bytes = stream },
        { .what = FAKE_CLOSE },
        { 0 },
    };
    struct model_call *call;
    struct world w;

    (void)state;
    open_world(&w, MODEL_GEMINI, steps);
    w.models = new_models(&w.config);
    call = start_call(w.models, MODEL_PRO, 9000);
    finish_call(w.models, call);
    assert_int_equal(model_call_answer(call).outcome, MODEL_COMPLETE);
    assert_int_equal(model_call_answer(call).text_len, strlen(text));
    assert_memory_equal(model_call_answer(call).text, text, strlen(text));
    model_call_free(call);
    close_world(&w);
    free(stream);
}

static void
test_an_answer_over_the_limit_is_too_large(void **state)
{
    static const struct fake_step steps[] = {
        FAKE_TEXT(STREAM_HEAD TEXT("1234") TEXT("5678") TEXT("90")),
        { .what = FAKE_HANG },
        { 0 },
    };
    struct model_call *call;
    struct world w;

    (void)state;
    open_world(&w, MODEL_GEMINI, steps);
    w.config.max_answer_bytes = 9;
    w.models = new_models(&w.config);
    call = start_call(w.models, MODEL_PRO, 4000);
    finish_call(w.models, call);
    assert_answer(call, MODEL_FAILED, "TooLarge", "12345678");
    model_call_free(call);
    close_world(&w);
}

/* ---- broken off --------------------------------------------------------- */

static void
assert_ends(const struct fake_step *steps, enum model_outcome outcome,
            const char *error_class, const char *text, bool unclean)
{
    struct model_call *call;
    struct world w;

    open_world(&w, MODEL_GEMINI, steps);
    w.models = new_models(&w.config);
    call = start_call(w.models, MODEL_PRO, 4000);
    finish_call(w.models, call);
    assert_answer(call, outcome, error_class, text);
    assert_int_equal(model_call_answer(call).transport_unclean, unclean);
    assert_int_equal(model_call_answer(call).attempts, 1);
    model_call_free(call);
    close_world(&w);
}

#define LONG_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"

static void
test_a_connection_that_breaks_leaves_part_of_an_answer(void **state)
{
    static const struct fake_step closed[] = {
        FAKE_TEXT(STREAM_HEAD TEXT("half")), { .what = FAKE_CLOSE }, { 0 }
    };
    static const struct fake_step cut[] = { FAKE_TEXT(LONG_HEAD TEXT("half")),
                                            { .what = FAKE_CLOSE },
                                            { 0 } };
    static const struct fake_step reset[] = { FAKE_TEXT(LONG_HEAD TEXT("half")),
                                              { .what = FAKE_WAIT, .ms = 100 },
                                              { .what = FAKE_RESET },
                                              { 0 } };
    static const struct fake_step silent[] = { { .what = FAKE_CLOSE }, { 0 } };
    static const struct fake_step empty[] = { FAKE_TEXT(STREAM_HEAD),
                                              { .what = FAKE_CLOSE },
                                              { 0 } };

    (void)state;
    assert_ends(closed, MODEL_INCOMPLETE, "StreamCut", "half", false);
    assert_ends(cut, MODEL_INCOMPLETE, "StreamCut", "half", false);
    assert_ends(reset, MODEL_INCOMPLETE, "StreamCut", "half", false);
    assert_ends(silent, MODEL_UNAVAILABLE, "ConnectionLost", "", false);
    assert_ends(empty, MODEL_INCOMPLETE, "StreamCut", "", false);
}

static void
test_a_connection_that_breaks_after_the_marker_costs_nothing(void **state)
{
    static const struct fake_step reset[] = { FAKE_TEXT(LONG_HEAD TEXT("whole")
                                                            STOP),
                                              { .what = FAKE_WAIT, .ms = 100 },
                                              { .what = FAKE_RESET },
                                              { 0 } };

    (void)state;
    assert_ends(reset, MODEL_COMPLETE, "", "whole", true);
}

static void
test_an_error_in_mid_stream_is_one(void **state)
{
    static const struct fake_step raw[] = {
        FAKE_TEXT(STREAM_HEAD TEXT("half") STOP
                  "{\n \"error\": {\n  \"code\": 503\n }\n}\n"),
        { .what = FAKE_CLOSE },
        { 0 }
    };

    (void)state;
    assert_ends(raw, MODEL_UNAVAILABLE, "HttpError503", "half", false);
}

static void
test_error_statuses_have_their_classes(void **state)
{
    static const struct fake_step missing[] = {
        FAKE_TEXT("HTTP/1.1 404 X\r\nContent-Length: 4\r\n\r\n<ht>"), { 0 }
    };
    static const struct fake_step denied[] = {
        FAKE_TEXT("HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n"), { 0 }
    };
    static const struct fake_step busy[] = {
        FAKE_TEXT("HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n"), { 0 }
    };
    static const struct fake_step moved[] = {
        FAKE_TEXT("HTTP/1.1 302 X\r\nLocation: /x\r\nContent-Length: 0\r\n"
                  "\r\n"),
        { 0 }
    };
    static const struct fake_step huge[] = {
        FAKE_TEXT("HTTP/1.1 500 X\r\nContent-Length: 10000000\r\n\r\n<"),
        { .what = FAKE_FILL, .count = 9999999 },
        { 0 }
    };

    (void)state;
    assert_ends(missing, MODEL_UNAVAILABLE, "ModelNotFound", "", false);
    assert_ends(denied, MODEL_UNAVAILABLE, "AuthError", "", false);
    assert_ends(busy, MODEL_UNAVAILABLE, "RateLimited", "", false);
    assert_ends(moved, MODEL_FAILED, "HttpErrorOther", "", false);
    assert_ends(huge, MODEL_FAILED, "HttpError5xx", "", false);
}

static void
test_nobody_there_is_unavailable(void **state)
{
    struct models_config config;
    struct models *models;
    struct model_call *call;
    char url[60];
    int port;
    const int fd = bind_somewhere(&port);

    (void)state;
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
    config = models_config(MODEL_GEMINI, url);
    models = new_models(&config);
    call = start_call(models, MODEL_PRO, 4000);
    finish_call(models, call);
    assert_answer(call, MODEL_UNAVAILABLE, "ConnectError", "");
    assert_int_equal(model_call_answer(call).http_status, 0);
    model_call_free(call);
    models_free(models);
    close(fd);
}

static void
test_a_server_that_speaks_no_tls_is_unavailable(void **state)
{
    struct models_config config;
    struct models *models;
    struct model_call *call;
    char url[60];
    int port, peer;
    const int fd = bind_somewhere(&port);

    (void)state;
    assert_int_equal(listen(fd, 1), 0);
    snprintf(url, sizeof(url), "https://127.0.0.1:%d", port);
    config = models_config(MODEL_GEMINI, url);
    models = new_models(&config);
    call = start_call(models, MODEL_PRO, 4000);
    assert_int_equal(models_turn(models, NULL, 0, clock_mono_ms(), NULL), 0);
    peer = accept(fd, NULL, NULL);
    assert_int_equal(send(peer, "no TLS here", 11, MSG_NOSIGNAL), 11);
    finish_call(models, call);
    assert_answer(call, MODEL_UNAVAILABLE, "TlsError", "");
    model_call_free(call);
    models_free(models);
    close(peer);
    close(fd);
}

/* ---- names and checks --------------------------------------------------- */

static void
test_names_are_a_closed_list(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODEL_ERROR_CLASS_COUNT; i++) {
        assert_non_null(model_error_classes[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(model_error_classes[i],
                                    model_error_classes[k]);
    }
    for (enum model_outcome o = MODEL_PENDING; o <= MODEL_CANCELLED; o++)
        assert_int_equal(model_outcome_is_answer(o),
                         o == MODEL_COMPLETE || o == MODEL_CUT);
    assert_string_equal(model_role_name(MODEL_FLASH), "flash");
    assert_string_equal(model_role_name(MODEL_PRO), "pro");
    assert_string_equal(model_outcome_name(MODEL_TIMED_OUT), "timed_out");
}

static void
test_a_configuration_is_checked_before_it_is_used(void **state)
{
    struct models_config config = models_config(MODEL_GEMINI, "");
    struct err err = { 0 };

    (void)state;
    assert_int_equal(models_check(&config, &err), 0);
    config.roles[MODEL_PRO].api_key = SECRET "\n";
    assert_int_equal(models_check(&config, &err), -1);
    assert_non_null(strstr(err.text, "pro model: "));
    assert_null(strstr(err.text, "secret"));
    assert_null(models_new(&config, NULL));
    config = models_config(MODEL_VERTEX, "");
    assert_int_equal(models_check(&config, NULL), 0);
    config.credentials_file = "/nonexistent.json";
    assert_int_equal(models_check(&config, NULL), -1);
    assert_null(models_new(&config, NULL));
    config = models_config(MODEL_OPENAI, "");
    config.max_answer_bytes = 0;
    assert_int_equal(models_check(&config, NULL), -1);
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
        cmocka_unit_test(test_a_gemini_answer_is_whole),
        cmocka_unit_test(test_an_openai_answer_is_whole_and_rerouting_shows),
        cmocka_unit_test(test_the_content_type_decides_nothing),
        cmocka_unit_test(
            test_two_calls_run_side_by_side_and_connections_are_kept),
        cmocka_unit_test(test_a_megabyte_arrives_byte_for_byte),
        cmocka_unit_test(test_an_answer_over_the_limit_is_too_large),
        cmocka_unit_test(
            test_a_connection_that_breaks_leaves_part_of_an_answer),
        cmocka_unit_test(
            test_a_connection_that_breaks_after_the_marker_costs_nothing),
        cmocka_unit_test(test_an_error_in_mid_stream_is_one),
        cmocka_unit_test(test_error_statuses_have_their_classes),
        cmocka_unit_test(test_nobody_there_is_unavailable),
        cmocka_unit_test(test_a_server_that_speaks_no_tls_is_unavailable),
        cmocka_unit_test(test_names_are_a_closed_list),
        cmocka_unit_test(test_a_configuration_is_checked_before_it_is_used),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
