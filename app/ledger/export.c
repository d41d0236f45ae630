/* export.c - see export.h. */
#include "ledger/export.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "ledger/export_csv.h"
#include "ledger/line.h"
#include "ledger/merkle.h"
#include "text/json.h"

#define MAX_LINE_BYTES ((size_t)512 * 1024 * 1024)
#define KEEP_BYTES     (1024 * 1024)

/* What is being written. */
struct writing {
    struct source *source;
    const struct export_request *request;
    export_sink *sink;
    void *arg;
    struct buf line;
    struct source_row row;
    struct seal entry;
    struct entry_content parts[ENTRY_MAX_PARTS];
    struct buf texts;
    int64_t entry_count;
    int64_t checkpoint_count;
    char log_id[UUID_TEXT_LEN]; /* of the log at hand; "" before the first */
    struct merkle tree;
    json_t *logs; /* {log_id, size, root} of those before it */
};

static int
send_line(struct writing *writing, struct err *err)
{
    const int result = writing->sink(writing->arg, buf_cstr(&writing->line),
                                     writing->line.len, err);

    buf_shrink(&writing->line, KEEP_BYTES);
    return result;
}

/* A line of JSON.  Takes over value, which may be NULL. */
static int
send_json_take(struct writing *writing, json_t *value, struct err *err)
{
    int result = -1;

    if (value == NULL)
        err_set(err, ERR_NOMEM, "export");
    else if (json_write(value, &writing->line, err) == 0)
        result = buf_append_str(&writing->line, "\n") == BUF_OK
                     ? send_line(writing, err)
                     : err_set(err, ERR_NOMEM, "export");
    json_decref(value);
    return result;
}

/* ---- logs -------------------------------------------------------------- */

static int
end_log(struct writing *writing, struct err *err)
{
    uint8_t root[ENTRY_HASH_LEN];
    char hex[2 * ENTRY_HASH_LEN + 1];

    if (writing->log_id[0] == '\0')
        return 0;
    if (merkle_root(&writing->tree, root, err) == -1)
        return -1;
    str_to_hex(root, sizeof(root), hex);
    if (json_array_append_new(
            writing->logs,
            json_pack("{s:s, s:I, s:s}", "log_id", writing->log_id, "size",
                      (json_int_t)writing->tree.size, "root", hex)) == -1)
        return err_set(err, ERR_NOMEM, "list of logs");
    return 0;
}

static int
add_leaf(struct writing *writing, const struct source_value *log_id,
         const struct source_value *leaf, struct err *err)
{
    if (log_id->type != SOURCE_TEXT || leaf->type != SOURCE_BYTES ||
        leaf->len != ENTRY_HASH_LEN)
        return err_set(err, ERR_INVALID,
                       "an entry of log %.36s is damaged: tandemctl verify "
                       "says more",
                       log_id->type == SOURCE_TEXT ? log_id->bytes : "?");
    if (strncmp(log_id->bytes, writing->log_id, UUID_TEXT_LEN) != 0) {
        if (end_log(writing, err) == -1)
            return -1;
        memset(&writing->tree, 0, sizeof(writing->tree));
        snprintf(writing->log_id, sizeof(writing->log_id), "%s", log_id->bytes);
    }
    return merkle_append(&writing->tree, (const uint8_t *)leaf->bytes, err);
}

/* The list of logs so far, given away; the next one begins. */
static json_t *
give_logs(struct writing *writing)
{
    json_t *logs = writing->logs;

    writing->logs = json_array();
    writing->log_id[0] = '\0';
    return logs;
}

/* ---- header and trailer ------------------------------------------------ */

static json_t *
time_or_null(int64_t unix_us, int64_t none)
{
    char text[CLOCK_UTC_LEN];

    if (unix_us == none)
        return json_null();
    clock_format_utc(unix_us, text);
    return json_string(text);
}

static json_t *
describe_request(const struct export_request *request)
{
    static const struct source_selection all = { .since_unix_us = INT64_MIN,
                                                 .until_unix_us = INT64_MAX };
    const struct source_selection *selection =
        request->selection != NULL ? request->selection : &all;

    return json_pack("{s:b, s:o, s:s?, s:o, s:s?}", "content",
                     request->texts ? 1 : 0, "since",
                     time_or_null(selection->since_unix_us, INT64_MIN),
                     "status", selection->status, "until",
                     time_or_null(selection->until_unix_us, INT64_MAX), "user",
                     selection->user);
}

