/*
 * adapt - after a run: let the time-outs follow, and note what changed.
 */
#ifndef ASK_ADAPT_H
#define ASK_ADAPT_H

#include "ask/run.h"
#include "ledger/clerk.h"

/* A change is logged and written to the ledger as an `admin` entry, for which
 * the run's deadline leaves what is left of it. */
void adapt_after_run(const struct run *run, struct clerk *clerk);

#endif
