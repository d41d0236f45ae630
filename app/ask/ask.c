/* ask.c - see ask.h. */
#include "ask/ask.h"

#include <stdlib.h>
#include <string.h>

#include "ask/adapt.h"
#include "ask/run.h"
#include "ask/stream.h"
#include "ask/taken.h"
#include "ask/tally.h"
#include "ask/turn_run.h"
#include "base/clock.h"
#include "base/str.h"
#include "guard/door.h"
#include "guard/privacy.h"
#include "guard/timeouts.h"
#include "ledger/clerk.h"
#include "metrics.h"
#include "model/setup.h"
#include "response.h"
#include "sys/log.h"
#include "text/json.h"
#include "text/uri.h"

#define QUERY_PATH      "/api/reasoning/query"
#define BODY_MS         30000 /* a body takes no longer to come in */
#define KEEP_BYTES      (64 * 1024)
#define TEXT_MAX_BYTES  ((size_t)32 * 1024 * 1024)
#define ARENA_MAX_BYTES ((size_t)64 * 1024 * 1024)

struct ask {
    const struct config *config; /* borrowed */
    struct child *child;         /* borrowed */
    struct models *models;
    struct clerk *clerk;
    struct privacy *privacy;
    struct arena arena; /* reset after each request */
    struct buf body;    /* kept, like the stream's, for the next request */
    struct stream stream;
    bool is_sick;     /* curl failed us: another process may do better */
    bool has_learned; /* a run is recorded that time-outs have not followed */
};

/* One HTTP request on its way through. */
struct visit {
    struct ask *ask;
    struct fcgi *gate;
    const char *key; /* Idempotency-Key, or NULL */
    bool taken;      /* it is another run's */
    int64_t began_mono_us;
    int status; /* of the response */
};

struct ask *
ask_new(const struct config *config, struct child *child, struct err *err)
{
    struct models_config models;
    struct ask *ask = calloc(1, sizeof(*ask));

    if (ask == NULL) {
        err_set(err, ERR_NOMEM, "stream worker");
        return NULL;
    }
    ask->config = config;
    ask->child = child;
    arena_init(&ask->arena, ARENA_MAX_BYTES);
    buf_init(&ask->body, (size_t)config->max_body_bytes);
    stream_init(&ask->stream);
    model_setup(config, &models);
    if ((ask->models = models_new(&models, err)) == NULL ||
        (ask->clerk = clerk_new(config->scribe_socket, err)) == NULL ||
        (ask->privacy = privacy_new(err)) == NULL) {
        ask_free(ask);
        return NULL;
    }
    return ask;
}

void
ask_free(struct ask *ask)
{
    if (ask == NULL)
        return;
    privacy_free(ask->privacy);
    clerk_free(ask->clerk);
    models_free(ask->models);
    stream_close(&ask->stream);
    buf_close(&ask->body);
    arena_close(&ask->arena);
    free(ask);
}

/* ---- at the door --------------------------------------------------------- */

static int
turn_away(struct visit *visit, int status, const char *code, const char *text,
          const char *headers)
{
    visit->status = status;
    response_error(visit->gate, status, code, text, headers);
    return -1;
}

void
ask_refuse(struct fcgi *gate)
{
    metrics_count(METRICS_OVERLOADED, 0);
    metrics_count(METRICS_REQUESTS, METRICS_OUTCOME_REJECTED);
    metrics_http(METRICS_ROUTE_QUERY, 503, 0);
    response_error(gate, 503, "overloaded", "Every worker is busy",
                   RESPONSE_RETRY_SOON);
}

static int
authenticate(struct visit *visit)
{
    if (door_admits(visit->ask->config, visit->gate))
        return 0;
    return turn_away(visit, 401, "unauthorized", "Unauthorized", NULL);
}

