/*
 * scribe - the only writer of the ledger on this host.
 *
 *     scribe_run(&config, child)      returns the child's exit code
 *
 * Takes records from workers over a unix stream socket and commits everything
 * that waits in one transaction, then acknowledges each.  Opens a log when it
 * starts and closes it when it leaves in order.  An accepted run that no
 * connection claims and no living worker shows on the board gets an `orphaned`
 * entry.
 */
#ifndef LEDGER_SCRIBE_H
#define LEDGER_SCRIBE_H

#include <stddef.h>

#include "prefork/child.h"
#include "sys/counters.h"

struct scribe_config {
    int listen_fd;            /* borrowed: unix stream, non-blocking */
    const char *store_path;   /* of the SQLite ledger */
    const char *host;         /* names this host in log_opened */
    struct counters *metrics; /* may be NULL */
    size_t entries_family;    /* counter, labels in the order of entry_kind */
    size_t commit_family;     /* histogram: microseconds of a commit */
    size_t failing_family;    /* gauge: 1 while the store takes no records */
};

int scribe_run(const struct scribe_config *config, struct child *child);

#endif
