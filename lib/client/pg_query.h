/*
 * pg_query - one statement for PostgreSQL with its parameters, in binary.
 *
 *     pg_query_init(&query, "SELECT ... WHERE id = $1 AND kind = ANY ($2)",
 *                   max_bytes);
 *     pg_add_uuid(&query, &id);                       $1
 *     pg_array_begin(&query, PG_TEXT);                $2
 *     pg_add_text(&query, kind, len);                 its first element
 *     pg_array_end(&query);
 *     pg_start(...)                                   see pg.h
 *     pg_query_clear(&query);                         and add again, or
 *     pg_query_close(&query);
 *
 * Parameters are copied, so nothing is ever escaped or quoted.  What could not
 * be added is told by pg_start().
 */
#ifndef CLIENT_PG_QUERY_H
#define CLIENT_PG_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/uuid.h"

#define PG_MAX_PARAMS 32

enum pg_type { PG_INT8, PG_TEXT, PG_BYTEA, PG_UUID, PG_TIMESTAMPTZ };

/* Where a parameter's bytes are; null has none. */
struct pg_param {
    unsigned int oid;
    bool is_null;
    size_t at;
    size_t len;
};

/* Open because callers embed it; look at nothing. */
struct pg_query {
    const char *sql; /* borrowed */
    struct buf bytes;
    struct pg_param params[PG_MAX_PARAMS];
    size_t param_count;
    bool in_array;
    int32_t array_count;    /* elements so far */
    enum buf_status status; /* the first failure */
};

/* max_bytes is for all parameters together; 0 when there are none. */
void pg_query_init(struct pg_query *query, const char *sql, size_t max_bytes);
void pg_query_clear(struct pg_query *query); /* keeps sql */
void pg_query_close(struct pg_query *query);

/* Each adds the next parameter, or the next element of an open array. */
void pg_add_null(struct pg_query *query, enum pg_type type);
void pg_add_int(struct pg_query *query, int64_t value);
void pg_add_text(struct pg_query *query, const char *text, size_t len);
void pg_add_str(struct pg_query *query, const char *text);
void pg_add_bytes(struct pg_query *query, const void *bytes, size_t len);
void pg_add_uuid(struct pg_query *query, const struct uuid *uuid);
void pg_add_time(struct pg_query *query, int64_t unix_us); /* timestamptz */

/* An array of one dimension is the next parameter; arrays do not nest. */
void pg_array_begin(struct pg_query *query, enum pg_type type);
void pg_array_end(struct pg_query *query);

/* What PostgreSQL's binary formats are made of. */
#define PG_EPOCH_UNIX_US (INT64_C(946684800) * 1000000) /* 2000-01-01 */

#endif
