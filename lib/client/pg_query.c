/*
 * pg_query.c - see pg_query.h.
 *
 * Binary formats, all big-endian: int8 and timestamptz are 8 bytes, a uuid 16,
 * text and bytea are themselves.  An array is its number of dimensions, whether
 * there are nulls, the type of an element, and for the one dimension its size
 * and its lower bound; then each element behind its length, -1 for null.
 */
#include "client/pg_query.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#define KEEP_BYTES (1u << 20) /* of memory, by a statement that is cleared */

/* Where these are in an array's header. */
#define ARRAY_NULLS_AT 4
#define ARRAY_COUNT_AT 12

/* As in pg_type, where they never change. */
static const struct {
    unsigned int oid;
    unsigned int array_oid;
} types[] = {
    [PG_INT8] = { 20, 1016 },          [PG_TEXT] = { 25, 1009 },
    [PG_BYTEA] = { 17, 1001 },         [PG_UUID] = { 2950, 2951 },
    [PG_TIMESTAMPTZ] = { 1184, 1185 },
};

void
pg_query_init(struct pg_query *query, const char *sql, size_t max_bytes)
{
    memset(query, 0, sizeof(*query));
    query->sql = sql;
    buf_init(&query->bytes, max_bytes > 0 ? max_bytes : 1);
}

void
pg_query_clear(struct pg_query *query)
{
    buf_shrink(&query->bytes, KEEP_BYTES);
    query->param_count = 0;
    query->in_array = false;
    query->status = BUF_OK;
}

void
pg_query_close(struct pg_query *query)
{
    pg_query_clear(query);
    buf_close(&query->bytes);
}

/* After a failure nothing is added any more: the statement cannot be sent. */
static void
append(struct pg_query *query, const void *bytes, size_t len)
{
    if (query->status == BUF_OK && len > 0)
        query->status = buf_append(&query->bytes, bytes, len);
}

static void
append_int32(struct pg_query *query, int32_t value)
{
    const uint32_t wire = htobe32((uint32_t)value);

    append(query, &wire, sizeof(wire));
}

static void
patch_int32(struct pg_query *query, size_t at, int32_t value)
{
    const uint32_t wire = htobe32((uint32_t)value);

    if (query->status == BUF_OK)
        memcpy(query->bytes.bytes + at, &wire, sizeof(wire));
}

static struct pg_param *
next_param(struct pg_query *query, unsigned int oid)
{
    struct pg_param *param;

    assert(query->param_count < PG_MAX_PARAMS);
    param = &query->params[query->param_count++];
    *param = (struct pg_param){ .oid = oid, .at = query->bytes.len };
    return param;
}

static struct pg_param *
open_array(struct pg_query *query)
{
    return &query->params[query->param_count - 1];
}

static void
add(struct pg_query *query, enum pg_type type, const void *bytes, size_t len)
{
    if (len > INT32_MAX) {
        query->status = BUF_FULL;
    } else if (query->in_array) {
        assert(open_array(query)->oid == types[type].array_oid);
        append_int32(query, (int32_t)len);
        append(query, bytes, len);
        query->array_count++;
    } else {
        next_param(query, types[type].oid)->len = len;
        append(query, bytes, len);
    }
}

void
pg_add_null(struct pg_query *query, enum pg_type type)
{
    if (!query->in_array) {
        next_param(query, types[type].oid)->is_null = true;
        return;
    }
    append_int32(query, -1);
    query->array_count++;
    patch_int32(query, open_array(query)->at + ARRAY_NULLS_AT, 1);
}

static void
add_int64(struct pg_query *query, enum pg_type type, int64_t value)
{
    const uint64_t wire = htobe64((uint64_t)value);

    add(query, type, &wire, sizeof(wire));
}

void
pg_add_int(struct pg_query *query, int64_t value)
{
    add_int64(query, PG_INT8, value);
}

void
pg_add_time(struct pg_query *query, int64_t unix_us)
{
    add_int64(query, PG_TIMESTAMPTZ, unix_us - PG_EPOCH_UNIX_US);
}

void
pg_add_text(struct pg_query *query, const char *text, size_t len)
{
    add(query, PG_TEXT, text, len);
}

void
pg_add_str(struct pg_query *query, const char *text)
{
    add(query, PG_TEXT, text, strlen(text));
}

void
pg_add_bytes(struct pg_query *query, const void *bytes, size_t len)
{
    add(query, PG_BYTEA, bytes, len);
}

void
pg_add_uuid(struct pg_query *query, const struct uuid *uuid)
{
    add(query, PG_UUID, uuid->bytes, sizeof(uuid->bytes));
}

void
pg_array_begin(struct pg_query *query, enum pg_type type)
{
    assert(!query->in_array);
    next_param(query, types[type].array_oid);
    append_int32(query, 1);
    append_int32(query, 0);
    append_int32(query, (int32_t)types[type].oid);
    append_int32(query, 0); /* the size: pg_array_end() knows it */
    append_int32(query, 1);
    query->in_array = true;
    query->array_count = 0;
}

void
pg_array_end(struct pg_query *query)
{
    struct pg_param *array = open_array(query);

    assert(query->in_array);
    patch_int32(query, array->at + ARRAY_COUNT_AT, query->array_count);
    array->len = query->bytes.len - array->at;
    query->in_array = false;
}
