/*
 * test_model_clocks - app/model/call against servers that keep it waiting: each
 * limit ends the call in its time, and so does the caller.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "client/http.h"
#include "model/model.h"
#include "support/fake_http.h"
#include "support/model_fixture.h"

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
    call = start_call(w.models, MODEL_PRO, within_ms);
    finish_call(w.models, call);
    assert_answer(call, MODEL_TIMED_OUT, error_class, text);
    assert_took(call, after_ms);
    assert_true(fake_http_reaches(&fake_http_seen(w.server)->aborted, 1, 3000));
    model_call_free(call);
    close_world(&w);
}

#define PING \
    { FAKE_SEND, ": ping\n\n", 0, 0 }, \
    { \
        FAKE_WAIT, NULL, 0, 300 \
    }

static void
test_comments_do_not_stop_the_first_token_clock(void **state)
{
    static const struct fake_step steps[] = {
        FAKE_TEXT(STREAM_HEAD), PING, PING, PING, PING, PING, PING, { 0 }
    };
    static const struct fake_step silent[] = { { .what = FAKE_HANG }, { 0 } };

    (void)state;
    assert_times_out(steps, 1000, 2000, 4000, "FirstTokenTimeout", 1000, "");
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
test_a_server_that_keeps_an_ended_answer_open_is_not_waited_for(void **state)
{
    static const struct fake_step steps[] = {
        FAKE_TEXT(STREAM_HEAD CHAT("all", "\"stop\"") "data: [DONE]\n\n"),
        { .what = FAKE_HANG },
        { 0 }
    };
    struct model_call *call;
    struct world w;

    (void)state;
    open_world(&w, MODEL_OPENAI, steps);
    w.config.roles[MODEL_PRO].idle_ms = 30000;
    w.models = new_models(&w.config);
    call = start_call(w.models, MODEL_PRO, 60000);
    finish_call(w.models, call);
    assert_answer(call, MODEL_COMPLETE, "", "all");
    assert_true(model_call_answer(call).transport_unclean);
    assert_took(call, 1000);
    model_call_free(call);
    close_world(&w);
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
    assert_times_out(steps, 2000, 2000, 1000, "TotalTimeout", 1000, "a");
    assert_times_out(steps, 0, 2000, 1000, "TotalTimeout", 1000, "a");
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
    w.config.roles[MODEL_PRO].idle_ms = 1000;
    w.models = new_models(&w.config);
    call = start_call(w.models, MODEL_PRO, 4000);
    finish_call(w.models, call);
    assert_answer(call, MODEL_COMPLETE, "", "a");
    assert_took(call, 1500);
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
    call = start_call(models, MODEL_PRO, 4000);
    finish_call(models, call);
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
                                              { .what = FAKE_WAIT, .ms = 2500 },
                                              FAKE_TEXT(STOP),
                                              { .what = FAKE_CLOSE },
                                              { 0 } };
    struct model_call *flash, *pro;
    struct world w;
    int64_t cancelled;

    (void)state;
    open_world(&w, MODEL_GEMINI, steps);
    w.models = new_models(&w.config);
    flash = start_call(w.models, MODEL_FLASH, 4000);
    pro = start_call(w.models, MODEL_PRO, 4000);
    read_until(w.models, flash, 4);
    cancelled = clock_mono_ms();
    model_call_cancel(flash);
    assert_true(model_call_is_done(flash));
    assert_true(fake_http_reaches(&fake_http_seen(w.server)->aborted, 1, 3000));
    /* Not only when the server sends again. */
    assert_in_range(fake_http_seen(w.server)->aborted_mono_ms - cancelled, 0,
                    2000);
    assert_answer(flash, MODEL_CANCELLED, "Cancelled", "half");
    assert_int_equal(model_call_answer(flash).http_status, 200);
    finish_call(w.models, pro);
    assert_answer(pro, MODEL_COMPLETE, "", "half");
    model_call_cancel(pro); /* too late to matter */
    assert_answer(pro, MODEL_COMPLETE, "", "half");
    model_call_free(flash);
    model_call_free(pro);
    close_world(&w);
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
        cmocka_unit_test(test_comments_do_not_stop_the_first_token_clock),
        cmocka_unit_test(test_silence_after_text_runs_into_the_idle_limit),
        cmocka_unit_test(
            test_a_server_that_keeps_an_ended_answer_open_is_not_waited_for),
        cmocka_unit_test(test_the_deadline_ends_what_never_ends),
        cmocka_unit_test(test_comments_reset_the_idle_clock),
        cmocka_unit_test(test_a_connection_that_never_comes_has_its_own_limit),
        cmocka_unit_test(
            test_a_cancelled_call_closes_at_once_and_keeps_its_text),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
