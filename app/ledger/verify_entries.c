/*
 * verify_entries.c - every entry, log by log in the order of its numbers; see
 * verify_pass.h.
 *
 * The one pass that reads bodies.  Each body is taken apart once, and from it
 * comes everything that is compared: hash, columns, content, place in the log.
 */
#include "ledger/verify_pass.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "ledger/seal.h"

#define PROGRESS_STEP  8192
#define MAX_SQL_BYTES  2048
#define COLUMN_OF_HASH (COLUMN_COUNT)
#define COLUMN_OF_BODY (COLUMN_COUNT + 1)

/* The log that is being read. */
struct reading {
    struct verify *verify;
    struct lite_stmt *rows;
    struct lite_stmt *content;
    char log_id[UUID_TEXT_LEN + 1]; /* "" before the first */
    struct verify_log log;
    struct merkle tree; /* its size counts the entries read */
    int64_t next_idx;
    int64_t closed_idx; /* of log_closed, -1 before it */
};

/* The entry at hand; borrowed from the row. */
struct row {
    struct verify_place place;
    const char *body;
    size_t body_len;
    bool readable; /* columns are filled */
    struct columns columns;
};

#define FINDING(reading, check, row, ...) \
    verify_report((reading)->verify, VERIFY_FINDING, (check), &(row)->place, \
                  __VA_ARGS__)

static bool
text_is(const struct column_value *value, const char *text)
{
    return value->type == COLUMN_TEXT && value->len == strlen(text) &&
           memcmp(value->text, text, value->len) == 0;
}

static bool
is_kind(const struct row *row, enum entry_kind kind)
{
    return row->readable &&
           text_is(&row->columns.at[COLUMN_KIND], entry_kind_name(kind));
}

/* ---- columns ----------------------------------------------------------- */

static bool
column_equals(struct lite_stmt *rows, int column,
              const struct column_value *value)
{
    const enum lite_type type = lite_type(rows, column);
    const char *text;
    size_t len;

    switch (value->type) {
    case COLUMN_NULL:
        return type == LITE_NULL;
    case COLUMN_INT:
        return type == LITE_INT && lite_int(rows, column) == value->number;
    case COLUMN_TEXT:
        break;
    }
    if (type != LITE_TEXT)
        return false;
    text = lite_text(rows, column, &len);
    return text != NULL && len == value->len &&
           memcmp(text, value->text, len) == 0;
}

static void
check_columns(struct reading *reading, const struct row *row)
{
    for (int i = 0; i < COLUMN_COUNT; i++)
        if (!column_equals(reading->rows, i, &row->columns.at[i]))
            FINDING(reading, "column", row,
                    "the column %s is not what the body says",
                    column_name((enum column)i));
}

static void
check_words(struct reading *reading, const struct row *row)
{
    bool known = false;

    for (int i = 0; i < ENTRY_KIND_COUNT; i++)
        known = known || is_kind(row, (enum entry_kind)i);
    if (!known)
        FINDING(reading, "kind", row, "the kind is none that is known");
    if (row->columns.format != ENTRY_FORMAT)
        FINDING(reading, "format", row,
                "the body has format %" PRId64 ", not %d", row->columns.format,
                ENTRY_FORMAT);
}

/* ---- hashes ------------------------------------------------------------ */

static int
check_leaf(struct reading *reading, const struct row *row, struct err *err)
{
    uint8_t leaf[ENTRY_HASH_LEN];
    size_t len;
    const void *stored;

    if (merkle_leaf(row->body, row->body_len, leaf, err) == -1)
        return -1;
    stored = lite_blob(reading->rows, COLUMN_OF_HASH, &len);
    if (stored == NULL || len != sizeof(leaf) ||
        memcmp(stored, leaf, sizeof(leaf)) != 0)
        FINDING(reading, "leaf_hash", row,
                "the leaf hash is not that of the body");
    return merkle_append(&reading->tree, leaf, err);
}

/* ---- content ----------------------------------------------------------- */

static int
check_commitment(struct reading *reading, const struct row *row,
                 const struct column_part *part, struct err *err)
{
    char hex[COLUMNS_HASH_HEX_LEN + 1];
    uint8_t hash[ENTRY_HASH_LEN];
    size_t salt_len, len;
    const void *salt = lite_blob(reading->content, 0, &salt_len);
    const char *text = lite_text(reading->content, 1, &len);

    if (salt == NULL || salt_len != ENTRY_SALT_LEN || text == NULL) {
        FINDING(reading, "content", row, "the content's row is incomplete");
        return 0;
    }
    if (seal_commitment(salt, text, len, hash, err) == -1)
        return -1;
    str_to_hex(hash, sizeof(hash), hex);
    if (memcmp(hex, part->sha256, COLUMNS_HASH_HEX_LEN) != 0 ||
        part->len != (int64_t)len)
        FINDING(reading, "content", row,
                "text or salt is not what the entry committed to");
    return 0;
}