static int
find_route(struct visit *visit)
{
    const char *method = fcgi_param(visit->gate, "REQUEST_METHOD");
    const char *target = fcgi_param(visit->gate, "REQUEST_URI");
    const char *path =
        target != NULL ? uri_path(target, &visit->ask->arena) : NULL;

    if (path == NULL || strcmp(path, QUERY_PATH) != 0)
        return turn_away(visit, 404, "not_found", "No such resource", NULL);
    if (method == NULL || strcmp(method, "POST") != 0)
        return turn_away(visit, 405, "method_not_allowed",
                         "This resource takes POST", "Allow: POST\r\n");
    return 0;
}

/* JSON by its name, or no particular type: curl -d sends a form's. */
static int
check_type(struct visit *visit)
{
    static const char *const known[] = { "application/json",
                                         "application/x-www-form-urlencoded" };
    const char *type = fcgi_param(visit->gate, "CONTENT_TYPE");
    char bare[64];

    if (type == NULL || type[0] == '\0')
        return 0;
    if (strcspn(type, "; \t") < sizeof(bare)) {
        memccpy(bare, type, '\0', sizeof(bare) - 1);
        bare[strcspn(type, "; \t")] = '\0';
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            if (str_equals_nocase(bare, known[i]))
                return 0;
    }
    return turn_away(visit, 415, "unsupported_media_type",
                     "Send application/json", NULL);
}

static int
check_key(struct visit *visit)
{
    visit->key = fcgi_param(visit->gate, "HTTP_IDEMPOTENCY_KEY");
    if (visit->key == NULL || idempotency_key_is_valid(visit->key))
        return 0;
    return turn_away(visit, 400, "invalid_idempotency_key",
                     "Idempotency-Key must be 1 to 255 visible ASCII "
                     "characters",
                     NULL);
}

static int
read_body(struct visit *visit)
{
    struct buf *body = &visit->ask->body;

    buf_shrink(body, KEEP_BYTES);
    switch (fcgi_read_body(visit->gate, body, clock_mono_ms() + BODY_MS)) {
    case FCGI_BODY_OK:
        return 0;
    case FCGI_BODY_TOO_LARGE:
        return turn_away(visit, 413, "body_too_large",
                         "The body is longer than this server takes", NULL);
    case FCGI_BODY_TOO_SLOW:
        return turn_away(visit, 408, "body_too_slow",
                         "The body took too long to arrive", NULL);
    case FCGI_BODY_CUT:
        return turn_away(visit, 400, "body_cut",
                         "The body is shorter than announced", NULL);
    case FCGI_BODY_NOMEM:
        break;
    }
    return turn_away(visit, 500, "internal_error", "Internal server error",
                     NULL);
}

static int
parse_request(struct visit *visit, struct request *request)
{
    struct ask *ask = visit->ask;
    const char *target = fcgi_param(visit->gate, "QUERY_STRING");
    const struct request_limits limits = {
        .max_query_chars = (size_t)ask->config->max_query_chars,
        .default_words = (enum vocab_words)ask->config->default_events,
    };
    struct request_fault fault;

    if (request_parse(request, buf_cstr(&ask->body), ask->body.len,
                      target != NULL
                          ? uri_query_get(target, "events", &ask->arena)
                          : NULL,
                      &limits, &fault) == 0)
        return 0;
    return turn_away(visit, fault.status, fault.code, fault.text, NULL);
}

/* No tokens for nobody.  A caller who has only closed his half of the
 * connection cannot be told apart from one who has left, but can still read. */
static int
check_presence(struct visit *visit)
{
    if (!fcgi_client_is_gone(visit->gate))
        return 0;
    return turn_away(visit, 400, "client_gone",
                     "The connection was closed before the query began: keep "
                     "both directions open until the answer has come",
                     NULL);
}

/* ---- before a run -------------------------------------------------------- */

