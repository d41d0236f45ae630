/*
 * metrics.c - see metrics.h.
 *
 * Labels are written out as they appear on the page, so that counting is an
 * index and printing is a copy.
 */
#include "metrics.h"

#include <string.h>

#define MODELS \
    { \
        "model=\"flash\"", "model=\"pro\"" \
    }

static const char *const outcome_labels[] = {
    "outcome=\"ok\"",      "outcome=\"timeout\"",    "outcome=\"cancelled\"",
    "outcome=\"error\"",   "outcome=\"unrecorded\"", "outcome=\"rejected\"",
    "outcome=\"replayed\""
};
static const char *const model_labels[] = MODELS;
static const char *const circuit_labels[] = { "model=\"flash\"",
                                              "model=\"pro\"",
                                              "model=\"flash_fallback\"",
                                              "model=\"pro_fallback\"" };
static const char *const cancelled_labels[] = { "reason=\"client\"",
                                                "reason=\"sibling\"",
                                                "reason=\"shutdown\"" };
static const char *const kept_labels[] = { "kept=\"flash\"", "kept=\"pro\"" };
static const char *const redaction_labels[] = {
    "field_type=\"email\"", "field_type=\"phone\"", "field_type=\"ssn\"",
    "field_type=\"mrn\"", "field_type=\"credential\""
};
static const char *const audit_labels[] = {
    "kind=\"log_opened\"", "kind=\"accepted\"", "kind=\"finished\"",
    "kind=\"left\"",       "kind=\"orphaned\"", "kind=\"log_closed\"",
    "kind=\"log_linked\"", "kind=\"admin\""
};
static const char *const schema_labels[] = { "which=\"found\"", "which=\"min\"",
                                             "which=\"max\"" };
static const char *const checkpoint_labels[] = { "outcome=\"made\"",
                                                 "outcome=\"failed\"" };
static const char *const auth_labels[] = { "reason=\"missing\"",
                                           "reason=\"wrong\"" };
static const char *const restart_labels[] = { "reason=\"orderly\"",
                                              "reason=\"sick\"",
                                              "reason=\"crashed\"" };
static const char *const pool_labels[] = { "pool=\"stream\"",
                                           "pool=\"control\"",
                                           "pool=\"scribe\"" };
static const char *const build_labels[] = { "version=\"" TANDEM_VERSION "\"" };

static const char *const token_labels[] = {
    "model=\"flash\",kind=\"input\"",   "model=\"flash\",kind=\"output\"",
    "model=\"flash\",kind=\"thought\"", "model=\"pro\",kind=\"input\"",
    "model=\"pro\",kind=\"output\"",    "model=\"pro\",kind=\"thought\""
};
#define TOKEN_KINDS 3

#define MARKS(model) \
    "model=\"" model "\",mark=\"cut\"", \
        "model=\"" model "\",mark=\"rerouted\"", \
        "model=\"" model "\",mark=\"renamed\"", \
        "model=\"" model "\",mark=\"cleaned\"", \
        "model=\"" model "\",mark=\"trailed\"", \
        "model=\"" model "\",mark=\"unclean\""
static const char *const mark_labels[] = { MARKS("flash"), MARKS("pro") };
_Static_assert(ARRAY_LEN(mark_labels) == 2 * METRICS_MARK_COUNT,
               "one series for each role and mark");

/* The names of app/model/failure.c; a unit test holds the two together. */
#define CLASS(name) "class=\"" name "\""
static const char *const class_labels[] = {
    CLASS("AuthError"),
    CLASS("ModelNotFound"),
    CLASS("RateLimited"),
    CLASS("InputTooLong"),
    CLASS("HttpError4xx"),
    CLASS("HttpError503"),
    CLASS("HttpError5xx"),
    CLASS("HttpErrorOther"),
    CLASS("ProviderError"),
    CLASS("ConnectTimeout"),
    CLASS("FirstTokenTimeout"),
    CLASS("IdleTimeout"),
    CLASS("TotalTimeout"),
    CLASS("ConnectError"),
    CLASS("ConnectionLost"),
    CLASS("TlsError"),
    CLASS("TokenError"),
    CLASS("CircuitOpen"),
    CLASS("BadStream"),
    CLASS("StreamCut"),
    CLASS("TooLarge"),
    CLASS("BadFinish"),
    CLASS("PolicyBlocked"),
    CLASS("EmptyAnswer"),
    CLASS("OnlyThought"),
    CLASS("Cancelled"),
    CLASS("Other"),
};

/* method, path, status of each route: all series exist from the start. */
static const int statuses[] = { 200, 204, 400, 401, 403, 404, 405, 408,
                                409, 410, 413, 415, 422, 500, 503 };
