/*
 * runs - the runs that were accepted and have no end yet.
 *
 *     run = runs_add(runs, &run_id);        after its accepted entry
 *     run->owner = link;                    claimed by a connection, or NULL
 *     runs_remove(runs, run);               after its end
 *
 * A table of fixed size in memory; what survives a crash is in the ledger.
 */
#ifndef LEDGER_RUNS_H
#define LEDGER_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/uuid.h"

#define RUNS_MAX 65536

struct link;

struct run {
    struct uuid id;
    struct link *owner; /* the connection that claims it; NULL: unclaimed */
    int misses;         /* checks in a row that found no worker with it */
    struct run *next;   /* in its bucket, or in the list of free ones */
    bool used;
    bool confirmed; /* it has no end for certain, not because somebody says */
    int64_t end_mono_ms; /* no orphan before: it was refused; 0: it was not */
};

struct runs;

struct runs *runs_new(struct err *err) ATTR_MUST_CHECK;
void runs_free(struct runs *runs); /* NULL is fine */

size_t runs_count(const struct runs *runs);

/* NULL when there is no such run. */
struct run *runs_find(struct runs *runs, const struct uuid *id);

/* Unclaimed.  The id is new; NULL when RUNS_MAX are open. */
struct run *runs_add(struct runs *runs, const struct uuid *id) ATTR_MUST_CHECK;
void runs_remove(struct runs *runs, struct run *run);

/* All of them: begin with NULL, ends with NULL.  The one given may be removed
 * before the next is asked for. */
struct run *runs_next(struct runs *runs, const struct run *after);

#endif
