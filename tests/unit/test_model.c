/*
 * test_model - app/model/model and call against servers that answer, stall,
 * break off and refuse.
 */
#include <arpa/inet.h>
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

#include "base/attr.h"
#include "base/clock.h"
#include "client/http.h"
#include "model/model.h"
#include "support/fake_http.h"
#include "support/listed_http.h"

#define SECRET "AIza-secret"

#define STREAM_HEAD \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" \
    "Connection: close\r\n\r\n"
#define TEXT(t) \
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"" t \
    "\"}]}}],\"modelVersion\":\"gemini-test-001\",\"responseId\":\"r-1\"}" \
    "\r\n\r\n"
#define STOP \
    "data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{" \
    "\"promptTokenCount\":3,\"candidatesTokenCount\":5,\"totalTokenCount\":8" \
    "}}\r\n\r\n"
#define CHAT(t, finish) \
    "data: {\"model\":\"gpt-x-2026\",\"choices\":[{\"delta\":{\"content\":" \
    "\"" t "\"},\"finish_reason\":" finish "}]}\n\n"

/* What is late on a machine shared with others. */
#define SLACK_MS 150

static const struct model_prompt prompt = { .system = "Be brief.",
                                            .user = "Why?" };

/* ---- fixtures ----------------------------------------------------------- */

static struct model_config
role_config(enum model_provider provider, const char *base_url)
{
    return (struct model_config){
        .provider = provider,
        .model = "gemini-test",
        .base_url = base_url,
        .api_key = SECRET,
        .project = "acme",
        .location = "global",
        .thinking = "",
        .max_tokens_name = "max_tokens",
        .connect_ms = 2000,
        .first_token_ms = 3000,
        .idle_ms = 3000,
    };
}

static struct models_config
models_config(enum model_provider provider, const char *base_url)
{
    return (struct models_config){
        .roles = { role_config(provider, base_url),
                   role_config(provider, base_url) },
        .credentials_file = "",
        .metadata_host = "",
        .max_answer_bytes = 4u << 20,
    };
}

static struct models *
new_models(const struct models_config *config)
{
    struct err err = { 0 };
    struct models *models = models_new(config, &err);

    if (models == NULL)
        fail_msg("%s", err.text);
    return models;
}

static struct model_call *
start(struct models *models, enum model_role role, int64_t within_ms)
{
    struct model_call *call =
        models_start(models, role, &prompt, clock_mono_ms() + within_ms, NULL);

    assert_non_null(call);
    return call;
}

static void
finish(struct models *models, const struct model_call *call)
{
    const int64_t deadline = clock_mono_ms() + 10000;

    while (!model_call_is_done(call) && clock_mono_ms() < deadline)
        assert_int_equal(models_turn(models, NULL, 0, deadline, NULL), 0);
    assert_true(model_call_is_done(call));
}

/* Turns the loop until text_len bytes of text are there. */
static void
read_until(struct models *models, const struct model_call *call,
           size_t text_len)
{
    const int64_t deadline = clock_mono_ms() + 5000;

    while (model_call_answer(call).text_len < text_len &&
           clock_mono_ms() < deadline)
        assert_int_equal(models_turn(models, NULL, 0, deadline, NULL), 0);
    assert_int_equal(model_call_answer(call).text_len, text_len);
}

static void
assert_answer(const struct model_call *call, enum model_outcome outcome,
              const char *error_class, const char *text)
{
    const struct model_answer answer = model_call_answer(call);

    assert_string_equal(model_outcome_name(answer.outcome),
                        model_outcome_name(outcome));
    assert_string_equal(answer.error_class, error_class);
    assert_string_equal(answer.text, text);
}

static void
assert_took(const struct model_call *call, int64_t ms)
{
    const int64_t latency_ms = model_call_answer(call).latency_ms;

    assert_in_range(latency_ms, ms - 5, ms + SLACK_MS);
}

/* One route, one server, both roles on it. */
struct world {
    struct fake_http *server;
    struct models *models;
    struct models_config config;
    struct fake_route routes[2];
    char url[FAKE_URL_LEN];
};

static void
open_world(struct world *w, enum model_provider provider,
           const struct fake_step *steps)
{
    w->routes[0] = (struct fake_route){ "/", steps };
    w->routes[1] = (struct fake_route){ NULL, NULL };
    w->server = fake_http_start(w->routes);
    fake_http_url(w->server, "", w->url);
    w->config = models_config(provider, w->url);
}

