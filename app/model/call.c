/*
 * call.c - see call.h: one call, from its request to its answer.
 */
#include "model/call.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"

#define MAX_BODY_BYTES   (64u << 20)
#define MAX_HEADER_BYTES 32768

static const struct model_config *
config_of(const struct model_call *call)
{
    return &call->models->config.roles[call->role];
}

static const struct dialect *
dialect_of_call(const struct model_call *call)
{
    return call->models->roles[call->role].dialect;
}

/* ---- the end of a call -------------------------------------------------- */

/* Closes its connection if it still has one. */
static void
land(struct model_call *call)
{
    if (call->http_call != NULL)
        call->http_status = http_call_result(call->http_call).status;
    http_call_free(call->http_call); /* before the body that curl reads */
    call->http_call = NULL;
    buf_close(&call->body);
}

static void
end(struct model_call *call, struct reply_verdict verdict)
{
    land(call);
    call->verdict = verdict;
    call->ended_mono_ms = clock_mono_ms();
    call->stage = DONE;
}

static void
end_with(struct model_call *call, enum failure failure)
{
    end(call, (struct reply_verdict){ .failure = failure,
                                      .outcome = failure_outcome(failure) });
}

/* ---- in flight ---------------------------------------------------------- */

static enum http_sink_status
on_bytes(void *arg, const char *bytes, size_t len)
{
    struct model_call *call = arg;
    struct reply *reply = &call->reply;

    reply_feed(reply, bytes, len);
    if (reply->failure != FAILURE_NONE || reply->out_of_memory)
        return HTTP_SINK_STOP;
    if (!reply_has_substance(reply))
        return HTTP_SINK_MORE;
    if (call->first_token_mono_ms == 0 &&
        (reply->text.len > 0 || reply->thinks))
        call->first_token_mono_ms = clock_mono_ms();
    return HTTP_SINK_FIRST;
}

static int
add_headers(const struct model_call *call, struct dialect_headers *headers,
            struct err *err)
{
    const struct google_token *token = call->models->token;
    const bool has_token = dialect_of_call(call)->wants_google_token;
    const int left_ms = clock_left_ms(call->deadline_mono_ms);
    const struct dialect_moment moment = {
        .google_token = has_token ? google_token_bearer(token) : "",
        .quota_project = has_token ? google_token_quota_project(token) : "",
        .seconds_left = left_ms > 0 ? (left_ms - 1) / 1000 + 1 : 1,
    };

    if (dialect_add_header(headers, err, "Accept: text/event-stream") == -1)
        return -1;
    return dialect_of_call(call)->headers(config_of(call), &moment, headers,
                                          err);
}

/* The first-token clock runs from the call's start, the wait for a token
 * included. */
static int64_t
first_token_left_ms(const struct model_call *call, int64_t now_mono_ms)
{
    const int64_t limit_ms = config_of(call)->first_token_ms;
    const int64_t left_ms = call->started_mono_ms + limit_ms - now_mono_ms;

    if (limit_ms == 0)
        return 0;
    return left_ms > 0 ? left_ms : 1;
}

static int
fly_with(struct model_call *call, struct dialect_headers *headers,
         struct err *err)
{
    struct models *models = call->models;
    struct http_request request = {
        .url = buf_cstr(&models->roles[call->role].url),
        .headers = headers->lines,
        .body = call->body.bytes,
        .body_len = call->body.len,
        .connect_ms = config_of(call)->connect_ms,
        .first_byte_ms = first_token_left_ms(call, clock_mono_ms()),
        .idle_ms = config_of(call)->idle_ms,
        .deadline_mono_ms = call->deadline_mono_ms,
        .sink = on_bytes,
        .arg = call,
    };

    if (add_headers(call, headers, err) == -1)
        return -1;
    call->http_call = http_start(models->http, &request, err);
    return call->http_call != NULL ? 0 : -1;
}

static int
fly(struct model_call *call, struct err *err)
{
    struct arena arena;
    struct dialect_headers headers = { .arena = &arena };
    int status;

    arena_init(&arena, MAX_HEADER_BYTES);
    status = fly_with(call, &headers, err);
    arena_close(&arena);
    if (status == -1)
        return -1;
    if (dialect_of_call(call)->wants_google_token)
        call->token_serial = google_token_serial(call->models->token);
    call->attempts++;
    call->stage = IN_FLIGHT;
    return 0;
}

static int take_off(struct model_call *call, struct err *err);

/* A second attempt is worth its price only where the first one failed for a
 * cause that is gone by then: a Google token that was revoked early. */
static bool
should_try_again(const struct model_call *call,
                 const struct http_result *result)
{
    return dialect_of_call(call)->wants_google_token && result->status == 401 &&
           call->attempts == 1 && clock_left_ms(call->deadline_mono_ms) > 0;
}

static int
try_again(struct model_call *call, struct err *err)
{
    http_call_free(call->http_call);
    call->http_call = NULL;
    reply_close(&call->reply);
    reply_init(&call->reply, dialect_of_call(call),
               call->models->config.max_answer_bytes);
    google_token_reject(call->models->token, call->token_serial);
    return take_off(call, err);
}

static int
collect_flight(struct model_call *call, struct err *err)
{
    struct http_result result;

    if (!http_call_is_done(call->http_call))
        return 0;
    result = http_call_result(call->http_call);
    if (should_try_again(call, &result))
        return try_again(call, err);
    end(call, reply_end(&call->reply, result.status, result.outcome));
    if (call->reply.out_of_memory)
        return err_set(err, ERR_NOMEM, "model answer");
    return 0;
}

/* ---- waiting for a token ------------------------------------------------ */