static int
check_part(struct reading *reading, struct row *row,
           const struct column_part *part, struct err *err)
{
    const struct column_value *run_id = &row->columns.at[COLUMN_RUN_ID];
    struct verify *verify = reading->verify;
    char name[32];
    enum lite_step step;
    int result = -1;

    snprintf(name, sizeof(name), "%.*s", (int)part->name_len, part->name);
    row->place.part = name;
    lite_bind_text(reading->content, 1, run_id->text, run_id->len);
    lite_bind_text(reading->content, 2, part->name, part->name_len);
    step = lite_step(reading->content, err);
    if (step == LITE_DONE) {
        FINDING(reading, "content", row, "the content is missing");
        result = 0;
    } else if (step == LITE_ROW &&
               verify_add_to_sum(verify, &verify->spoken_of_sum, run_id->text,
                                 run_id->len, part->name, part->name_len,
                                 err) == 0) {
        result = check_commitment(reading, row, part, err);
    }
    lite_reset(reading->content);
    row->place.part = NULL;
    return result;
}

static int
check_parts(struct reading *reading, struct row *row, struct err *err)
{
    if (row->columns.part_count > 0 &&
        row->columns.at[COLUMN_RUN_ID].type != COLUMN_TEXT) {
        FINDING(reading, "content", row, "content without a run");
        return 0;
    }
    for (size_t i = 0; i < row->columns.part_count; i++)
        if (check_part(reading, row, &row->columns.parts[i], err) == -1)
            return -1;
    return 0;
}

/* ---- the place in the log ---------------------------------------------- */

static void
check_number(struct reading *reading, const struct row *row)
{
    const int64_t idx = row->place.idx;

    if (idx > reading->next_idx)
        FINDING(reading, "gap", row,
                "entries %" PRId64 " to %" PRId64 " before it are missing",
                reading->next_idx, idx - 1);
    else if (idx < reading->next_idx)
        FINDING(reading, "double", row, "the number is there twice");
    reading->next_idx = idx + 1;
}

static void
check_opened(struct reading *reading, const struct row *row)
{
    const bool is_first = reading->tree.size == 0;

    if (!is_kind(row, ENTRY_LOG_OPENED)) {
        if (is_first)
            FINDING(reading, "log_opened", row,
                    "the log does not begin with log_opened");
        return;
    }
    if (!is_first) {
        FINDING(reading, "log_opened", row, "log_opened inside a log");
        return;
    }
    reading->log.opened = true;
    reading->log.opened_unix_us = row->columns.at[COLUMN_RECORDED_AT].number;
    reading->log.previous = row->columns.previous;
}

static int
check_closed(struct reading *reading, const struct row *row, struct err *err)
{
    const struct column_log *says = &row->columns.closed;
    uint8_t root[ENTRY_HASH_LEN];

    if (reading->closed_idx != -1)
        FINDING(reading, "log_closed", row,
                "an entry after log_closed (%" PRId64 ")", reading->closed_idx);
    if (!is_kind(row, ENTRY_LOG_CLOSED))
        return 0;
    reading->closed_idx = row->place.idx;
    if (merkle_root(&reading->tree, root, err) == -1)
        return -1;
    if (says->size != reading->tree.size)
        FINDING(reading, "log_closed", row,
                "log_closed counts %" PRId64 " entries before it, there are "
                "%" PRId64,
                says->size, reading->tree.size);
    if (memcmp(says->root, root, sizeof(root)) != 0)
        FINDING(reading, "root", row,
                "the root in log_closed is not that of the entries before");
    return 0;
}

static int
check_anchors(struct reading *reading, const struct row *row, struct err *err)
{
    const struct verify *verify = reading->verify;
    uint8_t root[ENTRY_HASH_LEN];

    for (size_t i = 0; i < verify->anchor_count; i++) {
        const struct verify_anchor *anchor = &verify->anchors[i];

        if (anchor->size != reading->tree.size ||
            memcmp(&anchor->log_id, &reading->log.head.log_id,
                   sizeof(anchor->log_id)) != 0)
            continue;
        if (merkle_root(&reading->tree, root, err) == -1)
            return -1;
        if (memcmp(root, anchor->root, sizeof(root)) != 0)
            FINDING(reading, "anchor", row,
                    "the root up to here is not the one kept elsewhere");
    }
    return 0;
}

/* ---- logs -------------------------------------------------------------- */

static int
keep_log(struct verify *verify, const struct verify_log *log, struct err *err)
{
    if (verify->log_count == verify->log_capacity) {
        const size_t capacity =
            verify->log_capacity == 0 ? 64 : 2 * verify->log_capacity;
        struct verify_log *logs;

        if (verify->log_count == VERIFY_MAX_LOGS)
            return err_set(err, ERR_LIMIT, "more than %d logs",
                           VERIFY_MAX_LOGS);
        logs = realloc(verify->logs, capacity * sizeof(*logs));
        if (logs == NULL)
            return err_set(err, ERR_NOMEM, "list of logs");
        verify->logs = logs;
        verify->log_capacity = capacity;
    }
    verify->logs[verify->log_count++] = *log;
    return 0;
}