#define STATUS_COUNT 15
_Static_assert(ARRAY_LEN(statuses) == STATUS_COUNT, "statuses[] by its name");

#define SERIES(method, path, status) \
    "method=\"" method "\",path=\"" path "\",status=\"" status "\""
#define ROUTE(m, p) \
    SERIES(m, p, "200"), SERIES(m, p, "204"), SERIES(m, p, "400"), \
        SERIES(m, p, "401"), SERIES(m, p, "403"), SERIES(m, p, "404"), \
        SERIES(m, p, "405"), SERIES(m, p, "408"), SERIES(m, p, "409"), \
        SERIES(m, p, "410"), SERIES(m, p, "413"), SERIES(m, p, "415"), \
        SERIES(m, p, "422"), SERIES(m, p, "500"), SERIES(m, p, "503")

static const char *const http_labels[] = {
    ROUTE("POST", "/api/reasoning/query"),
    ROUTE("GET", "/health"),
    ROUTE("GET", "/healthz"),
    ROUTE("GET", "/livez"),
    ROUTE("GET", "/readyz"),
    ROUTE("GET", "/metrics"),
    ROUTE("GET", "/api/experiments"),
    ROUTE("GET", "/api/experiments/{run_id}"),
    ROUTE("GET", "/api/reasoning/runs/{run_id}/events"),
    ROUTE("any", "other"),
};
_Static_assert(ARRAY_LEN(http_labels) == METRICS_ROUTE_COUNT * STATUS_COUNT,
               "one series for each route and status");

static const char *const route_labels[] = {
    "path=\"/api/reasoning/query\"",
    "path=\"/health\"",
    "path=\"/healthz\"",
    "path=\"/livez\"",
    "path=\"/readyz\"",
    "path=\"/metrics\"",
    "path=\"/api/experiments\"",
    "path=\"/api/experiments/{run_id}\"",
    "path=\"/api/reasoning/runs/{run_id}/events\"",
    "path=\"other\"",
};

/* Thresholds that alerts and targets use are boundaries: 2, 4, 5, 20, 40,
 * 45 s. */
static const int64_t latency_bounds_ms[] = {
    100,  200,  300,  500,   750,   1000,  1500,  2000,  2500,  3000,
    4000, 5000, 7500, 10000, 15000, 20000, 30000, 40000, 45000, 60000
};
static const int64_t http_bounds_us[] = {
    5000,    10000,   25000,    50000,    100000,   250000,   500000,  1000000,
    2500000, 5000000, 10000000, 20000000, 30000000, 45000000, 60000000
};
static const int64_t audit_bounds_us[] = { 500,    1000,    2500,   5000,
                                           10000,  25000,   50000,  100000,
                                           250000, 1000000, 5000000 };

#define LABELS(list) .labels = list, .label_count = ARRAY_LEN(list)
#define BOUNDS(list) .bounds = list, .bound_count = ARRAY_LEN(list)

