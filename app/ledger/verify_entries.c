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

#define PROGRESS_STEP 8192
#define FNV_PRIME     UINT64_C(0x100000001b3)

/* The log that is being read. */
struct reading {
    struct verify *verify;
    struct source_row row;
    char log_id[UUID_TEXT_LEN + 1]; /* "" before the first */
    struct verify_log log;
    struct merkle tree; /* its size counts the entries read */
    int64_t next_idx;
    int64_t closed_idx; /* of log_closed, -1 before it */
    size_t next_mark;
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
is_kind(const struct row *row, enum entry_kind kind)
{
    return row->readable &&
           column_is(&row->columns.at[COLUMN_KIND], entry_kind_name(kind));
}

/* ---- columns ----------------------------------------------------------- */

static bool
column_equals(const struct source_value *stored,
              const struct column_value *value)
{
    switch (value->type) {
    case COLUMN_NULL:
        return stored->type == SOURCE_NULL;
    case COLUMN_INT:
        return stored->type == SOURCE_INT && stored->number == value->number;
    case COLUMN_TEXT:
        break;
    }
    return stored->type == SOURCE_TEXT && stored->len == value->len &&
           memcmp(stored->bytes, value->text, value->len) == 0;
}

static void
check_columns(struct reading *reading, const struct row *row)
{
    for (int i = 0; i < COLUMN_COUNT; i++)
        if (!column_equals(&reading->row.at[i], &row->columns.at[i]))
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
    const struct source_value *stored = &reading->row.at[SOURCE_LEAF_HASH];
    uint8_t leaf[ENTRY_HASH_LEN];

    if (merkle_leaf(row->body, row->body_len, leaf, err) == -1)
        return -1;
    if (stored->type != SOURCE_BYTES || stored->len != sizeof(leaf) ||
        memcmp(stored->bytes, leaf, sizeof(leaf)) != 0)
        FINDING(reading, "leaf_hash", row,
                "the leaf hash is not that of the body");
    return merkle_append(&reading->tree, leaf, err);
}

/* ---- content ----------------------------------------------------------- */

static int
check_commitment(struct reading *reading, const struct row *row,
                 const struct column_part *part, const struct source_text *text,
                 struct err *err)
{
    char hex[COLUMNS_HASH_HEX_LEN + 1];
    uint8_t hash[ENTRY_HASH_LEN];

    if (text->salt.type != SOURCE_BYTES || text->salt.len != ENTRY_SALT_LEN ||
        text->body.type != SOURCE_TEXT) {
        FINDING(reading, "content", row, "the content's row is incomplete");
        return 0;
    }
    if (seal_commitment((const uint8_t *)text->salt.bytes, text->body.bytes,
                        text->body.len, hash, err) == -1)
        return -1;
    str_to_hex(hash, sizeof(hash), hex);
    if (memcmp(hex, part->sha256, COLUMNS_HASH_HEX_LEN) != 0 ||
        part->len != (int64_t)text->body.len)
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
    struct source *source = verify->source;
    struct source_text text;
    char name[32];
    int result = -1;

