/*
 * claim - which connection looks after which open run.
 *
 * One run for each connection, one connection for each run.
 */
#ifndef LEDGER_CLAIM_H
#define LEDGER_CLAIM_H

#include "ledger/link.h"
#include "ledger/runs.h"

/* The newer claim wins: the older connection's worker must have moved on. */
void claim_run(struct run *run, struct link *link);

/* The run is unclaimed now; it was claimed. */
void claim_release(struct run *run);

/* The run has its end: out of the table, if it is there. */
void claim_end_run(struct runs *runs, const struct uuid *run_id);

#endif
