/* control.c - see control.h. */
#include "control/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "control/events.h"
#include "control/listings.h"
#include "control/pages.h"
#include "control/proofs.h"
#include "guard/door.h"
#include "metrics.h"
#include "response.h"
#include "sys/log.h"
#include "text/prom.h"
#include "text/uri.h"

#define BODY_MAX_BYTES  ((size_t)256 * 1024 * 1024) /* a page, all escaped */
#define KEEP_BYTES      (128 * 1024)
#define ARENA_MAX_BYTES (1024 * 1024)

#define LISTING_MS 30000 /* the watchdog's patience with a listing */
#define READ_MS    2000  /* for PostgreSQL's answer */
#define PROOF_MS   10000 /* to read a log's hashes */

#define RUN_PREFIX   "/api/experiments/"
#define PROOF_SUFFIX "/proof"

struct control {
    struct control_config config;
    struct reader *reader; /* NULL until first needed */
    bool told_of_texts;    /* that they are hidden from us */
    bool could_not_read;   /* the ledger, in this request */
    struct arena arena;    /* reset after each request */
    struct buf body;
};

/* One request on its way through. */
struct visit {
    struct control *control;
    struct fcgi *gate;
    enum metrics_route route;
    const char *path;
    int status;
};

struct control *
control_new(const struct control_config *config, struct err *err)
{
    struct control *control = calloc(1, sizeof(*control));

    if (control == NULL) {
        err_set(err, ERR_NOMEM, "control worker");
        return NULL;
    }
    control->config = *config;
    arena_init(&control->arena, ARENA_MAX_BYTES);
    buf_init(&control->body, BODY_MAX_BYTES);
    return control;
}

void
control_free(struct control *control)
{
    if (control == NULL)
        return;
    reader_close(control->reader);
    buf_close(&control->body);
    arena_close(&control->arena);
    free(control);
}

bool
control_could_not_read(const struct control *control)
{
    return control->could_not_read;
}

/* ---- replies ------------------------------------------------------------- */

static bool
is_head(const struct visit *visit)
{
    const char *method = fcgi_param(visit->gate, "REQUEST_METHOD");

    return method != NULL && strcmp(method, "HEAD") == 0;
}

static void
reply_body(struct visit *visit, int status, const char *content_type)
{
    const struct buf *body = &visit->control->body;

    visit->status = status;
    response_send(visit->gate,
                  &(struct response){ .status = status,
                                      .content_type = content_type,
                                      .body = buf_cstr(body),
                                      .len = is_head(visit) ? 0 : body->len });
}

static void
reply_json(struct visit *visit, int status)
{
    if (status == 500)
        buf_clear(&visit->control->body);
    reply_body(visit, status, "application/json");
}

static int
turn_away(struct visit *visit, int status, const char *code, const char *text,
          const char *headers)
{
    visit->status = status;
    response_error(visit->gate, status, code, text, headers);
    return -1;
}

/* ---- listings ------------------------------------------------------------ */

static const char *
query_get(struct visit *visit, const char *name)
{
    const char *query = fcgi_param(visit->gate, "QUERY_STRING");

    return query != NULL ? uri_query_get(query, name, &visit->control->arena)
                         : NULL;
}

/* One worker stays free for health and metrics, whoever lists what.  We show
 * ourselves first and count then, as the stream workers do. */
static bool
take_place(struct visit *visit)
{
    const struct control_config *config = &visit->control->config;
    const int64_t workers = config->config->control_workers;
    const size_t most = workers > 1 ? (size_t)workers - 1 : 1;

    board_set_stage(config->board, (size_t)config->slot, BOARD_BUSY,
                    clock_mono_ms() + LISTING_MS);
    return board_count(config->board, config->control_pool, 1u << BOARD_BUSY) <=
           most;
}

static int
begin_listing(struct visit *visit)
{
    if (take_place(visit))
        return 0;
    return turn_away(visit, 503, "busy", "Other listings are being made",
                     RESPONSE_RETRY_SOON);
}

static void
turn_unreadable(struct visit *visit, const struct err *err)
{
    visit->control->could_not_read = true;
    log_warn("ledger_not_readable", "%s", err->text);
    turn_away(visit, 503, "ledger_unavailable", "The ledger cannot be read now",
              RESPONSE_RETRY_SOON);
}

static int
open_reader(struct visit *visit)
{
    struct control *control = visit->control;
    const struct reader_place place = {
        .path = control->config.ledger_path,
        .url = config_reader_url(control->config.config),
        .application = "tandem control",
        .request_ms = READ_MS,
    };
    struct err err = { 0 };

    if (control->reader == NULL)
        control->reader = reader_open(&place, &err);
    if (control->reader != NULL)
        return 0;
    turn_unreadable(visit, &err);
    return -1;
}

