/*
 * call.c - see call.h: one call, from its first attempt to its answer.
 */
#include "model/call.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "model/retry.h"

#define MAX_BODY_BYTES (64u << 20)

#define LEASE_MS 1000 /* past its deadline a prober is given up for dead */

const struct model_config *
call_config(const struct model_call *call)
{
    return &call->models->roles[call->role].targets[call->target];
}

const struct dialect *
call_dialect(const struct model_call *call)
{
    return call->models->roles[call->role].dialect;
}

/* ---- the breaker --------------------------------------------------------- */

static enum breakers_component
component_of(const struct model_call *call)
{
    static const enum breakers_component
        components[MODEL_ROLE_COUNT][TARGET_COUNT] = {
            { BREAKERS_FLASH, BREAKERS_FLASH_FALLBACK },
            { BREAKERS_PRO, BREAKERS_PRO_FALLBACK },
        };

    return components[call->role][call->target];
}

static bool
is_let_pass(struct model_call *call)
{
    call->news = BREAKER_UNKNOWN;
    call->pass = breakers_ask(component_of(call), &call->models->config.breaker,
                              call->deadline_mono_ms + LEASE_MS);
    return call->pass != BREAKER_REFUSED;
}

/* This target is asked no more. */
static void
tell_breaker(struct model_call *call)
{
    if (call->pass == BREAKER_REFUSED)
        return;
    breakers_tell(component_of(call), &call->models->config.breaker, call->pass,
                  call->news);
    call->pass = BREAKER_REFUSED;
}

/* ---- the end of a call --------------------------------------------------- */

/* An attempt that was in flight is over, whoever ended it. */
static void
close_attempt(struct model_call *call, enum failure failure)
{
    struct model_attempt *attempt = &call->attempt_log[call->attempts];

    assert(call->attempts < MODEL_MAX_ATTEMPTS);
    flight_land(call);
    *attempt = (struct model_attempt){
        .model = call_config(call)->model,
        .error_class = failure_name(failure),
        .http_status = call->http_status,
        .wait_ms = call->wait_ms,
        .took_ms = clock_mono_ms() - call->flight_mono_ms,
    };
    call->attempts++;
    call->wait_ms = 0;
    call->stage = PAUSED;
    call->news = failure_news(failure, call->http_status);
}

