/*
 * selftest_drills - the list of faults: what is done to an instance, and what
 * is seen when the promise holds.
 *
 *     for each of drills: drill_run(&drills[i], &drilling);
 *
 * Every drill ends at its deadline and leaves an instance that the next one can
 * use.
 */
#ifndef TANDEMCTL_SELFTEST_DRILLS_H
#define TANDEMCTL_SELFTEST_DRILLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/uuid.h"
#include "tandemctl/selftest_instance.h"
#include "tandemctl/selftest_patience.h"
#include "tandemctl/selftest_stream.h"

#define DRILL_MAX_STREAMS 24
#define DRILL_MAX_RUNS    256

/* What all drills share.  Zero but for instance. */
struct drilling {
    struct instance *instance; /* borrowed */
    struct patience patience;
    struct stream streams[DRILL_MAX_STREAMS]; /* of the present drill */
    size_t stream_count;
    char runs[DRILL_MAX_RUNS][UUID_TEXT_LEN]; /* accepted so far */
    size_t run_count;
    bool ledger_is_away;
    bool failed; /* the present drill */
    char seen[200];
};

struct drill {
    const char *promise; /* as README.md lists them: P1 is the first */
    const char *fault;
    int64_t within_ms;
    void (*run)(struct drilling *drilling, const struct drill *drill);
    const char *sim;  /* of those where a model fails: what modelsim does */
    const char *code; /* and what callers are told */
};

#define DRILL_COUNT 11
extern const struct drill drills[DRILL_COUNT];

/* Fills failed and seen. */
void drill_run(const struct drill *drill, struct drilling *drilling);

/* ---- for the drills ---- */

/* Sends a query with instructions for modelsim; filler is more text of it.  It
 * is one of drilling->streams, or NULL: nobody took it, and the drill failed. */
struct stream *drill_ask(struct drilling *drilling, const char *sim,
                         const char *filler);

/* drill_ask() so often; false when the drill failed. */
bool drill_ask_many(struct drilling *drilling, const char *sim, size_t count);

/* Returns holds; otherwise the drill has failed, and the first text is what was
 * seen. */
bool drill_want(struct drilling *drilling, bool holds, const char *fmt, ...)
    ATTR_PRINTF(3, 4);

/* What was seen, if nothing failed. */
void drill_saw(struct drilling *drilling, const char *fmt, ...)
    ATTR_PRINTF(2, 3);

/* Waits for all streams of this drill. */
bool drill_wait(struct drilling *drilling,
                bool (*is_so)(const struct stream *stream), const char *what);

/* It ended in one `done`, with a receipt in this state, and the ledger has what
 * was told. */
bool drill_want_receipt(struct drilling *drilling, const struct stream *stream,
                        const char *state);

/* The same of all streams of this drill. */
bool drill_want_receipts(struct drilling *drilling, const char *state);

/* Puts the ledger back where it was, if it is not there, has the scribe try it
 * now, and waits until the spool is empty. */
bool drill_return_ledger(struct drilling *drilling);

void drill_worker_killed(struct drilling *drilling, const struct drill *drill);
void drill_scribe_killed(struct drilling *drilling, const struct drill *drill);
void drill_ledger_away(struct drilling *drilling, const struct drill *drill);
void drill_spool_full(struct drilling *drilling, const struct drill *drill);
void drill_stop(struct drilling *drilling, const struct drill *drill);
void drill_verify(struct drilling *drilling, const struct drill *drill);

#endif
