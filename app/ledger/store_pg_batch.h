/*
 * store_pg_batch - entries as the arguments of one call of scribe_write()
 * (sql/deploy/0011_write.sql), and with it the settings of its transaction
 * (0015_settings.sql); for store_pg.c.
 *
 *     store_pg_batch_init(&batch, &err);
 *     store_pg_batch_fill(&batch, entries, count, lock_ms);
 *     ... run batch.write, which sets itself ...
 *     store_pg_batch_close(&batch);
 *
 * A batch is one statement, so that the server has all of it before it takes the
 * first lock: a connection that is cut in the middle leaves none behind.
 */
#ifndef LEDGER_STORE_PG_BATCH_H
#define LEDGER_STORE_PG_BATCH_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "client/pg_query.h"
#include "ledger/seal.h"

/* Open because the store embeds it. */
struct store_pg_batch {
    struct buf sql;
    struct pg_query write;
};

int store_pg_batch_init(struct store_pg_batch *batch,
                        struct err *err) ATTR_MUST_CHECK;
void store_pg_batch_close(struct store_pg_batch *batch);

/* Copies what it needs; what does not fit is told by pg_start().  lock_ms is how
 * long the server waits for a lock. */
void store_pg_batch_fill(struct store_pg_batch *batch,
                         const struct seal *const *entries, size_t count,
                         int64_t lock_ms);

#endif
