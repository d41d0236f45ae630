/*
 * ledger_fixture - a small embedded ledger in a temporary folder, written
 * without a scribe's process.
 *
 *     fixture_make(&fixture);
 *     fixture_open_log(&fixture);
 *     fixture_write(&fixture, ENTRY_ACCEPTED, &run_id, &options);
 *     fixture_close_log(&fixture);    with log_closed, or
 *     fixture_lose_log(&fixture);     as a crash leaves it
 *     fixture_remove(&fixture);
 *
 * Anything that goes wrong fails the test.
 */
#ifndef SUPPORT_LEDGER_FIXTURE_H
#define SUPPORT_LEDGER_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "client/lite.h"
#include "ledger/entry.h"
#include "ledger/logbook.h"
#include "ledger/vault.h"
#include "support/scratch.h"

struct fixture {
    char folder[SCRATCH_PATH_LEN];
    char path[96];
    const char *url; /* of PostgreSQL; NULL for the file */
    char spool[96];
    struct vault vault;
    struct logbook *book;
};

struct fixture_options {
    const char *started_at; /* NULL: a fixed time */
    const char *status;     /* NULL: ok, cancelled or orphaned */
    const struct entry_content *parts;
    size_t part_count;
};

void fixture_make(struct fixture *fixture);
void fixture_remove(struct fixture *fixture); /* with all its files */

void fixture_open_log(struct fixture *fixture);
void fixture_close_log(struct fixture *fixture);
void fixture_lose_log(struct fixture *fixture);

struct uuid fixture_new_run(void);

/* options may be NULL. */
struct entry_receipt fixture_write(struct fixture *fixture,
                                   enum entry_kind kind,
                                   const struct uuid *run_id,
                                   const struct fixture_options *options);

/* A run with one of each text: accepted and finished. */
struct uuid fixture_write_run(struct fixture *fixture);

/* Statements by somebody with all rights: the triggers are gone while they
 * run, and there again afterwards. */
void fixture_tamper(const struct fixture *fixture, const char *sql);

/* The answer of a query with one number. */
int64_t fixture_int(const struct fixture *fixture, const char *sql);

#endif