static void
end(struct model_call *call, struct reply_verdict verdict)
{
    tell_breaker(call);
    buf_close(&call->body);
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

/* ---- waiting for a token ------------------------------------------------- */

static int
take_off_or_give_up(struct model_call *call, int64_t now_mono_ms,
                    struct err *err)
{
    switch (google_token_state(call->models->token, now_mono_ms)) {
    case GOOGLE_TOKEN_READY:
        return flight_start(call, err);
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

    if (!call_dialect(call)->wants_google_token)
        return flight_start(call, err);
    if (google_token_want(call->models->token, now_mono_ms, err) == -1)
        return -1;
    return take_off_or_give_up(call, now_mono_ms, err);
}

/* When a waiting call has to give up, and as what. */
static int64_t
patience_mono_ms(const struct model_call *call, enum failure *failure)
{
    const int64_t first_token_ms = call_config(call)->first_token_ms;

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

/* ---- attempts ------------------------------------------------------------ */

/* Writes the body for whom is asked now, the first time or as the fallback. */
static int
write_body(struct model_call *call, struct err *err)
{
    buf_clear(&call->body);
    return call_dialect(call)->body(call_config(call), &call->prompt,
                                    &call->body, err);
}

static int64_t
patience_left_ms(const struct model_call *call)
{
    enum failure failure;

    return clock_left_ms(patience_mono_ms(call, &failure));
}

static bool
can_fall_back(const struct model_call *call, enum failure failure)
{
    return call->target == TARGET_OWN &&
           call_config(call)->fallback[0] != '\0' &&
           retry_may_fall_back(failure) && patience_left_ms(call) > 0;
}

static int begin_asking(struct model_call *call, struct err *err);

static int
fall_back(struct model_call *call, struct err *err)
{
    tell_breaker(call);
    call->target = TARGET_FALLBACK;
    return begin_asking(call, err);
}

/* The first attempt with a target, unless its breaker keeps us away. */
static int
begin_asking(struct model_call *call, struct err *err)
{
    if (is_let_pass(call))
        return write_body(call, err) == 0 ? take_off(call, err) : -1;
    if (can_fall_back(call, FAILURE_CIRCUIT_OPEN))
        return fall_back(call, err);
    end_with(call, FAILURE_CIRCUIT_OPEN);
    return 0;
}

/* The pause before an attempt like the one that just failed; -1: none. */
static int64_t
retry_pause_ms(const struct model_call *call, enum failure failure,
               const struct http_result *result)
{
    const struct retry_policy policy = {
        .retries = call->models->config.retries,
        .pause_ms = call->models->config.retry_pause_ms,
    };
    const struct retry_facts facts = {
        .failure = failure,
        .had_substance = reply_has_substance(&call->reply),
        .was_kept_connection = result->reused,
        .asked_delay_ms = call->asked_delay_ms > call->reply.asked_delay_ms
                              ? call->asked_delay_ms
                              : call->reply.asked_delay_ms,
        .retries_done = call->retries_done,
        .left_ms = patience_left_ms(call),
        .chance = (unsigned)clock_mono_us(),
    };

    return retry_wait_ms(&policy, &facts);
}

static int
renew_token(struct model_call *call, struct err *err)
{
    call->token_renewed = true;
    google_token_reject(call->models->token, call->token_serial);
    flight_reset(call);
    return take_off(call, err);
}

/* A Google token that was revoked early: its successor will do. */
static bool
is_worth_a_new_token(const struct model_call *call)
{
    return call_dialect(call)->wants_google_token && call->http_status == 401 &&
           !call->token_renewed && clock_left_ms(call->deadline_mono_ms) > 0;
}

static void
pause_call(struct model_call *call, int64_t wait_ms)
{
    call->wait_ms = wait_ms;
    call->resume_mono_ms = clock_mono_ms() + wait_ms;
    flight_reset(call);
}

/* An attempt has ended: with an answer, with the end of the call, or with
 * another attempt to come. */
static int
collect_flight(struct model_call *call, struct err *err)
{
    struct http_result result;
    struct reply_verdict verdict;
    int64_t wait_ms;

    if (!http_call_is_done(call->http_call))
        return 0;
    result = http_call_result(call->http_call);
    verdict = reply_end(&call->reply, result.status, result.outcome);
    close_attempt(call, verdict.failure);
    if (call->reply.out_of_memory)
        return err_set(err, ERR_NOMEM, "model answer");
    if (is_worth_a_new_token(call))
        return renew_token(call, err);
    wait_ms = retry_pause_ms(call, verdict.failure, &result);
    if (wait_ms >= 0) {
        pause_call(call, wait_ms);
        return 0;
    }
    if (reply_has_substance(&call->reply) ||
        !can_fall_back(call, verdict.failure)) {
        end(call, verdict);
        return 0;
    }
    flight_reset(call);
    return fall_back(call, err);
}

static int
work_paused(struct model_call *call, struct err *err)
{
    if (clock_mono_ms() < call->resume_mono_ms)
        return 0;
    call->retries_done++;
    return take_off(call, err);
}

/* ---- the turn ----------------------------------------------------------- */

int64_t
call_wake_mono_ms(const struct model_call *call, int64_t until_mono_ms)
{
    enum failure failure;
    int64_t wake = until_mono_ms;

    if (call->stage == PAUSED)
        wake = call->resume_mono_ms;
    if (call->stage == WAITING_FOR_TOKEN)
        wake = patience_mono_ms(call, &failure);
    return wake < until_mono_ms ? wake : until_mono_ms;
}

int
call_work(struct model_call *call, struct err *err)
{
    switch (call->stage) {
    case PAUSED:
        return work_paused(call, err);
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
    call->prompt = *prompt;
    buf_init(&call->body, MAX_BODY_BYTES);
    reply_init(&call->reply, call_dialect(call),
               models->config.max_answer_bytes);
    link_call(models, call);
    if (begin_asking(call, err) == 0)
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
    if (call->stage == IN_FLIGHT)
        close_attempt(call, FAILURE_CANCELLED);
    if (call->stage != DONE)
        end_with(call, FAILURE_CANCELLED);
}

void
model_call_free(struct model_call *call)
{
    if (call == NULL)
        return;
    model_call_cancel(call);
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
           dialect_is_rerouted(call_config(call)->model, served);
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
        .attempt_log = call->attempt_log,
        .retries = call->retries_done,
        .fallback = call->target == TARGET_FALLBACK,
        .rerouted = is_rerouted(call),
        .renamed = reply->renamed,
        .trailed = reply->trails,
        .transport_unclean = call->verdict.transport_unclean,
        .started_unix_us = call->started_unix_us,
        .first_token_ms = -1,
        .latency_ms = ended_mono_ms - call->started_mono_ms,
    };

    if (reply->served_model[0] == '\0')
        answer.served_model = call_config(call)->model;
    if (call->first_token_mono_ms != 0)
        answer.first_token_ms =
            call->first_token_mono_ms - call->started_mono_ms;
    return answer;
}
