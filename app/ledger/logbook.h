/*
 * logbook - the log this scribe writes: numbers, seals and keeps its entries.
 *
 *     book = logbook_open(vault, host, &err);        writes log_opened
 *     logbook_write(book, records, count, results, &err);   as often as needed
 *     logbook_close(book, &err);                     writes log_closed
 *     logbook_free(book);                            without it: a crash
 *
 * One log per life of a scribe.  Its first entry names the log before it, with
 * size and root, so that the logs of a host form a chain.  A log that begins
 * while the database is away cannot know: it says so, and an entry log_linked
 * names the log before as soon as the database is there.
 */
#ifndef LEDGER_LOGBOOK_H
#define LEDGER_LOGBOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "ledger/entry.h"
#include "ledger/merkle.h"

#define LOGBOOK_MAX_BATCH   256
#define LOGBOOK_FACTS_BYTES 4096 /* of an entry about the log itself */

struct logbook;
struct store_log;
struct vault;

/* What became of one record. */
struct logbook_result {
    bool written;
    struct entry_receipt receipt; /* when written */
    struct err err;               /* when not */
};

enum logbook_outcome {
    LOGBOOK_WRITTEN, /* results say what, record by record */
    LOGBOOK_HELD,    /* the same records and results again, later */
    LOGBOOK_BLAMED,  /* one is at fault, none was written: try fewer */
};

/* The vault is borrowed.  NULL when log_opened could not be written. */
struct logbook *logbook_open(struct vault *vault, const char *host,
                             struct err *err) ATTR_MUST_CHECK;
void logbook_free(struct logbook *book); /* NULL is fine */

/* Writes up to LOGBOOK_MAX_BATCH records as one.  A record that cannot be an
 * entry fails alone.  err says why one was blamed. */
enum logbook_outcome logbook_write(struct logbook *book,
                                   const struct entry_record *records,
                                   size_t count, struct logbook_result *results,
                                   struct err *err) ATTR_MUST_CHECK;

/* A batch is held: nothing but it may be written. */
bool logbook_is_holding(const struct logbook *book);

/* Appends the facts of log_linked, or nothing when there is nothing to link. */
int logbook_link_facts(struct logbook *book, struct buf *facts,
                       struct err *err) ATTR_MUST_CHECK;

/* The log before, as it ended; NULL while it is not known, or when there is
 * none.  Borrowed. */
const struct store_log *logbook_previous(const struct logbook *book);

/* What is durable so far.  Borrowed. */
const struct merkle *logbook_tree(const struct logbook *book);
const struct uuid *logbook_id(const struct logbook *book);

/* Looks now and then whether another service keeps a log in this host's name,
 * and says so: each would take the other's runs for lost ones. */
void logbook_guard_name(struct logbook *book);

/* Nothing may be written after it.  -1 also while the vault holds it: then it
 * is tried again by calling again. */
int logbook_close(struct logbook *book, struct err *err) ATTR_MUST_CHECK;

#endif
