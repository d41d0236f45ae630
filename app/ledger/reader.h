/*
 * reader - look at the ledger without being able to change it.
 *
 *     reader = reader_open(&place, &err);
 *     reader_list(reader, &query, &next, &err);
 *     reader_get(reader, &run_id, &err);
 *     reader_close(reader);
 *
 * For control workers and tandemctl.  All answers are JSON objects that the
 * caller owns.  PostgreSQL is asked when there is a question, with a deadline;
 * a connection that was lost is made again.
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

/* A page has no further run once its texts are this long: 500 long answers
 * would be gigabytes. */
#define READER_PAGE_BYTES ((size_t)16 * 1024 * 1024)

/* Where the ledger is; borrowed by reader_open(). */
struct reader_place {
    const char *path;        /* of the SQLite ledger */
    const char *url;         /* of PostgreSQL, which is read when not "" */
    const char *application; /* as the database lists us */
    int64_t request_ms;      /* for one question there */
};

/* ERR_INVALID when the file is not there or the URL is none. */
struct reader *reader_open(const struct reader_place *place,
                           struct err *err) ATTR_MUST_CHECK;
void reader_close(struct reader *reader); /* NULL is fine */

/* False when an answer showed texts as null because the login may not see
 * them. */
bool reader_sees_texts(const struct reader *reader);

/* Where the next page begins: the last row of the one before. */
struct reader_cursor {
    bool set;
    int64_t started_unix_us;
    struct uuid run_id;
};

/* Which runs; what is zero or NULL does not matter. */
struct reader_query {
    size_t limit;
    struct reader_cursor after;
    const char *status;
    const char *user;
    const char *model; /* one of the two */
    int64_t since_unix_us;
    int64_t until_unix_us; /* this moment not included */
};

/* Newest first, at most limit runs that came to an end (finished or orphaned)
 * or are still open: an array of {id, query, flash_response, pro_response,
 * flash_latency_ms, pro_latency_ms, total_ms, created_at, user_id, status,
 * salvage, flash_model, pro_model}; absent values are null.  A run that its
 * client left is cancelled.  *next is set when there are more, which may be
 * before the limit (READER_PAGE_BYTES).  NULL on ERR_SYSTEM, ERR_NOMEM. */
json_t *reader_list(struct reader *reader, const struct reader_query *query,
                    struct reader_cursor *next,
                    struct err *err) ATTR_MUST_CHECK;

/* One run with its entries: {id, status, entries: [{log_id, idx, recorded_at,
 * kind, leaf_hash, body (object)}], content: {part: text}}.  JSON null when
 * there is no such run; NULL on error. */
json_t *reader_get(struct reader *reader, const struct uuid *run_id,
                   struct err *err) ATTR_MUST_CHECK;

#endif
