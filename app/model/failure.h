/*
 * failure - why a call gave no whole answer: a closed list.
 *
 * Each failure has one outcome and one name; the names are what leaves this
 * folder (model_error_classes), provider text never does.  Pure.
 */
#ifndef MODEL_FAILURE_H
#define MODEL_FAILURE_H

#include "client/http.h"
#include "guard/breaker.h"
#include "model/model.h"

enum failure {
    FAILURE_NONE = 0,
    FAILURE_AUTH,            /* the provider does not know or allow us */
    FAILURE_MODEL_NOT_FOUND, /* unknown, retired, or wrong location */
    FAILURE_RATE_LIMITED,
    FAILURE_INPUT_TOO_LONG,
    FAILURE_HTTP_4XX,
    FAILURE_HTTP_503,
    FAILURE_HTTP_5XX,
    FAILURE_HTTP_OTHER, /* neither 200 nor an error: 204, a redirect */
    FAILURE_PROVIDER,   /* an error under 200 that names no known cause */
    FAILURE_CONNECT_TIMEOUT,
    FAILURE_FIRST_TOKEN_TIMEOUT,
    FAILURE_IDLE_TIMEOUT,
    FAILURE_TOTAL_TIMEOUT,
    FAILURE_CONNECT,
    FAILURE_CONNECTION_LOST, /* before the first byte of a response */
    FAILURE_TLS,
    FAILURE_TOKEN,        /* no Google token could be fetched */
    FAILURE_CIRCUIT_OPEN, /* not asked: it failed too often just now */
    FAILURE_BAD_STREAM,
    FAILURE_STREAM_CUT, /* no end marker */
    FAILURE_TOO_LARGE,
    FAILURE_BAD_FINISH, /* an end marker that means no answer */
    FAILURE_BLOCKED,
    FAILURE_EMPTY,
    FAILURE_ONLY_THOUGHT, /* the length limit left no room for an answer */
    FAILURE_CANCELLED,
    FAILURE_COUNT
};

/* "" for FAILURE_NONE. */
const char *failure_name(enum failure failure);

/* Not for FAILURE_NONE, which may be an answer or still pending. */
enum model_outcome failure_outcome(enum failure failure);

/* FAILURE_NONE for 200.  Also right for the "code" of an error in a body. */
enum failure failure_from_status(long http_status);

/* FAILURE_NONE for HTTP_DONE. */
enum failure failure_from_transport(enum http_outcome outcome);

/* What an attempt that ended so says of its provider; http_status is 0 when
 * none arrived. */
enum breaker_news failure_news(enum failure failure, long http_status);

/* The status decides, unless it says little and the body names the cause. */
enum failure failure_refined(enum failure by_status, enum failure by_body);

#endif
