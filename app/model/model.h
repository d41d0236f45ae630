/*
 * model - ask two models at once, whatever they speak.
 *
 *     models = models_new(&config, &err);                 once per worker
 *     call = models_start(models, MODEL_FLASH, &prompt, deadline, &err);
 *     models_turn(models, extra, n, until_mono_ms, &err); until done
 *     model_call_answer(call) ...
 *     model_call_free(call);                        cancels what still runs
 *     models_free(models);
 *
 * Dialects: gemini on Vertex AI (Google token) and on the Developer API
 * (key), openai (any compatible server); each role has its own.  Answers are
 * streamed upstream so that first-token and idle limits mean something.
 *
 * An answer is complete only with a genuine finish reason and no error after
 * it.  A failing provider is a result, never an error of ours.  Provider text
 * other than the answer itself never leaves this module: only classes do.
 *
 * As long as nothing of an answer came, a call may make several attempts, with
 * pauses between them, and turn to the role's fallback in the end; all of it
 * inside of its deadline.  A breaker shared by all processes keeps calls away
 * from a model that cannot be reached.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "client/http.h"
#include "guard/breaker.h"

enum model_role { MODEL_FLASH, MODEL_PRO, MODEL_ROLE_COUNT };

const char *model_role_name(enum model_role role); /* "flash", "pro" */

enum model_provider {
    MODEL_VERTEX, /* Gemini on Vertex AI: OAuth bearer token */
    MODEL_GEMINI, /* Gemini Developer API: key */
    MODEL_OPENAI, /* OpenAI-compatible chat completions: optional key */
};

/* One role's configuration.  Strings are borrowed for the life of models;
 * "" means not set. */
struct model_config {
    enum model_provider provider;
    const char *model;    /* id as asked for */
    const char *fallback; /* "": none; else asked when model is not
                           * available */
    const char *base_url; /* "": the provider's own; else scheme://host[:port]
                    * and, for openai, the path up to /chat/completions */
    const char *api_key;
    const char *project;  /* vertex */
    const char *location; /* vertex */
    const char *thinking; /* "": leave it to the provider; a number is a Gemini
                           * thinkingBudget; a word is thinkingLevel or
                           * reasoning_effort */
    const char *fallback_thinking; /* the same for the fallback */
    int64_t max_output_tokens;     /* 0: leave it to the provider */
    const char *max_tokens_name;   /* openai: max_tokens or
                                  * max_completion_tokens */
    int64_t connect_ms;
    int64_t first_token_ms; /* 0: no limit but the call's deadline */
    int64_t idle_ms;
};

struct models_config {
    struct model_config roles[MODEL_ROLE_COUNT];
    const char *credentials_file; /* GOOGLE_APPLICATION_CREDENTIALS; "": the
                                   * metadata server */
    const char *metadata_host;    /* GCE_METADATA_HOST; "": the real one */
    bool http2;
    size_t max_answer_bytes; /* of text, per call */
    int64_t retries;         /* of one call, at most MODEL_MAX_RETRIES */
    int64_t retry_pause_ms;  /* before the first, if the provider does not
                                * say; doubles */
    struct breaker_policy breaker;
};

/* Check what can be checked without the network: URLs, ids, that credentials
 * exist and parse.  For -t, start and reload. */
int models_check(const struct models_config *config,
                 struct err *err) ATTR_MUST_CHECK;

struct models;
struct models *models_new(const struct models_config *config,
                          struct err *err) ATTR_MUST_CHECK;
void models_free(struct models *models); /* NULL is fine */

/* Clean UTF-8, borrowed until the call is freed. */
struct model_prompt {
    const char *system;
    const char *user;
};

enum model_outcome {
    MODEL_PENDING = 0,
    MODEL_COMPLETE,    /* the provider's own end marker, with text */
    MODEL_CUT,         /* complete, but the provider's length limit cut it */
    MODEL_BLOCKED,     /* refused by the provider's policy */
    MODEL_EMPTY,       /* an end marker, no text */
    MODEL_INCOMPLETE,  /* the stream ended without its marker */
    MODEL_FAILED,      /* the provider said error, or spoke nonsense */
    MODEL_UNAVAILABLE, /* no such model, no credentials, not reachable, busy */
    MODEL_TIMED_OUT,
    MODEL_CANCELLED, /* by us */
};

#define MODEL_MAX_RETRIES 5

/* The first, its retries, one more for a Google token that was revoked early,
 * and the fallback's. */
#define MODEL_MAX_ATTEMPTS (MODEL_MAX_RETRIES + 3)

/* One request that was sent, or was to be. */
struct model_attempt {
    const char *model;       /* id as asked for */
    const char *error_class; /* "" for an answer */
    long http_status;        /* 0: none came */
    int64_t wait_ms;         /* the pause before it */
    int64_t took_ms;
};

/* Everything that error_class can say, save "": fit for a metric's label. */
#define MODEL_ERROR_CLASS_COUNT 26
extern const char *const model_error_classes[MODEL_ERROR_CLASS_COUNT];

/* True for the two that carry a whole answer. */
bool model_outcome_is_answer(enum model_outcome outcome);
const char *model_outcome_name(enum model_outcome outcome);

/* -1 where the provider did not say. */
struct model_usage {
    int64_t input_tokens;
    int64_t output_tokens; /* visible answer only, in every dialect */
    int64_t thought_tokens;
    int64_t cached_tokens;
    int64_t total_tokens;
};

/* Borrowed from the call; strings are never NULL. */
struct model_answer {
    enum model_outcome outcome;
    const char *text; /* clean UTF-8; partial when the outcome is no answer */
    size_t text_len;
    bool cleaned;
    const char *served_model; /* as the provider says, else as asked for */
    const char *response_id;
    const char *finish_reason; /* as the provider spells it, at most 40 chars,
                                * letters, digits and _ only */
    const char *error_class;   /* one of model_error_classes, such as
                                * RateLimited, TlsError, IdleTimeout; "" when
                                * an answer or pending */
    struct model_usage usage;
    long http_status;
    int attempts;
    const struct model_attempt *attempt_log; /* so many */
    int retries;   /* of them, those that followed a pause */
    bool fallback; /* it turned to the role's fallback */
    bool rerouted; /* served_model is another one than was asked for */
    bool renamed;  /* the model or the response id changed on the way */
    bool trailed;  /* something came after the end, and was ignored */
    bool transport_unclean; /* whole by its marker, but the connection broke */
    int64_t started_unix_us;
    int64_t first_token_ms; /* since start; -1 if none */
    int64_t latency_ms;     /* start to end; so far when pending */
};

struct model_call;

/* deadline_mono_ms bounds the whole call: the role's time-out and the run's
 * share, whichever is first.  -1/NULL only when memory or curl fails us. */
struct model_call *models_start(struct models *models, enum model_role role,
                                const struct model_prompt *prompt,
                                int64_t deadline_mono_ms,
                                struct err *err) ATTR_MUST_CHECK;

/* One turn for all calls, as http_turn(); also fetches and refreshes the
 * Google token when a call waits for one. */
int models_turn(struct models *models, struct http_fd *extra,
                size_t extra_count, int64_t until_mono_ms,
                struct err *err) ATTR_MUST_CHECK;

bool model_call_is_done(const struct model_call *call);
struct model_answer model_call_answer(const struct model_call *call);

/* Closes its connection at once, or ends its pause; outcome MODEL_CANCELLED.  The text so far
 * stays readable.  Does nothing to a call that is done. */
void model_call_cancel(struct model_call *call);
void model_call_free(struct model_call *call); /* NULL is fine */

#endif
