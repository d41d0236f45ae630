/*
 * desk_inner - what the two halves of the desk share.  For desk*.c alone.
 */
#ifndef LEDGER_DESK_INNER_H
#define LEDGER_DESK_INNER_H

#include <stdbool.h>

#include "ledger/desk.h"

/* A run that the database says has no end; arg is the desk. */
int desk_note_open_run(void *arg, const struct uuid *run_id,
                       struct err *err) ATTR_MUST_CHECK;

bool desk_batch_is_full(const struct desk *desk);
bool desk_batch_has_run(const struct desk *desk, const struct uuid *run_id);

void desk_refuse(struct link *link, const struct frame_record *record,
                 const char *reason);

/* When the idempotency key of this accepted record is another run's, tells the
 * clerk and returns true. */
bool desk_refuse_taken(struct desk *desk, const struct desk_item *item);

void desk_drop_items(struct desk *desk);

#endif