    snprintf(name, sizeof(name), "%.*s", (int)part->name_len, part->name);
    row->place.part = name;
    switch (source->ops->find_text(source, run_id, part, &text, err)) {
    case SOURCE_DONE:
        FINDING(reading, "content", row, "the content is missing");
        result = 0;
        break;
    case SOURCE_ROW:
        if (verify_add_to_sum(verify, &verify->spoken_of_sum, run_id->text,
                              run_id->len, part->name, part->name_len,
                              err) == 0)
            result = check_commitment(reading, row, part, &text, err);
        break;
    case SOURCE_FAILED:
        break;
    }
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

/* Tells hosts apart, and nothing else. */
static uint64_t
host_number(const struct reading *reading, const struct columns *columns)
{
    uint64_t number = 0;

    if (!reading->verify->source->has_many_hosts || columns->host == NULL)
        return 0;
    for (size_t i = 0; i < columns->host_len; i++)
        number = (number ^ (unsigned char)columns->host[i]) * FNV_PRIME;
    return number;
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
    reading->log.unlinked = row->columns.previous_unknown;
    reading->log.host = host_number(reading, &row->columns);
}

/* A log that was opened while nobody could tell the one before it names it
 * later. */
static void
check_linked(struct reading *reading, const struct row *row)
{
    if (!is_kind(row, ENTRY_LOG_LINKED))
        return;
    if (!reading->log.unlinked) {
        FINDING(reading, "log_linked", row,
                "log_linked in a log whose predecessor is known");
        return;
    }
    reading->log.unlinked = false;
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

/* Marks stand in the order in which the tree grows. */
static int
check_marks(struct reading *reading, const struct row *row, struct err *err)
{
    const struct verify *verify = reading->verify;
    uint8_t root[ENTRY_HASH_LEN];

    for (; reading->next_mark < verify->mark_count; reading->next_mark++) {
        const struct verify_mark *mark = &verify->marks[reading->next_mark];

        if (mark->size > reading->tree.size ||
            !uuid_equals(&mark->log_id, &reading->log.head.log_id))
            break;
        if (mark->size < reading->tree.size)
            continue; /* of size 0 */
        if (merkle_root(&reading->tree, root, err) == -1)
            return -1;
        if (memcmp(root, mark->root, sizeof(root)) == 0)
            continue;
        if (mark->is_anchor)
            FINDING(reading, "anchor", row,
                    "the root up to here is not the one kept elsewhere");
        else
            FINDING(reading, "checkpoint", row,
                    "the root up to here is not that of the checkpoint");
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
    reading->next_mark =
        verify_find_mark(reading->verify, &reading->log.head.log_id);
}

/* ---- the pass ---------------------------------------------------------- */

static void
take_row(const struct reading *reading, struct row *row)
{
    const struct source_value *at = reading->row.at;
    const struct source_value *body = &at[SOURCE_BODY];

    row->place = (struct verify_place){
        .log_id = at[COLUMN_LOG_ID].type == SOURCE_TEXT
                      ? at[COLUMN_LOG_ID].bytes
                      : "",
        .idx = at[COLUMN_IDX].number,
        .run_id = at[COLUMN_RUN_ID].bytes,
    };
    row->body = body->type == SOURCE_TEXT ? body->bytes : "";
    row->body_len = body->type == SOURCE_TEXT ? body->len : 0;
}

/* What only a log that is there as a whole can be asked. */
static int
check_place(struct reading *reading, const struct row *row, struct err *err)
{
    check_number(reading, row);
    check_opened(reading, row);
    check_linked(reading, row);
    return check_closed(reading, row, err);
}

static int
check_row(struct reading *reading, struct row *row, struct err *err)
{
    const bool is_selection = reading->verify->source->is_selection;
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
    if (!is_selection && check_place(reading, row, err) == -1)
        return -1;
    if (check_leaf(reading, row, err) == -1)
        return -1;
    if (!is_selection && check_marks(reading, row, err) == -1)
        return -1;
    if (!row->readable || reading->verify->without_texts)
        return 0;
    return check_parts(reading, row, err);
}

static int
read_rows(struct reading *reading, struct err *err)
{
    struct verify *verify = reading->verify;
    const struct verify_watcher *watcher = verify->watcher;
    enum source_step step;
    struct row row;
    int64_t total = 0;

    if (verify_next(verify, SOURCE_COUNT, &reading->row, err) == SOURCE_ROW)
        total = reading->row.at[0].number;
    while ((step = verify_next(verify, SOURCE_ENTRIES, &reading->row, err)) ==
           SOURCE_ROW) {
        take_row(reading, &row);
        if (check_row(reading, &row, err) == -1)
            return -1;
        if (++verify->counts.entries % PROGRESS_STEP == 0)
            watcher->progress(watcher->arg, verify->counts.entries, total);
    }
    return step == SOURCE_DONE ? end_log(reading, err) : -1;
}

int
verify_entries(struct verify *verify, struct err *err)
{
    struct reading *reading = calloc(1, sizeof(*reading));
    int result;

    if (reading == NULL)
        return err_set(err, ERR_NOMEM, "verification");
    reading->verify = verify;
    result = read_rows(reading, err);
    free(reading);
    return result;
}
