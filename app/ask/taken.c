/* taken.c - see taken.h. */
#include "ask/taken.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "gate/fcgi_call.h"
#include "response.h"
#include "sys/fd.h"
#include "sys/log.h"

#define REPLAY_MS        6000 /* a control worker tells it within this */
#define PAUSE_MS         100  /* when all that may read are reading */
#define REPLAY_MAX_BYTES ((size_t)320 * 1024 * 1024)
#define PATH_MAX_LEN     128
#define BODY_MAX_BYTES   256

static int
refuse_replay(struct fcgi *gate)
{
    response_error(gate, 503, "replay_unavailable",
                   "The recorded answer cannot be read now",
                   RESPONSE_RETRY_SOON);
    return 503;
}

/* The status of what a control worker says, which is in answer then; 0 when
 * none says anything. */
static int
ask_control(const struct run *run, const struct fcgi_wire_param *params,
            size_t count, struct buf *answer)
{
    const int64_t deadline_mono_ms =
        clock_sooner(run->deadline_mono_ms, clock_mono_ms() + REPLAY_MS);
    struct err err = { 0 };

    for (;;) {
        int status;

        buf_clear(answer);
        if (fcgi_call(run->config->control_socket, params, count,
                      deadline_mono_ms, answer, &err) == -1) {
            log_warn("replay_unavailable", "%s", err.text);
            return 0;
        }
        status = fcgi_call_status(answer);
        if (status != 503 || clock_mono_ms() + PAUSE_MS >= deadline_mono_ms)
            return status;
        fd_wait(-1, 0, clock_mono_ms() + PAUSE_MS);
    }
}

/* Tells what a control worker says, be it the answer or that it has none. */
static int
replay(const struct run *run, struct fcgi *gate, const char *run_id)
{
    char path[PATH_MAX_LEN], query[PATH_MAX_LEN];
    const struct fcgi_wire_param params[] = {
        { "REQUEST_METHOD", "GET" },
        { "REQUEST_URI", path },
        { "QUERY_STRING", query },
        { "HTTP_X_API_KEY", fcgi_param(gate, "HTTP_X_API_KEY") },
    };
    struct buf answer;
    int status;

    snprintf(path, sizeof(path), "/api/reasoning/runs/%s/events", run_id);
    snprintf(query, sizeof(query), "replay=%s",
             vocab_words_name(run->request.words));
    buf_init(&answer, REPLAY_MAX_BYTES);
    status = ask_control(run, params, ARRAY_LEN(params), &answer);
    if (status == 0)
        status = refuse_replay(gate);
    else if (fcgi_write(gate, answer.bytes, answer.len, NULL) == -1)
        log_info("replay_not_sent", "the client has left");
    buf_close(&answer);
    return status;
}

int
taken_answer(const struct run *run, struct fcgi *gate,
             const struct entry_holder *holder)
{
    char run_id[UUID_TEXT_LEN];
    char body[BODY_MAX_BYTES];

    fcgi_set_deadline(gate, run->deadline_mono_ms);
    if (!holder->same_request) {
        response_error(gate, 422, "idempotency_key_reused",
                       "This Idempotency-Key came with another request", NULL);
        return 422;
    }
    uuid_format(&holder->run_id, run_id);
    if (holder->ended)
        return replay(run, gate, run_id);
    snprintf(body, sizeof(body),
             "{\"error\":\"The first request with this Idempotency-Key is "
             "still being answered\",\"code\":\"idempotency_in_progress\","
             "\"run_id\":\"%s\"}\n",
             run_id);
    response_send(gate, &(struct response){ .status = 409,
                                            .content_type = "application/json",
                                            .headers = RESPONSE_RETRY_SOON,
                                            .body = body,
                                            .len = strlen(body) });
    return 409;
}
