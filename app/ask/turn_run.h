/*
 * turn_run - carry out a turn: drive it with curl, FastCGI, the scribe and the
 * clock.
 */
#ifndef ASK_TURN_RUN_H
#define ASK_TURN_RUN_H

#include <stdbool.h>

#include "ask/run.h"
#include "ask/stream.h"
#include "base/arena.h"
#include "ledger/clerk.h"
#include "model/model.h"
#include "prefork/child.h"

/* What a worker has for its runs.  Borrowed. */
struct turn_run_tools {
    struct models *models;
    struct clerk *clerk;
    struct child *child;
    struct arena *arena;
    struct stream *stream;
};

enum turn_run_accepted {
    TURN_RUN_ACCEPTED,    /* the entry is durable: tokens may be bought */
    TURN_RUN_UNAVAILABLE, /* it could not be written: refuse at the door */
    TURN_RUN_TAKEN, /* its idempotency key is another run's: clerk_holder() */
};

/* Writes the entry `accepted` and waits until it is durable. */
enum turn_run_accepted turn_run_accept(struct run *run,
                                       const struct turn_run_tools *tools);

/* Asks both models, tells the client, writes `finished`, tells the end.  By the
 * run's deadline it has returned: 0, or -1 when curl failed us and this process
 * had better be replaced; the run has ended all the same. */
int turn_run(struct run *run, const struct turn_run_tools *tools);

#endif
