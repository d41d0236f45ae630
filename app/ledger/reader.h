/*
 * reader - look at the ledger without being able to change it.
 *
 * For control workers and tandemctl.  All answers are JSON objects that the
 * caller owns.
 */
#ifndef LEDGER_READER_H
#define LEDGER_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/uuid.h"

struct reader;

/* Opens the SQLite ledger read-only.  ERR_INVALID when there is none yet. */
struct reader *reader_open(const char *store_path,
                           struct err *err) ATTR_MUST_CHECK;
void reader_close(struct reader *reader); /* NULL is fine */

/* Where the next page begins: the last row of the one before. */
struct reader_cursor {
    bool set;
    int64_t started_unix_us;
    struct uuid run_id;
};

/* Newest first, at most limit runs that came to an end (finished or orphaned)
 * or are still open: an array of {id, query, flash_response, pro_response,
 * flash_latency_ms, pro_latency_ms, total_ms, created_at, user_id, status,
 * salvage, flash_model, pro_model}; absent values are null.  A run that its
 * client left is cancelled.  *next is set when there are more.  NULL on
 * ERR_SYSTEM, ERR_NOMEM. */
json_t *reader_list(struct reader *reader, size_t limit,
                    const struct reader_cursor *after,
                    struct reader_cursor *next,
                    struct err *err) ATTR_MUST_CHECK;

/* One run with its entries: {id, status, entries: [{log_id, idx, recorded_at,
 * kind, leaf_hash, body (object)}], content: {part: text}}.  JSON null when
 * there is no such run; NULL on error. */
json_t *reader_get(struct reader *reader, const struct uuid *run_id,
                   struct err *err) ATTR_MUST_CHECK;

#endif