static int
take_off_or_give_up(struct model_call *call, int64_t now_mono_ms,
                    struct err *err)
{
    switch (google_token_state(call->models->token, now_mono_ms)) {
    case GOOGLE_TOKEN_READY:
        return fly(call, err);
    case GOOGLE_TOKEN_DENIED:
        end_with(call, FAILURE_AUTH);
        break;
    case GOOGLE_TOKEN_FAILED:
        end_with(call, FAILURE_TOKEN);
        break;
    case GOOGLE_TOKEN_FETCHING:
        call->stage = WAITING_FOR_TOKEN;
        break;
    }
    return 0;
}

static int
take_off(struct model_call *call, struct err *err)
{
    const int64_t now_mono_ms = clock_mono_ms();

    if (!dialect_of_call(call)->wants_google_token)
        return fly(call, err);
    if (google_token_want(call->models->token, now_mono_ms, err) == -1)
        return -1;
    return take_off_or_give_up(call, now_mono_ms, err);
}

/* When a waiting call has to give up, and as what. */
static int64_t
patience_mono_ms(const struct model_call *call, enum failure *failure)
{
    const int64_t first_token_ms = config_of(call)->first_token_ms;

    *failure = FAILURE_TOTAL_TIMEOUT;
    if (first_token_ms == 0 ||
        call->started_mono_ms + first_token_ms >= call->deadline_mono_ms)
        return call->deadline_mono_ms;
    *failure = FAILURE_FIRST_TOKEN_TIMEOUT;
    return call->started_mono_ms + first_token_ms;
}

static int
work_waiting(struct model_call *call, struct err *err)
{
    const int64_t now_mono_ms = clock_mono_ms();
    enum failure failure;

    if (now_mono_ms >= patience_mono_ms(call, &failure)) {
        end_with(call, failure);
        return 0;
    }
    return take_off_or_give_up(call, now_mono_ms, err);
}

/* ---- the turn ----------------------------------------------------------- */

int64_t
call_wake_mono_ms(const struct model_call *call, int64_t until_mono_ms)
{
    enum failure failure;
    int64_t patience;

    if (call->stage != WAITING_FOR_TOKEN)
        return until_mono_ms;
    patience = patience_mono_ms(call, &failure);
    return patience < until_mono_ms ? patience : until_mono_ms;
}

int
call_work(struct model_call *call, struct err *err)
{
    switch (call->stage) {
    case WAITING_FOR_TOKEN:
        return work_waiting(call, err);
    case IN_FLIGHT:
        return collect_flight(call, err);
    case DONE:
        break;
    }
    return 0;
}

/* ---- one call ----------------------------------------------------------- */

static void
link_call(struct models *models, struct model_call *call)
{
    call->next = models->calls;
    models->calls = call;
}

static void
unlink_call(struct model_call *call)
{
    struct model_call **link = &call->models->calls;

    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
}

struct model_call *
models_start(struct models *models, enum model_role role,
             const struct model_prompt *prompt, int64_t deadline_mono_ms,
             struct err *err)
{
    struct model_call *call = calloc(1, sizeof(*call));

    assert(role < MODEL_ROLE_COUNT);
    if (call == NULL) {
        err_set(err, ERR_NOMEM, "model call");
        return NULL;
    }
    call->models = models;
    call->role = role;
    call->deadline_mono_ms = deadline_mono_ms;
    call->started_mono_ms = clock_mono_ms();
    call->started_unix_us = clock_unix_us();
    buf_init(&call->body, MAX_BODY_BYTES);
    reply_init(&call->reply, dialect_of_call(call),
               models->config.max_answer_bytes);
    link_call(models, call);
    if (dialect_of_call(call)->body(config_of(call), prompt, &call->body,
                                    err) == 0 &&
        take_off(call, err) == 0)
        return call;
    model_call_free(call);
    return NULL;
}

bool
model_call_is_done(const struct model_call *call)
{
    return call->stage == DONE;
}

void
model_call_cancel(struct model_call *call)
{
    if (call->stage != DONE)
        end_with(call, FAILURE_CANCELLED);
}

void
model_call_free(struct model_call *call)
{
    if (call == NULL)
        return;
    land(call);
    unlink_call(call);
    reply_close(&call->reply);
    free(call);
}

/* ---- the answer --------------------------------------------------------- */

static bool
is_rerouted(const struct model_call *call)
{
    const char *served = call->reply.served_model;

    return served[0] != '\0' &&
           dialect_is_rerouted(config_of(call)->model, served);
}

struct model_answer
model_call_answer(const struct model_call *call)
{
    const struct reply *reply = &call->reply;
    const int64_t ended_mono_ms =
        call->stage == DONE ? call->ended_mono_ms : clock_mono_ms();
    struct model_answer answer = {
        .outcome = call->verdict.outcome,
        .text = buf_cstr(&reply->text),
        .text_len = reply->text.len,
        .cleaned = reply->cleaned,
        .served_model = reply->served_model,
        .response_id = reply->response_id,
        .finish_reason = reply->finish_reason,
        .error_class = failure_name(call->verdict.failure),
        .usage = reply->usage,
        .http_status = call->http_status,
        .attempts = call->attempts,
        .rerouted = is_rerouted(call),
        .renamed = reply->renamed,
        .trailed = reply->trails,
        .transport_unclean = call->verdict.transport_unclean,
        .started_unix_us = call->started_unix_us,
        .first_token_ms = -1,
        .latency_ms = ended_mono_ms - call->started_mono_ms,
    };

    if (reply->served_model[0] == '\0')
        answer.served_model = config_of(call)->model;
    if (call->first_token_mono_ms != 0)
        answer.first_token_ms =
            call->first_token_mono_ms - call->started_mono_ms;
    return answer;
}
