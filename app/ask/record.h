/*
 * record - a run as the ledger's facts (docs/LEDGER.md lists them).
 */
#ifndef ASK_RECORD_H
#define ASK_RECORD_H

#include <stddef.h>

#include <jansson.h>

#include "ask/run.h"
#include "base/attr.h"
#include "ledger/entry.h"

/* New references, NULL when memory is short. */
json_t *record_accepted(const struct run *run) ATTR_MUST_CHECK;
json_t *record_finished(const struct run *run) ATTR_MUST_CHECK;
json_t *record_left(const struct run *run) ATTR_MUST_CHECK;

/* The personal text that belongs to each; borrowed from the run.  Returns how
 * many parts were filled. */
size_t record_accepted_parts(const struct run *run,
                             struct entry_content parts[ENTRY_MAX_PARTS]);
size_t record_finished_parts(const struct run *run,
                             struct entry_content parts[ENTRY_MAX_PARTS]);

#endif