static int
end_log(struct reading *reading, struct err *err)
{
    struct verify_head *head = &reading->log.head;

    if (reading->log_id[0] == '\0')
        return 0;
    head->size = reading->tree.size;
    head->closed = reading->closed_idx != -1;
    if (merkle_root(&reading->tree, head->root, err) == -1)
        return -1;
    reading->verify->counts.logs++;
    return keep_log(reading->verify, &reading->log, err);
}

static void
begin_log(struct reading *reading, const struct row *row)
{
    memset(&reading->log, 0, sizeof(reading->log));
    memset(&reading->tree, 0, sizeof(reading->tree));
    reading->next_idx = 0;
    reading->closed_idx = -1;
    snprintf(reading->log_id, sizeof(reading->log_id), "%s", row->place.log_id);
    if (uuid_parse(row->place.log_id, &reading->log.head.log_id) == -1)
        FINDING(reading, "column", row, "the log_id is no UUID");
}

/* ---- the pass ---------------------------------------------------------- */

static void
take_row(struct reading *reading, struct row *row)
{
    struct lite_stmt *rows = reading->rows;
    const char *log_id = lite_text(rows, COLUMN_LOG_ID, NULL);

    row->place = (struct verify_place){
        .log_id = log_id != NULL ? log_id : "",
        .idx = lite_int(rows, COLUMN_IDX),
        .run_id = lite_text(rows, COLUMN_RUN_ID, NULL),
    };
    row->body = lite_text(rows, COLUMN_OF_BODY, &row->body_len);
    if (row->body == NULL)
        row->body = "";
}

static int
check_row(struct reading *reading, struct row *row, struct err *err)
{
    struct err why = { 0 };

    if (strncmp(row->place.log_id, reading->log_id,
                sizeof(reading->log_id) - 1) != 0) {
        if (end_log(reading, err) == -1)
            return -1;
        begin_log(reading, row);
    }
    row->readable =
        columns_read(&row->columns, row->body, row->body_len, &why) == 0;
    if (row->readable) {
        check_words(reading, row);
        check_columns(reading, row);
    } else {
        FINDING(reading, "body", row, "%s", why.text);
    }
    check_number(reading, row);
    check_opened(reading, row);
    if (check_closed(reading, row, err) == -1 ||
        check_leaf(reading, row, err) == -1 ||
        check_anchors(reading, row, err) == -1)
        return -1;
    return row->readable ? check_parts(reading, row, err) : 0;
}

static int
read_rows(struct reading *reading, struct err *err)
{
    const struct verify_watcher *watcher = reading->verify->watcher;
    struct verify_counts *counts = &reading->verify->counts;
    enum lite_step step;
    struct row row;
    int64_t total = 0;

    if (lite_exec_int(reading->verify->db,
                      "SELECT coalesce(max(rowid), 0) FROM entry", &total,
                      err) == -1)
        return -1;
    while ((step = lite_step(reading->rows, err)) == LITE_ROW) {
        take_row(reading, &row);
        if (check_row(reading, &row, err) == -1)
            return -1;
        if (++counts->entries % PROGRESS_STEP == 0)
            watcher->progress(watcher->arg, counts->entries, total);
    }
    return step == LITE_DONE ? end_log(reading, err) : -1;
}

/* SELECT log_id, ..., leaf_hash, body, from the list of columns. */
static struct lite_stmt *
prepare_rows(struct lite *db, struct err *err)
{
    enum buf_status status = BUF_OK;
    struct lite_stmt *rows = NULL;
    struct buf sql;

    buf_init(&sql, MAX_SQL_BYTES);
    status = buf_append_str(&sql, "SELECT ");
    for (int i = 0; i < COLUMN_COUNT && status == BUF_OK; i++)
        status = buf_printf(&sql, "%s, ", column_name((enum column)i));
    if (status == BUF_OK)
        status = buf_append_str(&sql, "leaf_hash, body FROM entry "
                                      "ORDER BY log_id, idx");
    if (status == BUF_OK)
        rows = lite_prepare(db, sql.bytes, err);
    else
        err_set(err, ERR_NOMEM, "SQL");
    buf_close(&sql);
    return rows;
}

int
verify_entries(struct verify *verify, struct err *err)
{
    struct reading *reading = calloc(1, sizeof(*reading));
    int result = -1;

    if (reading == NULL)
        return err_set(err, ERR_NOMEM, "verification");
    reading->verify = verify;
    reading->rows = prepare_rows(verify->db, err);
    reading->content = lite_prepare(
        verify->db,
        "SELECT salt, body FROM content WHERE run_id = ? AND part = ?", err);
    if (reading->rows != NULL && reading->content != NULL)
        result = read_rows(reading, err);
    lite_finalize(reading->rows);
    lite_finalize(reading->content);
    free(reading);
    return result;
}
