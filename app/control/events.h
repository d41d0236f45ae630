/*
 * events - a run's stream once more, from its record:
 * GET /api/reasoning/runs/{run_id}/events.
 *
 * A caller whose stream broke names the last frame it has and gets those after
 * it, with the same ids.  While the run is under way it gets what is certain,
 * waits for a moment, and is told to come again, which an EventSource does by
 * itself.
 */
#ifndef CONTROL_EVENTS_H
#define CONTROL_EVENTS_H

#include <stdbool.h>

#include "config.h"
#include "gate/fcgi.h"
#include "ledger/reader.h"
#include "prefork/board.h"

#define EVENTS_PREFIX "/api/reasoning/runs/"
#define EVENTS_SUFFIX "/events"

struct events_request {
    const struct config *config;
    const struct board *board;
    struct reader *reader;
    struct fcgi *gate;
    const char *path;          /* as events_is_path() took it */
    const char *last_event_id; /* NULL or "": from the beginning */
    const char *replay; /* a vocabulary: all of it for another request with the
                         * same idempotency key; NULL: none */
    bool is_head;
};

bool events_is_path(const char *path);

/* Answers; returns the status, 500 when the reader had better be closed. */
int events_serve(const struct events_request *request);

/* Nobody may look at the ledger for this caller now: an EventSource comes again
 * by itself, which after a 503 it would not. */
int events_come_again(struct fcgi *gate);

#endif