const struct counters_family metrics_families[METRICS_FAMILY_COUNT] = {
    [METRICS_REQUESTS] = { "requests_total", "Queries by how they ended",
                           COUNTERS_COUNTER, LABELS(outcome_labels) },
    [METRICS_LATENCY] = { "latency_ms",
                          "Time to a whole answer of a model, milliseconds",
                          COUNTERS_HISTOGRAM, LABELS(model_labels),
                          BOUNDS(latency_bounds_ms) },
    [METRICS_TIMEOUTS] = { "timeouts_total", "Model calls that ran out of time",
                           COUNTERS_COUNTER, LABELS(model_labels) },
    [METRICS_ERRORS] = { "errors_total", "Failed model calls by class",
                         COUNTERS_COUNTER, LABELS(class_labels) },
    [METRICS_CANCELLATIONS] = { "cancellations_total",
                                "Runs cut short, by reason", COUNTERS_COUNTER,
                                LABELS(cancelled_labels) },
    [METRICS_SSE_DURATION] = { "sse_handler_duration",
                               "Whole life of a stream, milliseconds",
                               COUNTERS_HISTOGRAM, BOUNDS(latency_bounds_ms) },
    [METRICS_HTTP_REQUESTS] = { "http_requests_total", "Answered requests",
                                COUNTERS_COUNTER, LABELS(http_labels) },
    [METRICS_HTTP_DURATION] = { "http_request_duration_seconds",
                                "Time to answer a request", COUNTERS_HISTOGRAM,
                                LABELS(route_labels), BOUNDS(http_bounds_us),
                                .scale = 1e-6 },
    [METRICS_INFERENCE] = { "model_inference_duration_seconds",
                            "Time to a whole answer of a model",
                            COUNTERS_HISTOGRAM, LABELS(model_labels),
                            BOUNDS(latency_bounds_ms), .scale = 1e-3 },
    [METRICS_TOKENS] = { "tokens_total", "Tokens as providers counted them",
                         COUNTERS_COUNTER, LABELS(token_labels) },
    [METRICS_MARKS] = { "model_marks_total",
                        "Model calls that were cut, rerouted, mended, odd",
                        COUNTERS_COUNTER, LABELS(mark_labels) },
    [METRICS_RETRIES] = { "model_retries_total",
                          "Times that a model was asked again in one run",
                          COUNTERS_COUNTER, LABELS(model_labels) },
    [METRICS_FALLBACKS] = { "model_fallbacks_total",
                            "Runs that turned to a model's fallback",
                            COUNTERS_COUNTER, LABELS(model_labels) },
    [METRICS_CIRCUIT_STATE] = { "circuit_state",
                                "A model's breaker: 0 closed, 1 one call "
                                "probes, 2 open",
                                COUNTERS_GAUGE, LABELS(circuit_labels) },
    [METRICS_CIRCUIT_OPENED] = { "circuit_open_total",
                                 "Times that a model's breaker opened",
                                 COUNTERS_COUNTER, LABELS(circuit_labels) },
    [METRICS_CALL_DURATION] = { "model_call_duration_seconds",
                                "Time of calls that answered or ran out of "
                                "time, these with their whole time-out",
                                COUNTERS_HISTOGRAM, LABELS(model_labels),
                                BOUNDS(latency_bounds_ms), .scale = 1e-3 },
    [METRICS_TIMEOUT] = { "timeout_seconds", "The time-out in force",
                          COUNTERS_GAUGE, LABELS(model_labels), .scale = 1e-3 },
    [METRICS_EARLY_TERMINATIONS] = { "early_flash_terminations_total",
                                     "Runs in which the accurate model was "
                                     "first",
                                     COUNTERS_COUNTER, .labels = NULL },
    [METRICS_SALVAGED] = { "salvaged_runs_total",
                           "Runs that ended with one answer of two",
                           COUNTERS_COUNTER, LABELS(kept_labels) },
    [METRICS_REDACTIONS] = { "redactions_total",
                             "Pieces of personal data taken out of queries",
                             COUNTERS_COUNTER, LABELS(redaction_labels) },
    [METRICS_AUDIT_WRITES] = { "audit_writes_total",
                               "Entries that became durable, by kind",
                               COUNTERS_COUNTER, LABELS(audit_labels) },
    [METRICS_AUDIT_DURATION] = { "audit_write_duration_seconds",
                                 "Time of one commit of waiting records",
                                 COUNTERS_HISTOGRAM, BOUNDS(audit_bounds_us),
                                 .scale = 1e-6 },
    [METRICS_AUDIT_SPOOLED] = { "audit_spooled_total",
                                "Entries that became durable in the spool",
                                COUNTERS_COUNTER, .labels = NULL },
    [METRICS_AUDIT_REPLAYED] = { "audit_replayed_total",
                                 "Entries committed from the spool",
                                 COUNTERS_COUNTER, .labels = NULL },
    [METRICS_AUDIT_FAILURES] = { "audit_failures_total",
                                 "Attempts at the database that failed",
                                 COUNTERS_COUNTER, .labels = NULL },
    [METRICS_LEDGER_FAILING] = { "ledger_failing",
                                 "1 while the ledger takes no new runs",
                                 COUNTERS_GAUGE, .labels = NULL },
    [METRICS_LEDGER_AWAY] = { "ledger_away",
                              "1 while the database is left alone after "
                              "failures",
                              COUNTERS_GAUGE, .labels = NULL },
    [METRICS_LEDGER_SCHEMA] = { "ledger_schema_version",
                                "Version of the schema that is there (0: not "
                                "known yet), and those that will do",
                                COUNTERS_GAUGE, LABELS(schema_labels) },
    [METRICS_SPOOL_BATCHES] = { "audit_spool_files",
                                "Batches in the spool that wait for the "
                                "database",
                                COUNTERS_GAUGE, .labels = NULL },
    [METRICS_SPOOL_BYTES] = { "audit_spool_bytes", "Size of these batches",
                              COUNTERS_GAUGE, .labels = NULL },
    [METRICS_SPOOL_SET_ASIDE] = { "audit_spool_set_aside_files",
                                  "Batches that the database will not take",
                                  COUNTERS_GAUGE, .labels = NULL },
    [METRICS_CHECKPOINTS] = { "checkpoints_total",
                              "Checkpoints that were kept everywhere, or not",
                              COUNTERS_COUNTER, LABELS(checkpoint_labels) },
    [METRICS_AUTH_FAILURES] = { "auth_failures_total",
                                "Requests without the right API key",
                                COUNTERS_COUNTER, LABELS(auth_labels) },
    [METRICS_OVERLOADED] = { "overloaded_total",
                             "Queries refused because every worker was busy",
                             COUNTERS_COUNTER, .labels = NULL },
    [METRICS_WORKER_RESTARTS] = { "worker_restarts_total",
                                  "Processes that ended, by how",
                                  COUNTERS_COUNTER, LABELS(restart_labels) },
    [METRICS_WORKERS] = { "workers_total", "Living processes", COUNTERS_GAUGE,
                          LABELS(pool_labels) },
    [METRICS_WORKERS_BUSY] = { "workers_busy", "Processes that serve a request",
                               COUNTERS_GAUGE, LABELS(pool_labels) },
    [METRICS_DRAINING] = { "draining", "1 while the service stops",
                           COUNTERS_GAUGE, .labels = NULL },
    [METRICS_BUILD_INFO] = { "build_info", "Always 1", COUNTERS_GAUGE,
                             LABELS(build_labels) },
    [METRICS_START_TIME] = { "process_start_time_seconds",
                             "When the service started, Unix time",
                             COUNTERS_GAUGE, .labels = NULL },
};

