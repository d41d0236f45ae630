/*
 * scribe - the only writer of the ledger on this host.
 *
 *     scribe_run(&config, child)      returns the child's exit code
 *
 * Takes records from workers over a unix stream socket, makes everything that
 * waits durable at once (vault.h), then acknowledges each.  Opens a log when it
 * starts and closes it when it leaves in order.  An accepted run that no
 * connection claims and no living worker shows on the board gets an `orphaned`
 * entry.
 */
#ifndef LEDGER_SCRIBE_H
#define LEDGER_SCRIBE_H

#include <stddef.h>

#include "ledger/signer.h"
#include "ledger/spool.h"
#include "ledger/store.h"
#include "prefork/child.h"
#include "sys/counters.h"

/* Where to count; families as in the comments. */
struct scribe_metrics {
    struct counters *counters; /* may be NULL */
    size_t entries;            /* counter, labels in the order of entry_kind */
    size_t spooled;            /* counter: of these entries */
    size_t replayed;           /* counter: entries committed from the spool */
    size_t failures;           /* counter: attempts that failed */
    size_t commit;             /* histogram: microseconds until durable */
    size_t failing;            /* gauge: 1 while no run may begin */
    size_t away;               /* gauge: 1 while the database is left alone */
    size_t schema;             /* gauge: found (0: not known yet), min, max */
    size_t spool_batches;      /* gauges of the spool */
    size_t spool_bytes;
    size_t set_aside;
};

struct scribe_config {
    int listen_fd; /* borrowed: unix stream, non-blocking */
    struct store_place store;
    struct spool_config spool;
    bool closed;                 /* AUDIT_POLICY: the database or nothing */
    const char *host;            /* names this host in log_opened */
    struct signer_config signer; /* but for where the ledger is */
    int64_t key_ttl_us;          /* how long an idempotency key is remembered */
    struct scribe_metrics metrics;
};

int scribe_run(const struct scribe_config *config, struct child *child);

#endif
