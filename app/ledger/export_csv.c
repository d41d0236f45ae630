/* export_csv.c - see export_csv.h. */
#include "ledger/export_csv.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#define ROW_END "\r\n"

enum buf_status
export_csv_heading(struct buf *out, bool texts)
{
    enum buf_status status = BUF_OK;

    for (int i = 0; i < COLUMN_COUNT && status == BUF_OK; i++)
        status = buf_printf(out, "%s,", column_name((enum column)i));
    if (status == BUF_OK)
        status = buf_append_str(out, "leaf_hash,body");
    for (int i = 0; texts && i < ENTRY_PART_COUNT && status == BUF_OK; i++)
        status = buf_printf(out, ",%s", entry_part_name((enum entry_part)i));
    return status == BUF_OK ? buf_append_str(out, ROW_END) : status;
}

/* Always in quotes, so that an empty text is not taken for none. */
static enum buf_status
append_text(struct buf *out, const char *bytes, size_t len)
{
    const bool guard =
        len > 0 && bytes[0] != '\0' && strchr("=+-@\t\r'", bytes[0]) != NULL;
    enum buf_status status = buf_append_str(out, guard ? "\"'" : "\"");
    const char *end = bytes + len;

    while (status == BUF_OK && bytes < end) {
        const char *quote = memchr(bytes, '"', (size_t)(end - bytes));
        const char *stop = quote != NULL ? quote + 1 : end;

        status = buf_append(out, bytes, (size_t)(stop - bytes));
        if (status == BUF_OK && quote != NULL)
            status = buf_append_str(out, "\"");
        bytes = stop;
    }
    return status == BUF_OK ? buf_append_str(out, "\"") : status;
}

static enum buf_status
append_value(struct buf *out, int column, const struct source_value *value)
{
    const bool is_time =
        column == COLUMN_RECORDED_AT || column == COLUMN_STARTED_AT;
    char time[CLOCK_UTC_LEN];

    switch (value->type) {
    case SOURCE_NULL:
        break;
    case SOURCE_INT:
        if (!is_time)
            return buf_printf(out, "%" PRId64, value->number);
        clock_format_utc(value->number, time);
        return buf_append_str(out, time);
    case SOURCE_TEXT:
    case SOURCE_BYTES: /* not as it was written: shown as it is */
        return append_text(out, value->bytes, value->len);
    }
    return BUF_OK;
}

static enum buf_status
append_part(struct buf *out, const struct seal *entry, enum entry_part part)
{
    enum buf_status status = buf_append_str(out, ",");

    for (size_t i = 0; i < entry->part_count && status == BUF_OK; i++)
        if (entry->parts[i].part == part)
            status =
                append_text(out, entry->parts[i].bytes, entry->parts[i].len);
    return status;
}

enum buf_status
export_csv_row(struct buf *out, const struct source_row *row,
               const struct seal *entry, bool texts)
{
    char hex[2 * ENTRY_HASH_LEN + 1];
    enum buf_status status = BUF_OK;

    for (int i = 0; i < COLUMN_COUNT && status == BUF_OK; i++) {
        status = append_value(out, i, &row->at[i]);
        if (status == BUF_OK)
            status = buf_append_str(out, ",");
    }
    str_to_hex(entry->leaf_hash, ENTRY_HASH_LEN, hex);
    if (status == BUF_OK)
        status = buf_printf(out, "\"%s\",", hex);
    if (status == BUF_OK)
        status = append_text(out, entry->body.bytes, entry->body.len);
    for (int i = 0; texts && i < ENTRY_PART_COUNT && status == BUF_OK; i++)
        status = append_part(out, entry, (enum entry_part)i);
    return status == BUF_OK ? buf_append_str(out, ROW_END) : status;
}
