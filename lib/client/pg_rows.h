/*
 * pg_rows - rows within a column: what ARRAY(SELECT ROW (...)) gives, in binary.
 *
 *     bytes = pg_text(pg, column, &len);
 *     pg_rows_init(&rows, bytes, len);
 *     while ((step = pg_rows_next(&rows, fields, ARRAY_LEN(fields))) == PG_ROW)
 *         ...
 *
 * A server that sends anything else is found out, and not believed.
 */
#ifndef CLIENT_PG_ROWS_H
#define CLIENT_PG_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "client/pg.h"

/* Borrowed like the column; no NUL behind it. */
struct pg_field {
    const char *bytes; /* NULL when null */
    size_t len;
};

/* Open because callers embed it; look at nothing. */
struct pg_rows {
    const char *at;
    size_t left;   /* bytes */
    int32_t count; /* rows still to come; -1: it is no array of rows */
};

/* bytes may be NULL, which is no array. */
void pg_rows_init(struct pg_rows *rows, const char *bytes, size_t len);

/* PG_FAILED when it is no array of rows with so many fields. */
enum pg_step pg_rows_next(struct pg_rows *rows, struct pg_field *fields,
                          size_t field_count) ATTR_MUST_CHECK;

#endif
