/*
 * store_pg_batch.c - see store_pg_batch.h.
 */
#include "ledger/store_pg_batch.h"

#include "ledger/columns.h"

#define MAX_BATCH_BYTES ((size_t)256 << 20)
#define MAX_SQL_BYTES   256
#define ENTRY_PARAMS    (COLUMN_COUNT + 2)
#define CONTENT_PARAMS  5
#define LOCK_MS_PARAM   (ENTRY_PARAMS + CONTENT_PARAMS + 1)

/* Of the columns in their order, then leaf_hash and body. */
static const enum pg_type entry_types[ENTRY_PARAMS] = {
    [COLUMN_LOG_ID] = PG_UUID,
    [COLUMN_IDX] = PG_INT8,
    [COLUMN_RECORDED_AT] = PG_TIMESTAMPTZ,
    [COLUMN_KIND] = PG_TEXT,
    [COLUMN_RUN_ID] = PG_UUID,
    [COLUMN_STATUS] = PG_TEXT,
    [COLUMN_SALVAGE] = PG_TEXT,
    [COLUMN_STARTED_AT] = PG_TIMESTAMPTZ,
    [COLUMN_TOTAL_MS] = PG_INT8,
    [COLUMN_FLASH_LATENCY_MS] = PG_INT8,
    [COLUMN_PRO_LATENCY_MS] = PG_INT8,
    [COLUMN_FLASH_MODEL] = PG_TEXT,
    [COLUMN_PRO_MODEL] = PG_TEXT,
    [COLUMN_FLASH_INPUT_TOKENS] = PG_INT8,
    [COLUMN_FLASH_OUTPUT_TOKENS] = PG_INT8,
    [COLUMN_PRO_INPUT_TOKENS] = PG_INT8,
    [COLUMN_PRO_OUTPUT_TOKENS] = PG_INT8,
    [COLUMN_PRINCIPAL] = PG_TEXT,
    [COLUMN_USER_ID] = PG_TEXT,
    [COLUMN_COUNT] = PG_BYTEA,
    [COLUMN_COUNT + 1] = PG_TEXT,
};

static void
add_uuid(struct pg_query *query, const struct column_value *value,
         const struct uuid *uuid)
{
    if (value->type == COLUMN_NULL)
        pg_add_null(query, PG_UUID);
    else
        pg_add_uuid(query, uuid);
}

static void
add_value(struct pg_query *query, enum pg_type type,
          const struct column_value *value)
{
    switch (value->type) {
    case COLUMN_NULL:
        pg_add_null(query, type);
        break;
    case COLUMN_INT:
        if (type == PG_TIMESTAMPTZ)
            pg_add_time(query, value->number);
        else
            pg_add_int(query, value->number);
        break;
    case COLUMN_TEXT:
        pg_add_text(query, value->text, value->len);
        break;
    }
}

static void
add_column(struct pg_query *query, const struct seal *entry, int column)
{
    switch (column) {
    case COLUMN_LOG_ID:
        pg_add_uuid(query, &entry->place.log_id);
        break;
    case COLUMN_RUN_ID:
        add_uuid(query, &entry->columns.at[column], &entry->run_id);
        break;
    case COLUMN_COUNT:
        pg_add_bytes(query, entry->leaf_hash, ENTRY_HASH_LEN);
        break;
    case COLUMN_COUNT + 1:
        pg_add_text(query, entry->body.bytes, entry->body.len);
        break;
    default:
        add_value(query, entry_types[column], &entry->columns.at[column]);
    }
}

/* The columns of content. */
enum { RUN_ID, PART, RECORDED_AT, SALT, BODY };

static const enum pg_type content_types[CONTENT_PARAMS] = { PG_UUID, PG_TEXT,
                                                            PG_TIMESTAMPTZ,
                                                            PG_BYTEA, PG_TEXT };

static void
add_content(struct pg_query *query, const struct seal *entry, size_t index,
            int column)
{
    const struct entry_content *content = &entry->parts[index];

    switch (column) {
    case RUN_ID:
        pg_add_uuid(query, &entry->run_id);
        break;
    case PART:
        pg_add_str(query, entry_part_name(content->part));
        break;
    case RECORDED_AT:
        pg_add_time(query, entry->place.recorded_unix_us);
        break;
    case SALT:
        pg_add_bytes(query, entry->salts[index], ENTRY_SALT_LEN);
        break;
    case BODY:
        pg_add_text(query, content->bytes, content->len);
        break;
    }
}

/* An array for each column. */
void
store_pg_batch_fill(struct store_pg_batch *batch,
                    const struct seal *const *entries, size_t count,
                    int64_t lock_ms)
{
    struct pg_query *query = &batch->write;

    pg_query_clear(query);
    for (int column = 0; column < ENTRY_PARAMS; column++) {
        pg_array_begin(query, entry_types[column]);
        for (size_t i = 0; i < count; i++)
            add_column(query, entries[i], column);
        pg_array_end(query);
    }
    for (int column = 0; column < CONTENT_PARAMS; column++) {
        pg_array_begin(query, content_types[column]);
        for (size_t i = 0; i < count; i++)
            for (size_t part = 0; part < entries[i]->part_count; part++)
                add_content(query, entries[i], part, column);
        pg_array_end(query);
    }
    pg_add_int(query, lock_ms);
}

/* ---- the statement ------------------------------------------------------- */

/* What is costly to plan is in the functions. */
static int
write_sql(struct buf *sql)
{
    enum buf_status status = buf_printf(
        sql, "SELECT tandem.scribe_settings($%d), tandem.scribe_write(",
        LOCK_MS_PARAM);

    for (int i = 1; i < LOCK_MS_PARAM && status == BUF_OK; i++)
        status = buf_printf(sql, "%s$%d", i > 1 ? ", " : "", i);
    if (status == BUF_OK)
        status = buf_append_str(sql, ")");
    return status == BUF_OK ? 0 : -1;
}

int
store_pg_batch_init(struct store_pg_batch *batch, struct err *err)
{
    buf_init(&batch->sql, MAX_SQL_BYTES);
    pg_query_init(&batch->write, "", MAX_BATCH_BYTES);
    if (write_sql(&batch->sql) == -1)
        return err_set(err, ERR_NOMEM, "SQL");
    batch->write.sql = buf_cstr(&batch->sql);
    return 0;
}

void
store_pg_batch_close(struct store_pg_batch *batch)
{
    pg_query_close(&batch->write);
    buf_close(&batch->sql);
}
