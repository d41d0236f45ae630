/*
 * call - one question to one model, from its request to its answer.
 *
 * Inside of model.h, shared by model.c and call.c alone.  A call waits for a
 * Google token if its dialect needs one, is in flight, and is done.  What the
 * bytes mean is the reply's business, what is sent the dialect's.
 */
#ifndef MODEL_CALL_H
#define MODEL_CALL_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "client/google_token.h"
#include "client/http.h"
#include "model/dialect.h"
#include "model/failure.h"
#include "model/model.h"
#include "model/reply.h"

struct models {
    struct models_config config;
    struct http *http;
    struct google_token *token; /* NULL when no role needs one */
    struct model_call *calls;   /* all that are not freed yet; borrowed */
    struct {
        const struct dialect *dialect;
        struct buf url;
    } roles[MODEL_ROLE_COUNT];
};

enum call_stage { WAITING_FOR_TOKEN, IN_FLIGHT, DONE };

struct model_call {
    struct models *models;
    struct model_call *next;
    enum model_role role;
    enum call_stage stage;
    int64_t deadline_mono_ms;
    int64_t started_mono_ms;
    int64_t started_unix_us;
    int64_t first_token_mono_ms; /* 0: none yet */
    int64_t ended_mono_ms;       /* 0: not yet */
    int attempts;
    unsigned token_serial; /* of the token that was sent */
    struct buf body;       /* curl reads it until http_call is freed */
    struct http_call *http_call;
    long http_status;
    struct reply reply;
    struct reply_verdict verdict;
};

/* When this call needs the next turn at the latest. */
int64_t call_wake_mono_ms(const struct model_call *call, int64_t until_mono_ms);

/* After http_turn() and google_token_collect(): take the next step, if any. */
int call_work(struct model_call *call, struct err *err) ATTR_MUST_CHECK;

#endif