static struct counters *set;

int
metrics_init(struct err *err)
{
    set = counters_new(metrics_families, METRICS_FAMILY_COUNT, err);
    return set != NULL ? 0 : -1;
}

struct counters *
metrics_counters(void)
{
    return set;
}

void
metrics_count(enum metrics_family family, size_t label)
{
    counters_add(set, family, label, 1);
}

void
metrics_add(enum metrics_family family, size_t label, uint64_t amount)
{
    counters_add(set, family, label, amount);
}

void
metrics_observe(enum metrics_family family, size_t label, int64_t value)
{
    counters_observe(set, family, label, value);
}

void
metrics_gauge(enum metrics_family family, size_t label, int64_t value)
{
    counters_set(set, family, label, value);
}

static bool
is_raised(enum metrics_family flag)
{
    return set != NULL && counters_get(set, flag, 0) != 0;
}

bool
metrics_is_draining(void)
{
    return is_raised(METRICS_DRAINING);
}

static int64_t
gauge(enum metrics_family family, size_t label)
{
    return set != NULL ? (int64_t)counters_get(set, family, label) : 0;
}

struct metrics_ledger
metrics_ledger(void)
{
    return (struct metrics_ledger){
        .failing = is_raised(METRICS_LEDGER_FAILING),
        .away = is_raised(METRICS_LEDGER_AWAY),
        .schema_found = gauge(METRICS_LEDGER_SCHEMA, 0),
        .schema_min = gauge(METRICS_LEDGER_SCHEMA, 1),
        .schema_max = gauge(METRICS_LEDGER_SCHEMA, 2),
        .spool_batches = gauge(METRICS_SPOOL_BATCHES, 0),
        .set_aside = gauge(METRICS_SPOOL_SET_ASIDE, 0),
    };
}

bool
metrics_schema_fits(const struct metrics_ledger *ledger)
{
    return ledger->schema_found == 0 ||
           (ledger->schema_found >= ledger->schema_min &&
            ledger->schema_found <= ledger->schema_max);
}

static size_t
status_index(int status)
{
    for (size_t i = 0; i < STATUS_COUNT; i++)
        if (statuses[i] == status)
            return i;
    return STATUS_COUNT - 2; /* 500 */
}

void
metrics_http(enum metrics_route route, int status, int64_t took_us)
{
    metrics_count(METRICS_HTTP_REQUESTS,
                  route * STATUS_COUNT + status_index(status));
    metrics_observe(METRICS_HTTP_DURATION, route, took_us);
}

void
metrics_error(const char *error_class)
{
    static const char lead[] = "class=\"";
    const size_t len = strlen(error_class);
    size_t label = 0;

    while (label < ARRAY_LEN(class_labels) - 1) {
        const char *name = class_labels[label] + sizeof(lead) - 1;

        if (strncmp(name, error_class, len) == 0 && name[len] == '"')
            break;
        label++;
    }
    metrics_count(METRICS_ERRORS, label);
}

void
metrics_tokens(size_t role, enum metrics_token_kind kind, int64_t amount)
{
    if (amount > 0)
        metrics_add(METRICS_TOKENS, role * TOKEN_KINDS + kind,
                    (uint64_t)amount);
}
