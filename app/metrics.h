/*
 * metrics - every family that /metrics exposes, counted in one shared set.
 *
 *     metrics_init(&err)          in the master, before the first fork
 *     metrics_...(...)            anywhere after it
 *
 * Counting before metrics_init(), as in unit tests, does nothing.
 */
#ifndef APP_METRICS_H
#define APP_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "sys/counters.h"

enum metrics_family {
    METRICS_REQUESTS,      /* enum metrics_outcome */
    METRICS_LATENCY,       /* model role */
    METRICS_TIMEOUTS,      /* model role */
    METRICS_ERRORS,        /* error class */
    METRICS_CANCELLATIONS, /* enum metrics_cancelled */
    METRICS_SSE_DURATION,
    METRICS_HTTP_REQUESTS,  /* route and status: metrics_http() */
    METRICS_HTTP_DURATION,  /* enum metrics_route */
    METRICS_INFERENCE,      /* model role */
    METRICS_TOKENS,         /* metrics_tokens() */
    METRICS_MARKS,          /* role * METRICS_MARK_COUNT + enum metrics_mark */
    METRICS_RETRIES,        /* model role */
    METRICS_FALLBACKS,      /* model role */
    METRICS_CIRCUIT_STATE,  /* enum breakers_component; enum breaker_state */
    METRICS_CIRCUIT_OPENED, /* enum breakers_component */
    METRICS_CALL_DURATION,  /* model role */
    METRICS_TIMEOUT,        /* model role */
    METRICS_EARLY_TERMINATIONS,
    METRICS_SALVAGED,     /* model role that was kept */
    METRICS_REDACTIONS,   /* enum metrics_redaction */
    METRICS_AUDIT_WRITES, /* enum entry_kind of the ledger */
    METRICS_AUDIT_DURATION,
    METRICS_AUDIT_SPOOLED,
    METRICS_AUDIT_REPLAYED,
    METRICS_AUDIT_FAILURES,
    METRICS_LEDGER_FAILING,
    METRICS_LEDGER_AWAY,
    METRICS_LEDGER_SCHEMA, /* found, min, max */
    METRICS_SPOOL_BATCHES,
    METRICS_SPOOL_BYTES,
    METRICS_SPOOL_SET_ASIDE,
    METRICS_CHECKPOINTS,   /* enum signer_label of the ledger */
    METRICS_AUTH_FAILURES, /* enum metrics_auth */
    METRICS_OVERLOADED,
    METRICS_WORKER_RESTARTS, /* enum metrics_restart */
    METRICS_WORKERS,         /* enum metrics_pool */
    METRICS_WORKERS_BUSY,    /* enum metrics_pool */
    METRICS_DRAINING,
    METRICS_BUILD_INFO,
    METRICS_START_TIME,
    METRICS_FAMILY_COUNT,
};

/* The first four are the statuses of `finished` entries, in turn's order. */
enum metrics_outcome {
    METRICS_OUTCOME_OK,
    METRICS_OUTCOME_TIMEOUT,
    METRICS_OUTCOME_CANCELLED,
    METRICS_OUTCOME_ERROR,
    METRICS_OUTCOME_UNRECORDED, /* it ended without a receipt */
    METRICS_OUTCOME_REJECTED,
    METRICS_OUTCOME_REPLAYED /* no run: the answer of another was told again */
};

enum metrics_mark {
    METRICS_MARK_CUT,
    METRICS_MARK_REROUTED,
    METRICS_MARK_RENAMED,
    METRICS_MARK_CLEANED,
    METRICS_MARK_TRAILED,
    METRICS_MARK_UNCLEAN,
    METRICS_MARK_COUNT
};

enum metrics_cancelled {
    METRICS_CANCELLED_CLIENT,
    METRICS_CANCELLED_SIBLING,
    METRICS_CANCELLED_SHUTDOWN
};

enum metrics_route {
    METRICS_ROUTE_QUERY,
    METRICS_ROUTE_HEALTH,
    METRICS_ROUTE_HEALTHZ,
    METRICS_ROUTE_LIVEZ,
    METRICS_ROUTE_READYZ,
    METRICS_ROUTE_METRICS,
    METRICS_ROUTE_EXPERIMENTS,
    METRICS_ROUTE_EXPERIMENT,
    METRICS_ROUTE_EVENTS,
    METRICS_ROUTE_OTHER,
    METRICS_ROUTE_COUNT,
};

enum metrics_redaction {
    METRICS_REDACTED_EMAIL,
    METRICS_REDACTED_PHONE,
    METRICS_REDACTED_SSN,
    METRICS_REDACTED_MRN,
    METRICS_REDACTED_CREDENTIAL,
};

enum metrics_auth { METRICS_AUTH_MISSING, METRICS_AUTH_WRONG };

enum metrics_restart {
    METRICS_RESTART_ORDERLY,
    METRICS_RESTART_SICK,
    METRICS_RESTART_CRASHED
};

enum metrics_pool {
    METRICS_POOL_STREAM,
    METRICS_POOL_CONTROL,
    METRICS_POOL_SCRIBE,
    METRICS_POOL_COUNT
};

int metrics_init(struct err *err) ATTR_MUST_CHECK;

/* For the page and the scribe: NULL before metrics_init(). */
struct counters *metrics_counters(void);
extern const struct counters_family metrics_families[METRICS_FAMILY_COUNT];

void metrics_count(enum metrics_family family, size_t label);
void metrics_add(enum metrics_family family, size_t label, uint64_t amount);
void metrics_observe(enum metrics_family family, size_t label, int64_t value);
void metrics_gauge(enum metrics_family family, size_t label, int64_t value);

/* The service is on its way out. */
bool metrics_is_draining(void);

/* What the scribe last said of the ledger. */
struct metrics_ledger {
    bool failing;         /* no run may begin */
    bool away;            /* the database is left alone for a while */
    int64_t schema_found; /* 0: not known yet */
    int64_t schema_min;
    int64_t schema_max;
    int64_t spool_batches; /* that wait for the database */
    int64_t set_aside;     /* that it will not take */
};

struct metrics_ledger metrics_ledger(void);

/* The database has a schema that this program can use, or none was seen. */
bool metrics_schema_fits(const struct metrics_ledger *ledger);

/* One answered HTTP request; a status outside the list counts as 500. */
void metrics_http(enum metrics_route route, int status, int64_t took_us);

/* error_class is a model_answer's, or it counts as Other; never NULL. */
void metrics_error(const char *error_class);

enum metrics_token_kind {
    METRICS_TOKENS_INPUT,
    METRICS_TOKENS_OUTPUT,
    METRICS_TOKENS_THOUGHT
};

/* role is 0 flash, 1 pro; a negative amount is unknown and adds nothing. */
void metrics_tokens(size_t role, enum metrics_token_kind kind, int64_t amount);

#endif
