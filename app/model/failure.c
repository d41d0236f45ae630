/* failure.c - see failure.h. */
#include "model/failure.h"

#include <assert.h>

static_assert(FAILURE_COUNT == MODEL_ERROR_CLASS_COUNT + 1,
              "every failure but FAILURE_NONE has a class");

const char *const model_error_classes[MODEL_ERROR_CLASS_COUNT] = {
    [FAILURE_AUTH - 1] = "AuthError",
    [FAILURE_MODEL_NOT_FOUND - 1] = "ModelNotFound",
    [FAILURE_RATE_LIMITED - 1] = "RateLimited",
    [FAILURE_INPUT_TOO_LONG - 1] = "InputTooLong",
    [FAILURE_HTTP_4XX - 1] = "HttpError4xx",
    [FAILURE_HTTP_503 - 1] = "HttpError503",
    [FAILURE_HTTP_5XX - 1] = "HttpError5xx",
    [FAILURE_HTTP_OTHER - 1] = "HttpErrorOther",
    [FAILURE_PROVIDER - 1] = "ProviderError",
    [FAILURE_CONNECT_TIMEOUT - 1] = "ConnectTimeout",
    [FAILURE_FIRST_TOKEN_TIMEOUT - 1] = "FirstTokenTimeout",
    [FAILURE_IDLE_TIMEOUT - 1] = "IdleTimeout",
    [FAILURE_TOTAL_TIMEOUT - 1] = "TotalTimeout",
    [FAILURE_CONNECT - 1] = "ConnectError",
    [FAILURE_CONNECTION_LOST - 1] = "ConnectionLost",
    [FAILURE_TLS - 1] = "TlsError",
    [FAILURE_TOKEN - 1] = "TokenError",
    [FAILURE_CIRCUIT_OPEN - 1] = "CircuitOpen",
    [FAILURE_BAD_STREAM - 1] = "BadStream",
    [FAILURE_STREAM_CUT - 1] = "StreamCut",
    [FAILURE_TOO_LARGE - 1] = "TooLarge",
    [FAILURE_BAD_FINISH - 1] = "BadFinish",
    [FAILURE_BLOCKED - 1] = "PolicyBlocked",
    [FAILURE_EMPTY - 1] = "EmptyAnswer",
    [FAILURE_ONLY_THOUGHT - 1] = "OnlyThought",
    [FAILURE_CANCELLED - 1] = "Cancelled",
};

const char *
failure_name(enum failure failure)
{
    assert(failure < FAILURE_COUNT);
    return failure == FAILURE_NONE ? "" : model_error_classes[failure - 1];
}

enum model_outcome
failure_outcome(enum failure failure)
{
    switch (failure) {
    case FAILURE_AUTH:
    case FAILURE_MODEL_NOT_FOUND:
    case FAILURE_RATE_LIMITED:
    case FAILURE_HTTP_503:
    case FAILURE_CONNECT:
    case FAILURE_CONNECTION_LOST:
    case FAILURE_TLS:
    case FAILURE_TOKEN:
    case FAILURE_CIRCUIT_OPEN:
        return MODEL_UNAVAILABLE;
    case FAILURE_CONNECT_TIMEOUT:
    case FAILURE_FIRST_TOKEN_TIMEOUT:
    case FAILURE_IDLE_TIMEOUT:
    case FAILURE_TOTAL_TIMEOUT:
        return MODEL_TIMED_OUT;
    case FAILURE_INPUT_TOO_LONG:
    case FAILURE_HTTP_4XX:
    case FAILURE_HTTP_5XX:
    case FAILURE_HTTP_OTHER:
    case FAILURE_PROVIDER:
    case FAILURE_BAD_STREAM:
    case FAILURE_TOO_LARGE:
    case FAILURE_BAD_FINISH:
        return MODEL_FAILED;
    case FAILURE_STREAM_CUT:
        return MODEL_INCOMPLETE;
    case FAILURE_BLOCKED:
        return MODEL_BLOCKED;
    case FAILURE_EMPTY:
    case FAILURE_ONLY_THOUGHT:
        return MODEL_EMPTY;
    case FAILURE_CANCELLED:
        return MODEL_CANCELLED;
    case FAILURE_NONE:
    case FAILURE_COUNT:
        break;
    }
    assert(failure > FAILURE_NONE && failure < FAILURE_COUNT);
    return MODEL_FAILED;
}

