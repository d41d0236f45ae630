/*
 * source_pg - what is asked of the ledger in PostgreSQL; for source_pg*.c
 * alone.
 */
#ifndef LEDGER_SOURCE_PG_H
#define LEDGER_SOURCE_PG_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"
#include "ledger/source.h"

struct source_pg_sql {
    const char *sql;
    const char *types; /* of its columns: t text, i integer, T time, b bytes */
};

/* SOURCE_ENTRIES has types alone. */
extern const struct source_pg_sql source_pg_sql[SOURCE_QUERY_COUNT];

/* Every column, leaf_hash, body and, with texts, an array of rows of part, salt
 * and body.  Selected by $1 to $4: since, until, user, status. */
enum buf_status source_pg_append_entries(struct buf *sql, bool texts,
                                         bool selected) ATTR_MUST_CHECK;

#endif
