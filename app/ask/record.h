/*
 * record - a run as the ledger's facts (docs/LEDGER.md lists them).
 */
#ifndef ASK_RECORD_H
#define ASK_RECORD_H

#include <stddef.h>

#include "ask/run.h"
#include "base/attr.h"
#include "base/buf.h"
#include "ledger/entry.h"

/* Append an object as canonical JSON, which is how the ledger will write it.
 * -1 when memory is short. */
int record_accepted(const struct run *run, struct buf *facts) ATTR_MUST_CHECK;
int record_finished(const struct run *run, struct buf *facts) ATTR_MUST_CHECK;
int record_left(const struct run *run, struct buf *facts) ATTR_MUST_CHECK;

/* The personal text that belongs to each; borrowed from the run.  Returns how
 * many parts were filled. */
size_t record_accepted_parts(const struct run *run,
                             struct entry_content parts[ENTRY_MAX_PARTS]);
size_t record_finished_parts(const struct run *run,
                             struct entry_content parts[ENTRY_MAX_PARTS]);

#endif