static void
close_world(struct world *w)
{
    models_free(w->models);
    fake_http_stop(w->server);
}

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
    call = start(w.models, MODEL_FLASH, 4500);
    assert_int_equal(model_call_answer(call).outcome, MODEL_PENDING);
    finish(w.models, call);
    assert_answer(call, MODEL_COMPLETE, "", "Because.");
    answer = model_call_answer(call);
    assert_true(model_outcome_is_answer(answer.outcome));
    assert_string_equal(answer.served_model, "gemini-test-001");
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
    call = start(w.models, MODEL_PRO, 4500);
    finish(w.models, call);
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
test_two_calls_run_side_by_side_and_connections_are_kept(void **state)
{
    static const char body[] = TEXT("ok") STOP;
    char response[2000];
    const struct fake_step steps[] = {
        { .what = FAKE_WAIT, .ms = 300 },
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
        flash = start(w.models, MODEL_FLASH, 4000);
        pro = start(w.models, MODEL_PRO, 4000);
        finish(w.models, flash);
        finish(w.models, pro);
        assert_in_range(clock_mono_ms() - begun, 290, 300 + SLACK_MS);
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
    call = start(w.models, MODEL_PRO, 9000);
    finish(w.models, call);
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
    call = start(w.models, MODEL_PRO, 4000);
    finish(w.models, call);
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
    call = start(w.models, MODEL_PRO, 4000);
    finish(w.models, call);
    assert_answer(call, outcome, error_class, text);
    assert_int_equal(model_call_answer(call).transport_unclean, unclean);
    assert_int_equal(model_call_answer(call).attempts, 1);
    model_call_free(call);
    close_world(&w);
}

#define CHUNKED_HEAD "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define LONG_HEAD    "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"

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

/* A TCP socket on a port that the kernel chose, not listening yet. */
static int
bind_somewhere(int *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
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
    call = start(models, MODEL_PRO, 4000);
    finish(models, call);
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
    call = start(models, MODEL_PRO, 4000);
    assert_int_equal(models_turn(models, NULL, 0, clock_mono_ms(), NULL), 0);
    peer = accept(fd, NULL, NULL);
    assert_int_equal(send(peer, "no TLS here", 11, MSG_NOSIGNAL), 11);
    finish(models, call);
    assert_answer(call, MODEL_UNAVAILABLE, "TlsError", "");
    model_call_free(call);
    models_free(models);
    close(peer);
    close(fd);
}

/* ---- clocks ------------------------------------------------------------- */

static void
assert_times_out(const struct fake_step *steps, int64_t first_token_ms,
                 int64_t idle_ms, int64_t within_ms, const char *error_class,
                 int64_t after_ms, const char *text)
{
    struct model_call *call;
    struct world w;

    open_world(&w, MODEL_GEMINI, steps);
    w.config.roles[MODEL_PRO].first_token_ms = first_token_ms;
    w.config.roles[MODEL_PRO].idle_ms = idle_ms;
    w.models = new_models(&w.config);
    call = start(w.models, MODEL_PRO, within_ms);
    finish(w.models, call);
    assert_answer(call, MODEL_TIMED_OUT, error_class, text);
    assert_took(call, after_ms);
    assert_true(fake_http_reaches(&fake_http_seen(w.server)->aborted, 1, 1000));
    model_call_free(call);
    close_world(&w);
}

#define PING \
    { FAKE_SEND, ": ping\n\n", 0, 0 }, \
    { \
        FAKE_WAIT, NULL, 0, 100 \
    }

static void
test_comments_do_not_stop_the_first_token_clock(void **state)
{
    static const struct fake_step steps[] = {
        FAKE_TEXT(STREAM_HEAD), PING, PING, PING, PING, PING, PING, { 0 }
    };
    static const struct fake_step silent[] = { { .what = FAKE_HANG }, { 0 } };

    (void)state;
    assert_times_out(steps, 350, 2000, 4000, "FirstTokenTimeout", 350, "");
    assert_times_out(silent, 350, 2000, 4000, "FirstTokenTimeout", 350, "");
}

static void
test_silence_after_text_runs_into_the_idle_limit(void **state)
{
    static const struct fake_step steps[] = {
        FAKE_TEXT(STREAM_HEAD TEXT("half")), { .what = FAKE_HANG }, { 0 }
    };

    (void)state;
    assert_times_out(steps, 2000, 250, 4000, "IdleTimeout", 250, "half");
}

static void
test_the_deadline_ends_what_never_ends(void **state)
{
    static const struct fake_step steps[] = { FAKE_TEXT(STREAM_HEAD TEXT("a")),
                                              PING,
                                              PING,
                                              PING,
                                              PING,
                                              PING,
                                              PING,
                                              PING,
                                              PING,
                                              { 0 } };

    (void)state;
    assert_times_out(steps, 2000, 2000, 400, "TotalTimeout", 400, "a");
    assert_times_out(steps, 0, 2000, 400, "TotalTimeout", 400, "a");
}

static void
test_comments_reset_the_idle_clock(void **state)
{
    static const struct fake_step steps[] = { FAKE_TEXT(STREAM_HEAD TEXT("a")),
                                              PING,
                                              PING,
                                              PING,
                                              PING,
                                              PING,
                                              FAKE_TEXT(STOP),
                                              { .what = FAKE_CLOSE },
                                              { 0 } };
    struct model_call *call;
    struct world w;

    (void)state;
    open_world(&w, MODEL_GEMINI, steps);
    w.config.roles[MODEL_PRO].idle_ms = 350;
    w.models = new_models(&w.config);
    call = start(w.models, MODEL_PRO, 4000);
    finish(w.models, call);
    assert_answer(call, MODEL_COMPLETE, "", "a");
    assert_took(call, 500);
    model_call_free(call);
    close_world(&w);
}

/* A listener whose queue is full lets a handshake hang. */
static void
test_a_connection_that_never_comes_has_its_own_limit(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    struct models_config config;
    struct models *models;
    struct model_call *call;
    int fillers[3];
    char url[60];
    int port;
    const int listener = bind_somewhere(&port);

    (void)state;
    assert_int_equal(listen(listener, 0), 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&address,
                       sizeof(address));
    }
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", port);
    config = models_config(MODEL_GEMINI, url);
    config.roles[MODEL_PRO].connect_ms = 300;
    models = new_models(&config);
    call = start(models, MODEL_PRO, 4000);
    finish(models, call);
    assert_answer(call, MODEL_TIMED_OUT, "ConnectTimeout", "");
    assert_took(call, 300);
    model_call_free(call);
    models_free(models);
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
        close(fillers[i]);
    close(listener);
}

