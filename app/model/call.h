/*
 * call - one question to one model, from its request to its answer.
 *
 * Inside of model.h, shared by model.c, call.c and flight.c alone.  A call
 * makes one attempt or several: each waits for a Google token if its dialect
 * needs one and is then in flight; between two of them may be a pause.  What
 * the bytes mean is the reply's business, what is sent the dialect's, whether
 * there is another attempt retry's.
 */
#ifndef MODEL_CALL_H
#define MODEL_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "client/google_token.h"
#include "client/http.h"
#include "guard/breakers.h"
#include "model/dialect.h"
#include "model/failure.h"
#include "model/model.h"
#include "model/reply.h"

/* Whom a role asks: its model, then its fallback. */
enum target { TARGET_OWN, TARGET_FALLBACK, TARGET_COUNT };

struct models {
    struct models_config config;
    struct http *http;
    struct google_token *token; /* NULL when no role needs one */
    struct model_call *calls;   /* all that are not freed yet; borrowed */
    struct arena headers;       /* of the request that is being made */
    struct {
        const struct dialect *dialect;
        struct model_config targets[TARGET_COUNT];
        struct buf urls[TARGET_COUNT];
    } roles[MODEL_ROLE_COUNT];
};

enum call_stage {
    PAUSED, /* before an attempt */
    WAITING_FOR_TOKEN,
    IN_FLIGHT,
    DONE
};

struct model_call {
    struct models *models;
    struct model_call *next;
    enum model_role role;
    enum call_stage stage;
    struct model_prompt prompt; /* borrowed */
    int64_t deadline_mono_ms;
    int64_t started_mono_ms;
    int64_t started_unix_us;
    int64_t first_token_mono_ms; /* 0: none yet */
    int64_t ended_mono_ms;       /* 0: not yet */
    long http_status;            /* of the last attempt */

    enum target target;
    enum breaker_pass pass; /* not REFUSED: the breaker is to be told */
    enum breaker_news news; /* what */
    int retries_done;
    int64_t wait_ms; /* the pause before the next attempt, or this one */
    int64_t resume_mono_ms;
    bool token_renewed;
    struct model_attempt attempt_log[MODEL_MAX_ATTEMPTS];
    int attempts;

    /* the attempt in flight */
    int64_t flight_mono_ms;
    int64_t asked_delay_ms; /* by its Retry-After */
    unsigned token_serial;  /* of the token that was sent */
    struct buf body;        /* curl reads it until http_call is freed */
    struct http_call *http_call;
    struct reply reply;
    struct reply_verdict verdict;
};

/* The configuration of whom it asks now, and how that one talks. */
const struct model_config *call_config(const struct model_call *call);
const struct dialect *call_dialect(const struct model_call *call);

/* When this call needs the next turn at the latest. */
int64_t call_wake_mono_ms(const struct model_call *call, int64_t until_mono_ms);

/* After http_turn() and google_token_collect(): take the next step, if any. */
int call_work(struct model_call *call, struct err *err) ATTR_MUST_CHECK;

/* ---- flight.c: one attempt on the wire ----------------------------------- */

/* Sends the body; the call has its token. */
int flight_start(struct model_call *call, struct err *err) ATTR_MUST_CHECK;

/* Closes its connection if it still has one. */
void flight_land(struct model_call *call);

/* Whatever was read is forgotten, for another attempt. */
void flight_reset(struct model_call *call);

#endif
