/*
 * taken - answer a caller whose idempotency key is another run's.
 *
 * That run is under way: 409.  It was another request: 422.  It has ended: its
 * answer is told again, as a control worker rebuilds it from the record, for
 * nothing here may read that.
 */
#ifndef ASK_TAKEN_H
#define ASK_TAKEN_H

#include "ask/run.h"
#include "gate/fcgi.h"
#include "ledger/entry.h"

/* Answers in the words that run was to be told in, until its deadline; returns
 * the status. */
int taken_answer(const struct run *run, struct fcgi *gate,
                 const struct entry_holder *holder);

#endif
