/*
 * stats - counters for each role, and the last requests as they came.
 *
 *     stats = stats_new(&err);
 *     ticket = stats_open(stats, role, is_new);   a whole request has come
 *     stats_close(stats, &ticket, outcome);       exactly once for each
 *     stats_free(stats);                          NULL is fine
 *
 * A request from before stats_reset() is never counted after it, except that
 * it stays open until it is closed.
 */
#ifndef MODELSIM_STATS_H
#define MODELSIM_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/err.h"
#include "modelsim/settings.h"

#define STATS_KEPT_REQUESTS 100
#define STATS_BODY_BYTES    65536 /* kept of each body */

enum outcome {
    OUTCOME_COMPLETED, /* sent as planned, whatever the status was */
    OUTCOME_ABORTED,   /* the client left before that */
    OUTCOME_BROKEN,    /* we cut it, as a fault asked for */
};

struct ticket {
    enum role role;
    unsigned generation;
};

/* Borrowed; copied by stats_keep(). */
struct received {
    enum role role;
    const char *path;
    const char *credential; /* its kind, never its value */
    const char *body;
    size_t body_len;
};

struct stats;
struct stats *stats_new(struct err *err) ATTR_MUST_CHECK;
void stats_free(struct stats *stats);
void stats_reset(struct stats *stats);

void stats_connected(struct stats *stats);
struct ticket stats_open(struct stats *stats, enum role role,
                         bool is_new_connection);
void stats_close(struct stats *stats, const struct ticket *ticket,
                 enum outcome outcome);

/* Keeps a bounded copy; without memory for it, none. */
void stats_keep(struct stats *stats, const struct received *received);

/* New references, or NULL without memory. */
json_t *stats_json(const struct stats *stats) ATTR_MUST_CHECK;
json_t *stats_requests_json(const struct stats *stats) ATTR_MUST_CHECK;

#endif