static void
count_redactions(const struct privacy_counts *counts)
{
    static const enum metrics_redaction label[PRIVACY_KIND_COUNT] = {
        [PRIVACY_EMAIL] = METRICS_REDACTED_EMAIL,
        [PRIVACY_PHONE] = METRICS_REDACTED_PHONE,
        [PRIVACY_SSN] = METRICS_REDACTED_SSN,
        [PRIVACY_MRN] = METRICS_REDACTED_MRN,
        [PRIVACY_CREDENTIAL] = METRICS_REDACTED_CREDENTIAL,
    };

    for (int kind = 0; kind < PRIVACY_KIND_COUNT; kind++)
        metrics_add(METRICS_REDACTIONS, label[kind], counts->of[kind]);
}

static bool
has_found(const struct privacy_counts *counts)
{
    for (int kind = 0; kind < PRIVACY_KIND_COUNT; kind++)
        if (counts->of[kind] > 0)
            return true;
    return false;
}

static int
redact_context(struct ask *ask, struct run *run, struct privacy_counts *counts,
               struct err *err)
{
    const json_t *context = run->request.context;
    json_t *redacted;
    int result;

    if (context == NULL)
        return 0;
    if (!run->config->redact_before_model &&
        json_write(context, &run->asked_context, err) == -1)
        return -1;
    redacted = privacy_redact_json(ask->privacy, context, counts, err);
    if (redacted == NULL)
        return -1;
    result = json_write(redacted, &run->context, err);
    json_decref(redacted);
    return result;
}

static int
redact(struct ask *ask, struct run *run, struct err *err)
{
    struct privacy_counts in_query = { { 0 } };
    struct privacy_counts in_context = { { 0 } };
    struct privacy_counts in_user = { { 0 } };
    const struct request *request = &run->request;

    if (privacy_redact_text(ask->privacy, request->query, request->query_len,
                            &run->query, &in_query, err) == -1 ||
        redact_context(ask, run, &in_context, err) == -1 ||
        privacy_redact_text(ask->privacy,
                            request->user != NULL ? request->user : "",
                            request->user != NULL ? strlen(request->user) : 0,
                            &run->user, &in_user, err) == -1)
        return -1;
    run->query_changed = request->cleaned || has_found(&in_query);
    run->context_changed = request->cleaned || has_found(&in_context);
    count_redactions(&in_query);
    count_redactions(&in_context);
    count_redactions(&in_user);
    return 0;
}

static int
prepare(struct visit *visit, struct run *run)
{
    const struct config *config = visit->ask->config;
    const struct turn_policy policy = {
        .flash_failure_cancels = config->flash_failure_cancels != 0,
        .early_flash_termination = config->early_flash_termination,
        .errors_end_stream = run->request.words != VOCAB_CLASSIC,
        .outlives_client = run->request.outlives_client,
    };
    struct err err = { 0 };

    run->config = config;
    run->principal = door_principal(config);
    run->started_unix_us = clock_unix_us();
    run->started_mono_ms = clock_mono_ms();
    run->deadline_mono_ms = run->started_mono_ms + config->run_deadline_ms;
    run->models_deadline_mono_ms =
        run->deadline_mono_ms - config->audit_share_ms;
    for (int role = 0; role < MODEL_ROLE_COUNT; role++) {
        run->facts.answer[role] = run_not_asked;
        run->timeout_ms[role] = timeouts_ms((size_t)role, config);
    }
    turn_init(&run->turn, &policy);
    if (uuid_v7_new(&run->id, &err) == 0 &&
        idempotency_set(&run->idempotency, visit->key, run->principal,
                        &run->request, &err) == 0 &&
        redact(visit->ask, run, &err) == 0) {
        uuid_format(&run->id, run->id_text);
        run->facts.run_id = run->id_text;
        run->facts.query = run->query.bytes;
        run->facts.query_len = run->query.len;
        run->facts.requested_model[MODEL_FLASH] = config->flash.model;
        run->facts.requested_model[MODEL_PRO] = config->pro.model;
        run->facts.deadline_ms = config->run_deadline_ms;
        return 0;
    }
    log_error("run_not_prepared", "%s", err.text);
    return turn_away(visit, 500, "internal_error", "Internal server error",
                     NULL);
}

