/*
 * pg_rows.c - see pg_rows.h.
 *
 * All numbers are big-endian and have 4 bytes.  An array is its number of
 * dimensions, whether there are nulls, the type of an element, for its one
 * dimension the size and the lower bound, and then each element behind its
 * length.  A row is the number of its fields, and then each behind its type and
 * its length, -1 for null.  An empty array has no dimension.
 */
#include "client/pg_rows.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

static bool
take_int(struct pg_rows *rows, int32_t *value)
{
    uint32_t sent;

    if (rows->left < sizeof(sent))
        return false;
    memcpy(&sent, rows->at, sizeof(sent));
    rows->at += sizeof(sent);
    rows->left -= sizeof(sent);
    *value = (int32_t)be32toh(sent);
    return true;
}

void
pg_rows_init(struct pg_rows *rows, const char *bytes, size_t len)
{
    int32_t dimensions, ignored;

    *rows = (struct pg_rows){ .at = bytes, .left = len, .count = -1 };
    if (bytes == NULL || !take_int(rows, &dimensions) ||
        !take_int(rows, &ignored) || !take_int(rows, &ignored))
        return;
    if (dimensions == 0)
        rows->count = 0;
    else if (dimensions == 1 &&
             (!take_int(rows, &rows->count) || !take_int(rows, &ignored)))
        rows->count = -1;
}

static bool
take_field(struct pg_rows *rows, struct pg_field *field)
{
    int32_t type, len;

    if (!take_int(rows, &type) || !take_int(rows, &len) || len < -1 ||
        (len > 0 && (size_t)len > rows->left))
        return false;
    *field = (struct pg_field){ .bytes = NULL };
    if (len == -1)
        return true;
    field->bytes = rows->at;
    field->len = (size_t)len;
    rows->at += len;
    rows->left -= (size_t)len;
    return true;
}

static bool
take_row(struct pg_rows *rows, struct pg_field *fields, size_t field_count)
{
    int32_t len, count;

    if (!take_int(rows, &len) || !take_int(rows, &count) || count < 0 ||
        (size_t)count != field_count)
        return false;
    for (size_t i = 0; i < field_count; i++)
        if (!take_field(rows, &fields[i]))
            return false;
    return true;
}

enum pg_step
pg_rows_next(struct pg_rows *rows, struct pg_field *fields, size_t field_count)
{
    if (rows->count == 0 && rows->left == 0)
        return PG_DONE;
    if (rows->count <= 0 || !take_row(rows, fields, field_count)) {
        rows->count = -1;
        return PG_FAILED;
    }
    rows->count--;
    return PG_ROW;
}
