/*
 * adapt - after a run: let the time-outs follow, and note what changed.
 */
#ifndef ASK_ADAPT_H
#define ASK_ADAPT_H

#include "config.h"
#include "ledger/clerk.h"

/* A change is logged and written to the ledger as an `admin` entry, which may
 * take two seconds: the run's client must have its answer before. */
void adapt_after_run(const struct config *config, struct clerk *clerk);

#endif