static int
write_header(struct writing *writing, struct err *err)
{
    enum source_step step;

    while ((step = writing->source->ops->next(writing->source, SOURCE_HASHES,
                                              &writing->row, err)) ==
           SOURCE_ROW)
        if (add_leaf(writing, &writing->row.at[0], &writing->row.at[1], err) ==
            -1)
            return -1;
    if (step == SOURCE_FAILED || end_log(writing, err) == -1)
        return -1;
    return send_json_take(writing,
                          json_pack("{s:i, s:o, s:o, s:o}", EXPORT_MARK,
                                    EXPORT_VERSION, "made_at",
                                    time_or_null(clock_unix_us(), -1), "asked",
                                    describe_request(writing->request), "logs",
                                    give_logs(writing)),
                          err);
}

static int
write_checkpoints(struct writing *writing, struct err *err)
{
    enum source_step step;

    while (
        (step = writing->source->ops->next(writing->source, SOURCE_CHECKPOINTS,
                                           &writing->row, err)) == SOURCE_ROW) {
        const struct source_value *note = &writing->row.at[3];

        if (note->type != SOURCE_TEXT)
            continue; /* for verification of the ledger itself */
        writing->checkpoint_count++;
        if (send_json_take(
                writing,
                json_pack("{s:s%}", "checkpoint", note->bytes, note->len),
                err) == -1)
            return -1;
    }
    return step == SOURCE_DONE ? 0 : -1;
}

static int
write_trailer(struct writing *writing, struct err *err)
{
    if (write_checkpoints(writing, err) == -1 || end_log(writing, err) == -1)
        return -1;
    return send_json_take(writing,
                          json_pack("{s:I, s:o, s:I}", "entries",
                                    (json_int_t)writing->entry_count, "logs",
                                    give_logs(writing), "checkpoints",
                                    (json_int_t)writing->checkpoint_count),
                          err);
}

/* ---- entries ----------------------------------------------------------- */

static int
damaged(const struct writing *writing, struct err *err)
{
    const struct source_value *log_id = &writing->row.at[COLUMN_LOG_ID];

    return err_set(err, ERR_INVALID,
                   "entry %.36s:%" PRId64 " is damaged: tandemctl verify says "
                   "more",
                   log_id->type == SOURCE_TEXT ? log_id->bytes : "?",
                   writing->row.at[COLUMN_IDX].number);
}

/* Where a text lies in the buffer while that may still move. */
struct span {
    size_t at;
    size_t len;
};

static int
take_text(struct writing *writing, const struct column_part *named,
          struct span *span, struct err *err)
{
    struct seal *entry = &writing->entry;
    struct entry_content *content = &writing->parts[entry->part_count];
    struct source_text text;

    switch (writing->source->ops->find_text(writing->source,
                                            &entry->columns.at[COLUMN_RUN_ID],
                                            named, &text, err)) {
    case SOURCE_FAILED:
        return -1;
    case SOURCE_DONE:
        return 0;
    case SOURCE_ROW:
        break;
    }
    if (entry_part_parse(named->name, named->name_len, &content->part) == -1 ||
        text.salt.type != SOURCE_BYTES || text.salt.len != ENTRY_SALT_LEN ||
        text.body.type != SOURCE_TEXT)
        return damaged(writing, err);
    memcpy(entry->salts[entry->part_count], text.salt.bytes, ENTRY_SALT_LEN);
    *span = (struct span){ writing->texts.len, text.body.len };
    if (buf_append(&writing->texts, text.body.bytes, text.body.len) != BUF_OK)
        return err_set(err, ERR_LIMIT, "an entry with its texts is too large");
    entry->part_count++;
    return 0;
}

static int
take_texts(struct writing *writing, struct err *err)
{
    struct seal *entry = &writing->entry;
    struct span spans[ENTRY_MAX_PARTS] = { { 0, 0 } };

    if (entry->columns.at[COLUMN_RUN_ID].type != COLUMN_TEXT)
        return 0;
    for (size_t i = 0; i < entry->columns.part_count; i++)
        if (take_text(writing, &entry->columns.parts[i],
                      &spans[entry->part_count], err) == -1)
            return -1;
    for (size_t i = 0; i < entry->part_count; i++) {
        writing->parts[i].bytes = buf_cstr(&writing->texts) + spans[i].at;
        writing->parts[i].len = spans[i].len;
    }
    return 0;
}