/* Once a worker: it may be what the operators want. */
static void
tell_of_texts(struct control *control)
{
    if (control->told_of_texts || reader_sees_texts(control->reader))
        return;
    control->told_of_texts = true;
    log_info("ledger_texts_hidden",
             "the login for reading may not see texts: they are shown as null "
             "(tandem_auditor may)");
}

static void
reply_listing(struct visit *visit, enum listings_result result,
              const struct err *err)
{
    switch (result) {
    case LISTINGS_OK:
        tell_of_texts(visit->control);
        reply_json(visit, 200);
        break;
    case LISTINGS_BAD_LIMIT:
        turn_away(visit, 422, "invalid_limit", "limit must be 1 to 500", NULL);
        break;
    case LISTINGS_BAD_CURSOR:
        turn_away(visit, 422, "invalid_cursor",
                  "cursor must be a next_cursor of this listing", NULL);
        break;
    case LISTINGS_BAD_ID:
    case LISTINGS_NOT_FOUND:
        turn_away(visit, 404, "not_found", "No such run", NULL);
        break;
    case LISTINGS_AWAY:
        turn_unreadable(visit, err);
        break;
    case LISTINGS_FAILED:
        log_error("listing_failed", "%s", err->text);
        reader_close(visit->control->reader);
        visit->control->reader = NULL;
        turn_away(visit, 500, "internal_error", "Internal server error", NULL);
        break;
    }
}

static void
serve_listing(struct visit *visit)
{
    struct control *control = visit->control;
    struct err err = { 0 };

    if (begin_listing(visit) == 0 && open_reader(visit) == 0)
        reply_listing(visit,
                      listings_page(control->reader, query_get(visit, "limit"),
                                    query_get(visit, "cursor"), &control->body,
                                    &err),
                      &err);
}

static void
reply_not_yet(struct visit *visit)
{
    const int64_t interval_ms = visit->control->config.config->checkpoint_ms;
    const long long wait_s = (long long)(interval_ms + 999) / 1000;
    char text[128], headers[64];

    snprintf(text, sizeof(text), "Not yet, next checkpoint within %lld s",
             wait_s);
    snprintf(headers, sizeof(headers), "Retry-After: %lld\r\n", wait_s);
    turn_away(visit, 503, "not_yet", text, headers);
}

static void
reply_proof(struct visit *visit, enum proof_result result,
            const struct err *err)
{
    switch (result) {
    case PROOF_MADE:
        reply_json(visit, 200);
        break;
    case PROOF_NO_RUN:
    case PROOF_TOO_NEW:
        turn_away(visit, 404, "not_found", "No such run", NULL);
        break;
    case PROOF_NOT_YET:
        reply_not_yet(visit);
        break;
    case PROOF_TOO_LONG:
        turn_away(visit, 503, "log_too_long",
                  "This log is too long to be proved here: tandemctl proof "
                  "takes its time",
                  NULL);
        break;
    case PROOF_FAILED:
        if (err->kind != ERR_INVALID) {
            turn_unreadable(visit, err);
            break;
        }
        log_error("proof_failed", "%s", err->text);
        turn_away(visit, 500, "internal_error", "Internal server error", NULL);
        break;
    }
}

/* A worker has one connection to the database, so that of the listings goes
 * first; it comes back when it is needed. */
static void
serve_proof(struct visit *visit, const char *run_id, size_t len)
{
    struct control *control = visit->control;
    struct err err = { 0 };
    enum proof_result result;

    if (begin_listing(visit) == -1)
        return;
    reader_close(control->reader);
    control->reader = NULL;
    result = proofs_run(&control->config, run_id, len,
                        clock_mono_ms() + PROOF_MS, &control->body, &err);
    reply_proof(visit, result, &err);
}

static void
serve_run(struct visit *visit)
{
    struct control *control = visit->control;
    const char *run_id = visit->path + strlen(RUN_PREFIX);
    const char *slash = strchr(run_id, '/');
    struct err err = { 0 };

    if (slash != NULL && strcmp(slash, PROOF_SUFFIX) == 0) {
        serve_proof(visit, run_id, (size_t)(slash - run_id));
        return;
    }
    if (begin_listing(visit) == 0 && open_reader(visit) == 0)
        reply_listing(
            visit, listings_run(control->reader, run_id, &control->body, &err),
            &err);
}

/* A replay is somebody's answer, so it says when it cannot be told; who resumes
 * a stream comes again. */