static void
test_a_cancelled_call_closes_at_once_and_keeps_its_text(void **state)
{
    static const struct fake_step steps[] = { FAKE_TEXT(
                                                  STREAM_HEAD TEXT("half")),
                                              { .what = FAKE_WAIT, .ms = 500 },
                                              FAKE_TEXT(STOP),
                                              { .what = FAKE_CLOSE },
                                              { 0 } };
    struct model_call *flash, *pro;
    struct world w;
    int64_t cancelled;

    (void)state;
    open_world(&w, MODEL_GEMINI, steps);
    w.models = new_models(&w.config);
    flash = start(w.models, MODEL_FLASH, 4000);
    pro = start(w.models, MODEL_PRO, 4000);
    read_until(w.models, flash, 4);
    cancelled = clock_mono_ms();
    model_call_cancel(flash);
    assert_true(model_call_is_done(flash));
    assert_true(fake_http_reaches(&fake_http_seen(w.server)->aborted, 1, 1000));
    assert_in_range(fake_http_seen(w.server)->aborted_mono_ms - cancelled, 0,
                    100);
    assert_answer(flash, MODEL_CANCELLED, "Cancelled", "half");
    assert_int_equal(model_call_answer(flash).http_status, 200);
    finish(w.models, pro);
    assert_answer(pro, MODEL_COMPLETE, "", "half");
    model_call_cancel(pro); /* too late to matter */
    assert_answer(pro, MODEL_COMPLETE, "", "half");
    model_call_free(flash);
    model_call_free(pro);
    close_world(&w);
}

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
    flash = start(w.models, MODEL_FLASH, 4000);
    pro = start(w.models, MODEL_PRO, 4000);
    finish(w.models, flash);
    finish(w.models, pro);
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
    call = start(w.models, MODEL_PRO, 4000);
    finish(w.models, call);
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
    call = start(w.models, MODEL_PRO, 4000);
    finish(w.models, call);
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
    call = start(w.models, MODEL_PRO, 300);
    finish(w.models, call);
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
    call = start(w.models, MODEL_PRO, 4000);
    finish(w.models, call);
    assert_answer(call, MODEL_TIMED_OUT, "FirstTokenTimeout", "");
    assert_took(call, 250);
    model_call_free(call);
    close_google(&w);
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
        cmocka_unit_test(test_comments_do_not_stop_the_first_token_clock),
        cmocka_unit_test(test_silence_after_text_runs_into_the_idle_limit),
        cmocka_unit_test(test_the_deadline_ends_what_never_ends),
        cmocka_unit_test(test_comments_reset_the_idle_clock),
        cmocka_unit_test(test_a_connection_that_never_comes_has_its_own_limit),
        cmocka_unit_test(
            test_a_cancelled_call_closes_at_once_and_keeps_its_text),
        cmocka_unit_test(test_both_calls_wait_for_one_token_and_use_it),
        cmocka_unit_test(test_a_401_is_tried_once_more_with_a_new_token),
        cmocka_unit_test(test_a_second_401_is_final),
        cmocka_unit_test(test_without_a_token_nothing_is_sent),
        cmocka_unit_test(
            test_the_wait_for_a_token_counts_as_wait_for_the_first_token),
        cmocka_unit_test(test_names_are_a_closed_list),
        cmocka_unit_test(test_a_configuration_is_checked_before_it_is_used),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
