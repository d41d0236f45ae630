/*
 * scribe_count - what the scribe does and what the ledger is like, as metrics.
 * For scribe.c alone.
 */
#ifndef LEDGER_SCRIBE_COUNT_H
#define LEDGER_SCRIBE_COUNT_H

#include <stdint.h>

#include "ledger/desk.h"
#include "ledger/scribe.h"
#include "ledger/vault.h"

/* What was counted of the vault's own counts. */
struct scribe_told {
    uint64_t failures;
    uint64_t replayed;
};

void scribe_count_batch(const struct scribe_metrics *to,
                        const struct desk_tally *tally);
void scribe_show_vault(const struct scribe_metrics *to,
                       const struct vault *vault, struct scribe_told *told);

#endif
