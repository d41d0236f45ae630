/*
 * timeouts - the time-out of each model that is in force on this host.
 *
 *     timeouts_init(&err)                 in the master, before the first fork
 *     timeouts_begin(config)              then, and after each reload
 *     timeouts_ms(role, config)           when a run begins
 *     timeouts_learn(role, config, &change)       when one has ended
 *
 * Configured ones, unless ADAPTIVE_TIMEOUTS lets them follow the histogram
 * METRICS_CALL_DURATION by the rules of adaptive.  One process decides for all:
 * the one that finds an interval over first.
 */
#ifndef GUARD_TIMEOUTS_H
#define GUARD_TIMEOUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "config.h"

int timeouts_init(struct err *err) ATTR_MUST_CHECK;

/* What was learned under another configuration is forgotten. */
void timeouts_begin(const struct config *config);

/* role is 0 flash, 1 pro. */
int64_t timeouts_ms(size_t role, const struct config *config);

struct timeouts_change {
    int64_t from_ms;
    int64_t to_ms;
    int64_t p95_ms;
    int64_t calls; /* that it was learned from */
};

/* True for the one process that has just changed the time-out. */
bool timeouts_learn(size_t role, const struct config *config,
                    struct timeouts_change *change);

#endif
