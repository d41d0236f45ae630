/*
 * clerk - a worker's end of the socket to the scribe.
 *
 *     clerk = clerk_new(path, &err);                once per worker
 *     clerk_submit(clerk, &record, deadline, &err);
 *     while (clerk_state(clerk) == CLERK_WAITING) {
 *         poll clerk_fd() for clerk_events(), until clerk_wake_mono_ms()
 *         clerk_turn(clerk);
 *     }
 *     clerk_receipt(clerk) when CLERK_RECORDED
 *     clerk_free(clerk);
 *
 * Never blocks.  One record at a time.  When the scribe goes away the clerk
 * connects again and sends what has no answer yet; the scribe knows a record
 * it already has and answers with the first receipt, so nothing is lost or
 * doubled.  From the receipt of `accepted` to that of `finished` the clerk
 * also names its run to each scribe it meets, so keep calling clerk_turn() in
 * between when its descriptor is ready.
 */
#ifndef LEDGER_CLERK_H
#define LEDGER_CLERK_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/entry.h"
#include "ledger/frame.h"

struct clerk;

enum clerk_state {
    CLERK_IDLE, /* nothing submitted */
    CLERK_WAITING,
    CLERK_RECORDED, /* durable: see clerk_receipt() */
    CLERK_REFUSED,  /* the scribe will not have it: see clerk_reason() */
    CLERK_TAKEN,    /* its idempotency key is another run's: clerk_holder() */
    CLERK_LATE, /* the deadline passed first; it may or may not be written */
};

/* path is copied.  Connects when first needed. */
struct clerk *clerk_new(const char *path, struct err *err) ATTR_MUST_CHECK;
void clerk_free(struct clerk *clerk); /* NULL is fine */

/* The record is copied, its submitted_mono_ms is ours.  A failure lets go of the
 * run: the scribe will give it the end that we cannot.  -1 on ERR_LIMIT (larger
 * than the scribe takes), ERR_NOMEM, ERR_INVALID. */
int clerk_submit(struct clerk *clerk, const struct frame_record *record,
                 int64_t deadline_mono_ms, struct err *err) ATTR_MUST_CHECK;

/* -1 while there is no connection; it may change with every turn. */
int clerk_fd(const struct clerk *clerk);
short clerk_events(const struct clerk *clerk);

/* When clerk_turn() wants to be called even if nothing happened. */
int64_t clerk_wake_mono_ms(const struct clerk *clerk);

void clerk_turn(struct clerk *clerk);

enum clerk_state clerk_state(const struct clerk *clerk);
const struct entry_receipt *clerk_receipt(const struct clerk *clerk);
const struct entry_holder *clerk_holder(const struct clerk *clerk);
const char *clerk_reason(const struct clerk *clerk); /* never NULL, for logs */

#endif