static void
serve_events(struct visit *visit)
{
    struct control *control = visit->control;
    const char *header = fcgi_param(visit->gate, "HTTP_LAST_EVENT_ID");
    struct events_request request = {
        .config = control->config.config,
        .board = control->config.board,
        .gate = visit->gate,
        .path = visit->path,
        .last_event_id =
            header != NULL ? header : query_get(visit, "last_event_id"),
        .replay = query_get(visit, "replay"),
        .is_head = is_head(visit),
    };

    if (request.replay == NULL && !take_place(visit)) {
        visit->status = events_come_again(visit->gate);
        return;
    }
    if ((request.replay != NULL && begin_listing(visit) == -1) ||
        open_reader(visit) == -1)
        return;
    request.reader = control->reader;
    visit->status = events_serve(&request);
    if (visit->status == 500) {
        reader_close(control->reader);
        control->reader = NULL;
    }
}

/* ---- the other pages ----------------------------------------------------- */

static void
serve_health(struct visit *visit)
{
    reply_json(visit,
               pages_health(&visit->control->config, &visit->control->body));
}

static void
serve_livez(struct visit *visit)
{
    reply_json(visit, pages_livez(&visit->control->body));
}

static void
serve_readyz(struct visit *visit)
{
    reply_json(visit,
               pages_readyz(&visit->control->config, &visit->control->body));
}

static void
serve_metrics(struct visit *visit)
{
    if (visit->control->config.config->enable_metrics)
        reply_body(visit, pages_metrics(&visit->control->body),
                   PROM_CONTENT_TYPE);
    else
        turn_away(visit, 404, "not_found", "Metrics are switched off", NULL);
}

/* ---- routes -------------------------------------------------------------- */

struct route {
    const char *path;
    enum metrics_route metric;
    bool is_public; /* no key asked */
    void (*serve)(struct visit *visit);
};

static const struct route routes[] = {
    { "/health", METRICS_ROUTE_HEALTH, true, serve_health },
    { "/healthz", METRICS_ROUTE_HEALTHZ, true, serve_health },
    { "/livez", METRICS_ROUTE_LIVEZ, true, serve_livez },
    { "/readyz", METRICS_ROUTE_READYZ, true, serve_readyz },
    { "/metrics", METRICS_ROUTE_METRICS, false, serve_metrics },
    { "/api/experiments", METRICS_ROUTE_EXPERIMENTS, false, serve_listing },
};

static const struct route run_route = { RUN_PREFIX, METRICS_ROUTE_EXPERIMENT,
                                        false, serve_run };

static const struct route events_route = { EVENTS_PREFIX, METRICS_ROUTE_EVENTS,
                                           false, serve_events };

static const struct route *
find_route(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (strcmp(path, routes[i].path) == 0)
            return &routes[i];
    if (events_is_path(path))
        return &events_route;
    return str_starts_with(path, RUN_PREFIX) ? &run_route : NULL;
}

static int
authenticate(struct visit *visit)
{
    if (door_admits(visit->control->config.config, visit->gate))
        return 0;
    return turn_away(visit, 401, "unauthorized", "Unauthorized", NULL);
}

static int
check_method(struct visit *visit)
{
    const char *method = fcgi_param(visit->gate, "REQUEST_METHOD");

    if (method != NULL && (strcmp(method, "GET") == 0 || is_head(visit)))
        return 0;
    return turn_away(visit, 405, "method_not_allowed",
                     "This resource takes GET", "Allow: GET, HEAD\r\n");
}

static void
serve(struct visit *visit)
{
    const char *target = fcgi_param(visit->gate, "REQUEST_URI");
    const struct route *route;

    visit->path =
        target != NULL ? uri_path(target, &visit->control->arena) : NULL;
    route = visit->path != NULL ? find_route(visit->path) : NULL;
    if (route != NULL)
        visit->route = route->metric;
    if ((route == NULL || !route->is_public) && authenticate(visit) == -1)
        return;
    if (route == NULL)
        turn_away(visit, 404, "not_found", "No such resource", NULL);
    else if (check_method(visit) == 0)
        route->serve(visit);
}

void
control_serve(struct control *control, struct fcgi *gate)
{
    const int64_t began_us = clock_mono_us();
    struct visit visit = { .control = control,
                           .gate = gate,
                           .route = METRICS_ROUTE_OTHER };

    control->could_not_read = false;
    buf_shrink(&control->body, KEEP_BYTES);
    serve(&visit);
    metrics_http(visit.route, visit.status, clock_mono_us() - began_us);
    arena_reset(&control->arena);
}
