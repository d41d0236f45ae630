/*
 * logbook - the log this scribe writes: numbers, seals and stores its entries.
 *
 *     book = logbook_open(store, host, &err);        writes log_opened
 *     logbook_write(book, records, count, results);  as often as needed
 *     logbook_close(book, &err);                     writes log_closed
 *     logbook_free(book);                            without it: a crash
 *
 * One log per life of a scribe.  Its first entry names the log before it, with
 * size and root, so that the logs of a ledger form a chain.
 */
#ifndef LEDGER_LOGBOOK_H
#define LEDGER_LOGBOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/entry.h"
#include "ledger/store.h"

#define LOGBOOK_MAX_BATCH 256

struct logbook;

/* What became of one record. */
struct logbook_result {
    bool written;
    struct entry_receipt receipt; /* when written */
    struct err err;               /* when not */
};

/* The store is borrowed.  NULL when log_opened could not be written. */
struct logbook *logbook_open(struct store *store, const char *host,
                             struct err *err) ATTR_MUST_CHECK;
void logbook_free(struct logbook *book); /* NULL is fine */

/* Writes up to LOGBOOK_MAX_BATCH records in one transaction.  When the store
 * blames the entries, each is tried alone, so that one bad record does no harm
 * to the others; when the store itself fails, all have failed. */
void logbook_write(struct logbook *book, const struct entry_record *records,
                   size_t count, struct logbook_result *results);

/* Nothing may be written after it. */
int logbook_close(struct logbook *book, struct err *err) ATTR_MUST_CHECK;

#endif