/* ---- after a run --------------------------------------------------------- */

static void
run_close(struct run *run)
{
    for (int role = 0; role < MODEL_ROLE_COUNT; role++)
        model_call_free(run->calls[role]);
    request_close(&run->request);
    buf_close(&run->query);
    buf_close(&run->context);
    buf_close(&run->asked_context);
    buf_close(&run->user);
}

/* ---- a visit ------------------------------------------------------------- */

static void
serve_run(struct visit *visit, struct run *run)
{
    struct ask *ask = visit->ask;
    const struct turn_run_tools tools = { .models = ask->models,
                                          .clerk = ask->clerk,
                                          .child = ask->child,
                                          .arena = &ask->arena,
                                          .stream = &ask->stream };

    stream_open(&ask->stream, visit->gate);
    board_set_job(ask->child->board, (size_t)ask->child->slot, &run->id);
    board_set_stage(ask->child->board, (size_t)ask->child->slot, BOARD_BUSY,
                    run->deadline_mono_ms);
    log_set_run(run->id_text);
    switch (turn_run_accept(run, &tools)) {
    case TURN_RUN_ACCEPTED:
        visit->status = 200;
        log_info("run_accepted", "flash_model=%s pro_model=%s events=%s",
                 run->config->flash.model, run->config->pro.model,
                 vocab_words_name(run->request.words));
        ask->is_sick = turn_run(run, &tools) == -1 || ask->is_sick;
        tally_run(run);
        /* Without a receipt a change could not be recorded either. */
        ask->has_learned = run->facts.receipt != NULL;
        break;
    case TURN_RUN_TAKEN:
        visit->taken = true;
        visit->status =
            taken_answer(run, visit->gate, clerk_holder(ask->clerk));
        break;
    case TURN_RUN_UNAVAILABLE:
        turn_away(visit, 503, "audit_unavailable",
                  "The record of a run could not be stored",
                  RESPONSE_RETRY_SOON);
        break;
    }
    log_set_run(NULL);
}

static void
serve(struct visit *visit)
{
    struct run run = { .left_after_ms = -1 };

    if (authenticate(visit) == -1 || find_route(visit) == -1 ||
        check_type(visit) == -1 || check_key(visit) == -1 ||
        read_body(visit) == -1 || parse_request(visit, &run.request) == -1)
        return;
    buf_init(&run.query, TEXT_MAX_BYTES);
    buf_init(&run.context, TEXT_MAX_BYTES);
    buf_init(&run.asked_context, TEXT_MAX_BYTES);
    buf_init(&run.user, TEXT_MAX_BYTES);
    if (check_presence(visit) == 0 && prepare(visit, &run) == 0)
        serve_run(visit, &run);
    run_close(&run);
}

/* Runs are counted by tally_run(). */
static void
count_visit(const struct visit *visit)
{
    const bool elsewhere = visit->status == 404 && !visit->taken;

    if (visit->taken && visit->status == 200)
        metrics_count(METRICS_REQUESTS, METRICS_OUTCOME_REPLAYED);
    else if (visit->status >= 400 && !elsewhere)
        metrics_count(METRICS_REQUESTS, METRICS_OUTCOME_REJECTED);
    if (visit->status != 0)
        metrics_http(elsewhere ? METRICS_ROUTE_OTHER : METRICS_ROUTE_QUERY,
                     visit->status, clock_mono_us() - visit->began_mono_us);
}

void
ask_serve(struct ask *ask, struct fcgi *gate)
{
    struct visit visit = { .ask = ask,
                           .gate = gate,
                           .began_mono_us = clock_mono_us() };

    serve(&visit);
    count_visit(&visit);
    arena_reset(&ask->arena);
}

void
ask_settle(struct ask *ask)
{
    if (ask->has_learned)
        adapt_after_run(ask->config, ask->clerk);
    ask->has_learned = false;
}

bool
ask_is_sick(const struct ask *ask)
{
    return ask->is_sick;
}