enum failure
failure_from_status(long http_status)
{
    switch (http_status) {
    case 200:
        return FAILURE_NONE;
    case 401:
    case 403:
        return FAILURE_AUTH;
    case 404:
        return FAILURE_MODEL_NOT_FOUND;
    case 413:
        return FAILURE_INPUT_TOO_LONG;
    case 429:
        return FAILURE_RATE_LIMITED;
    case 503:
        return FAILURE_HTTP_503;
    default:
        break;
    }
    if (http_status >= 400 && http_status < 500)
        return FAILURE_HTTP_4XX;
    if (http_status >= 500 && http_status < 600)
        return FAILURE_HTTP_5XX;
    return FAILURE_HTTP_OTHER;
}

enum failure
failure_from_transport(enum http_outcome outcome)
{
    switch (outcome) {
    case HTTP_TIMEOUT_CONNECT:
        return FAILURE_CONNECT_TIMEOUT;
    case HTTP_TIMEOUT_FIRST:
        return FAILURE_FIRST_TOKEN_TIMEOUT;
    case HTTP_TIMEOUT_IDLE:
        return FAILURE_IDLE_TIMEOUT;
    case HTTP_TIMEOUT_TOTAL:
        return FAILURE_TOTAL_TIMEOUT;
    case HTTP_TOO_LARGE:
        return FAILURE_TOO_LARGE;
    case HTTP_CUT:
        return FAILURE_STREAM_CUT;
    case HTTP_CONNECTION_LOST:
        return FAILURE_CONNECTION_LOST;
    case HTTP_UNREACHABLE:
        return FAILURE_CONNECT;
    case HTTP_TLS_FAILED:
        return FAILURE_TLS;
    case HTTP_STOPPED:
        return FAILURE_BAD_STREAM;
    case HTTP_DONE:
    case HTTP_PENDING:
        break;
    }
    return FAILURE_NONE;
}

/* A stream that broke off or fell silent had begun: that proves neither. */
enum breaker_news
failure_news(enum failure failure, long http_status)
{
    switch (failure) {
    case FAILURE_HTTP_503:
    case FAILURE_CONNECT_TIMEOUT:
    case FAILURE_CONNECT:
    case FAILURE_CONNECTION_LOST:
    case FAILURE_TLS:
        return BREAKER_FAILED;
    case FAILURE_HTTP_5XX: /* 500 may be the fault of this question alone */
        return http_status > 500 ? BREAKER_FAILED : BREAKER_SERVED;
    case FAILURE_FIRST_TOKEN_TIMEOUT:
    case FAILURE_TOTAL_TIMEOUT:
        return http_status == 0 ? BREAKER_FAILED : BREAKER_UNKNOWN;
    case FAILURE_IDLE_TIMEOUT:
    case FAILURE_STREAM_CUT:
    case FAILURE_TOKEN:
    case FAILURE_CIRCUIT_OPEN:
    case FAILURE_CANCELLED:
        return BREAKER_UNKNOWN;
    case FAILURE_NONE:
    case FAILURE_AUTH:
    case FAILURE_MODEL_NOT_FOUND:
    case FAILURE_RATE_LIMITED:
    case FAILURE_INPUT_TOO_LONG:
    case FAILURE_HTTP_4XX:
    case FAILURE_HTTP_OTHER:
    case FAILURE_PROVIDER:
    case FAILURE_BAD_STREAM:
    case FAILURE_TOO_LARGE:
    case FAILURE_BAD_FINISH:
    case FAILURE_BLOCKED:
    case FAILURE_EMPTY:
    case FAILURE_ONLY_THOUGHT:
    case FAILURE_COUNT:
        break;
    }
    return BREAKER_SERVED;
}

enum failure
failure_refined(enum failure by_status, enum failure by_body)
{
    const bool status_says_little = by_status == FAILURE_HTTP_4XX ||
                                    by_status == FAILURE_HTTP_5XX ||
                                    by_status == FAILURE_HTTP_OTHER;
    const bool body_names_cause =
        by_body == FAILURE_AUTH || by_body == FAILURE_MODEL_NOT_FOUND ||
        by_body == FAILURE_RATE_LIMITED || by_body == FAILURE_INPUT_TOO_LONG ||
        by_body == FAILURE_HTTP_503;

    return status_says_little && body_names_cause ? by_body : by_status;
}