/* What cannot be read as an entry is exported all the same, without texts. */
static int
take_entry(struct writing *writing, struct err *err)
{
    const struct source_value *at = writing->row.at;
    struct seal *entry = &writing->entry;

    buf_shrink(&entry->body, KEEP_BYTES);
    buf_shrink(&writing->texts, KEEP_BYTES);
    entry->parts = writing->parts;
    entry->part_count = 0;
    if (at[SOURCE_BODY].type != SOURCE_TEXT ||
        at[SOURCE_LEAF_HASH].type != SOURCE_BYTES ||
        at[SOURCE_LEAF_HASH].len != ENTRY_HASH_LEN)
        return damaged(writing, err);
    if (buf_append(&entry->body, at[SOURCE_BODY].bytes, at[SOURCE_BODY].len) !=
        BUF_OK)
        return err_set(err, ERR_LIMIT, "a body is too large");
    memcpy(entry->leaf_hash, at[SOURCE_LEAF_HASH].bytes, ENTRY_HASH_LEN);
    if (!writing->request->texts ||
        columns_read(&entry->columns, entry->body.bytes, entry->body.len,
                     NULL) == -1)
        return 0;
    return take_texts(writing, err);
}

static int
write_entry(struct writing *writing, struct err *err)
{
    const struct source_value *at = writing->row.at;

    if (take_entry(writing, err) == -1 ||
        add_leaf(writing, &at[COLUMN_LOG_ID], &at[SOURCE_LEAF_HASH], err) == -1)
        return -1;
    writing->entry_count++;
    if (!writing->request->as_csv) {
        if (line_append(&writing->line, &writing->entry, err) == -1)
            return -1;
    } else if (export_csv_row(&writing->line, &writing->row, &writing->entry,
                              writing->request->texts) != BUF_OK) {
        return err_set(err, ERR_LIMIT, "a row is too long");
    }
    return send_line(writing, err);
}

static int
write_entries(struct writing *writing, struct err *err)
{
    enum source_step step;

    while ((step = writing->source->ops->next(writing->source, SOURCE_ENTRIES,
                                              &writing->row, err)) ==
           SOURCE_ROW)
        if (write_entry(writing, err) == -1)
            return -1;
    return step == SOURCE_DONE ? 0 : -1;
}

/* ---- all of it --------------------------------------------------------- */

static int
write_all(struct writing *writing, struct err *err)
{
    const struct source_reading readings[] = {
        { .query = SOURCE_HASHES },
        { .query = SOURCE_ENTRIES, .selection = writing->request->selection },
        { .query = SOURCE_CHECKPOINTS },
    };
    const bool as_csv = writing->request->as_csv;
    const struct source_plan plan = {
        .readings = as_csv ? readings + 1 : readings,
        .count = as_csv ? 1 : ARRAY_LEN(readings),
        .texts = writing->request->texts,
        .deadline_mono_ms = INT64_MAX,
    };

    if (writing->source->ops->begin(writing->source, &plan, err) == -1)
        return -1;
    if (!as_csv)
        return write_header(writing, err) == -1 ||
                       write_entries(writing, err) == -1
                   ? -1
                   : write_trailer(writing, err);
    if (export_csv_heading(&writing->line, writing->request->texts) != BUF_OK)
        return err_set(err, ERR_NOMEM, "export");
    return send_line(writing, err) == -1 ? -1 : write_entries(writing, err);
}

int
export_write(struct source *source, const struct export_request *request,
             export_sink *sink, void *arg, struct err *err)
{
    struct writing *writing = calloc(1, sizeof(*writing));
    int result;

    if (writing == NULL)
        return err_set(err, ERR_NOMEM, "export");
    writing->source = source;
    writing->request = request;
    writing->sink = sink;
    writing->arg = arg;
    buf_init(&writing->line, MAX_LINE_BYTES);
    buf_init(&writing->texts, MAX_LINE_BYTES);
    seal_init(&writing->entry);
    writing->logs = json_array();
    result = write_all(writing, err);
    json_decref(writing->logs);
    seal_close(&writing->entry);
    buf_close(&writing->texts);
    buf_close(&writing->line);
    free(writing);
    return result;
}
