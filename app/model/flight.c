/* flight.c - see call.h: one attempt of a call on the wire. */
#include "model/call.h"

#include "base/clock.h"
#include "model/retry.h"

/* ---- what comes in ------------------------------------------------------- */

static enum http_sink_status
on_bytes(void *arg, const char *bytes, size_t len)
{
    struct model_call *call = arg;
    struct reply *reply = &call->reply;

    reply_feed(reply, bytes, len);
    if (reply->failure != FAILURE_NONE || reply->out_of_memory)
        return HTTP_SINK_STOP;
    if (call->first_token_mono_ms == 0 &&
        (reply->text.len > 0 || reply->thinks))
        call->first_token_mono_ms = clock_mono_ms();
    if (reply->is_over)
        return HTTP_SINK_LAST;
    return reply_has_substance(reply) ? HTTP_SINK_FIRST : HTTP_SINK_MORE;
}

static void
on_header(void *arg, const char *line, size_t len)
{
    struct model_call *call = arg;
    const int64_t delay_ms = retry_delay_of_header(line, len, clock_unix_us());

    if (delay_ms > call->asked_delay_ms)
        call->asked_delay_ms = delay_ms;
}

/* ---- what goes out ------------------------------------------------------- */

static int
add_headers(const struct model_call *call, struct dialect_headers *headers,
            struct err *err)
{
    const struct google_token *token = call->models->token;
    const bool has_token = call_dialect(call)->wants_google_token;
    const int left_ms = clock_left_ms(call->deadline_mono_ms);
    const struct dialect_moment moment = {
        .google_token = has_token ? google_token_bearer(token) : "",
        .quota_project = has_token ? google_token_quota_project(token) : "",
        .seconds_left = left_ms > 0 ? (left_ms - 1) / 1000 + 1 : 1,
    };

    if (dialect_add_header(headers, err, "Accept: text/event-stream") == -1)
        return -1;
    return call_dialect(call)->headers(call_config(call), &moment, headers,
                                       err);
}

/* The first-token clock runs from the call's start, pauses and the wait for a
 * token included. */
static int64_t
first_token_left_ms(const struct model_call *call, int64_t now_mono_ms)
{
    const int64_t limit_ms = call_config(call)->first_token_ms;
    const int64_t left_ms = call->started_mono_ms + limit_ms - now_mono_ms;

    if (limit_ms == 0)
        return 0;
    return left_ms > 0 ? left_ms : 1;
}

static int
send_request(struct model_call *call, struct dialect_headers *headers,
             struct err *err)
{
    struct models *models = call->models;
    struct http_request request = {
        .url = buf_cstr(&models->roles[call->role].urls[call->target]),
        .headers = headers->lines,
        .body = call->body.bytes,
        .body_len = call->body.len,
        .connect_ms = call_config(call)->connect_ms,
        .first_byte_ms = first_token_left_ms(call, clock_mono_ms()),
        .idle_ms = call_config(call)->idle_ms,
        .deadline_mono_ms = call->deadline_mono_ms,
        .sink = on_bytes,
        .on_header = on_header,
        .arg = call,
    };

    if (add_headers(call, headers, err) == -1)
        return -1;
    call->http_call = http_start(models->http, &request, err);
    return call->http_call != NULL ? 0 : -1;
}

int
flight_start(struct model_call *call, struct err *err)
{
    struct arena *arena = &call->models->headers;
    struct dialect_headers headers = { .arena = arena };
    int status;

    call->asked_delay_ms = RETRY_NOT_SAID;
    status = send_request(call, &headers, err);
    arena_reset(arena);
    if (status == -1)
        return -1;
    if (call_dialect(call)->wants_google_token)
        call->token_serial = google_token_serial(call->models->token);
    call->flight_mono_ms = clock_mono_ms();
    call->stage = IN_FLIGHT;
    return 0;
}

/* ---- the end ------------------------------------------------------------- */

void
flight_land(struct model_call *call)
{
    if (call->http_call != NULL)
        call->http_status = http_call_result(call->http_call).status;
    http_call_free(call->http_call);
    call->http_call = NULL;
}

void
flight_reset(struct model_call *call)
{
    reply_close(&call->reply);
    reply_init(&call->reply, call_dialect(call),
               call->models->config.max_answer_bytes);
}
