/*
 * source_export.c - see source.h.
 *
 * An export goes into a temporary database with tables of a ledger's names, so
 * that everything is asked there as of a ledger.  The columns come from the
 * bodies.  Nothing in the file is refused for being wrong, only for being
 * unreadable: what is wrong is for verification to name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "ledger/checkpoint.h"
#include "ledger/columns_lite.h"
#include "ledger/export.h"
#include "ledger/merkle.h"
#include "ledger/source_lite.h"
#include "text/json.h"

#define MAX_LINE_BYTES ((size_t)512 * 1024 * 1024)
#define KEEP_BYTES     (1024 * 1024)
#define CHUNK_BYTES    65536
#define MAX_DEPTH      8

static const char tables_sql[] =
    "CREATE TABLE entry (log_id, idx, recorded_at, kind, run_id, status, "
    "salvage, started_at, total_ms, flash_latency_ms, pro_latency_ms, "
    "flash_model, pro_model, flash_input_tokens, flash_output_tokens, "
    "pro_input_tokens, pro_output_tokens, principal, user_id, leaf_hash, body);"
    "CREATE TABLE content (run_id, part, salt, body);"
    "CREATE TABLE checkpoint (log_id, size, root, note);"
    "CREATE TABLE complaint (text);"
    "BEGIN";

static const char indexes_sql[] =
    "CREATE INDEX entry_place ON entry (log_id, idx);"
    "CREATE INDEX entry_run ON entry (run_id, kind);"
    "CREATE INDEX content_part ON content (run_id, part);"
    "CREATE VIEW open_run AS SELECT run_id FROM entry AS accepted "
    "WHERE kind = 'accepted' AND NOT EXISTS (SELECT 1 FROM entry AS ended "
    "WHERE ended.run_id = accepted.run_id "
    "AND ended.kind IN ('finished', 'orphaned'));"
    "COMMIT";

enum statement { ENTRY, CONTENT, CHECKPOINT, COMPLAINT, STATEMENT_COUNT };

static const char *const sql_of[STATEMENT_COUNT] = {
    [ENTRY] = ("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
               "?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    [CONTENT] = "INSERT INTO content VALUES (?, ?, ?, ?)",
    [CHECKPOINT] = "INSERT INTO checkpoint VALUES (?, ?, ?, ?)",
    [COMPLAINT] = "INSERT INTO complaint VALUES (?)",
};

/* A file on its way into the database. */
struct loading {
    struct lite *db;
    struct lite_stmt *statements[STATEMENT_COUNT];
    FILE *file;
    struct buf line;
    int64_t line_number;
    json_t *header;
    json_t *trailer;
    int64_t entry_count;
    int64_t checkpoint_count;

    /* The log whose lines are being read, and what the trailer says of it. */
    char log_id[UUID_TEXT_LEN];
    int64_t next_idx;
    struct merkle tree;
    json_t *seen; /* log_id: [size, root], as read */
    struct columns columns;
};

/* ---- values ------------------------------------------------------------ */

static void
bind_string(struct lite_stmt *stmt, int param, const json_t *value)
{
    if (json_is_string(value))
        lite_bind_text(stmt, param, json_string_value(value),
                       json_string_length(value));
    else
        lite_bind_null(stmt, param);
}

/* The bytes that hex stands for; null when it stands for none of that length.
 * bytes stays until the statement ran. */
static bool
bind_hex(struct lite_stmt *stmt, int param, const char *hex, uint8_t *bytes,
         size_t len)
{
    if (hex == NULL || str_from_hex(hex, bytes, len) == -1) {
        lite_bind_null(stmt, param);
        return false;
    }
    lite_bind_blob(stmt, param, bytes, len);
    return true;
}

static int
complain(struct loading *loading, const char *text, struct err *err)
{
    lite_bind_text(loading->statements[COMPLAINT], 1, text, strlen(text));
    return lite_run(loading->statements[COMPLAINT], err);
}

static int
wrong(const struct loading *loading, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "line %" PRId64 " %s",
                   loading->line_number, what);
}

/* ---- entries ----------------------------------------------------------- */

/* Keeps what was counted of the log that ends here. */
static int
end_log(struct loading *loading, struct err *err)
{
    uint8_t root[ENTRY_HASH_LEN];
    char hex[2 * ENTRY_HASH_LEN + 1];

    if (loading->log_id[0] == '\0')
        return 0;
    if (merkle_root(&loading->tree, root, err) == -1)
        return -1;
    str_to_hex(root, sizeof(root), hex);
    if (json_object_set_new(
            loading->seen, loading->log_id,
            json_pack("[I, s]", (json_int_t)loading->tree.size, hex)) == -1)
        return err_set(err, ERR_NOMEM, "list of logs");
    return 0;
}

/* Where the entry stands: by its body, else behind the one before. */
static int
find_place(struct loading *loading, struct err *err)
{
    struct column_value *at = loading->columns.at;

    if (at[COLUMN_LOG_ID].type == COLUMN_TEXT &&
        at[COLUMN_LOG_ID].len < sizeof(loading->log_id) &&
        (strlen(loading->log_id) != at[COLUMN_LOG_ID].len ||
         memcmp(loading->log_id, at[COLUMN_LOG_ID].text,
                at[COLUMN_LOG_ID].len) != 0)) {
        if (end_log(loading, err) == -1)
            return -1;
        memset(&loading->tree, 0, sizeof(loading->tree));
        snprintf(loading->log_id, sizeof(loading->log_id), "%.*s",
                 (int)at[COLUMN_LOG_ID].len, at[COLUMN_LOG_ID].text);
    }
    if (at[COLUMN_IDX].type == COLUMN_INT)
        loading->next_idx = at[COLUMN_IDX].number;
    at[COLUMN_LOG_ID] = (struct column_value){ .type = COLUMN_TEXT,
                                               .text = loading->log_id,
                                               .len = strlen(loading->log_id) };
    at[COLUMN_IDX] = (struct column_value){ .type = COLUMN_INT,
                                            .number = loading->next_idx++ };
    return 0;
}

static int
add_text(struct loading *loading, const json_t *text, struct err *err)
{
    struct lite_stmt *stmt = loading->statements[CONTENT];
    uint8_t salt[ENTRY_SALT_LEN];

    column_bind_lite(&loading->columns.at[COLUMN_RUN_ID], stmt, 1);
    bind_string(stmt, 2, json_object_get(text, "part"));
    bind_hex(stmt, 3, json_get_string(text, "salt"), salt, sizeof(salt));
    bind_string(stmt, 4, json_object_get(text, "body"));
    return lite_run(stmt, err);
}

static int
add_entry(struct loading *loading, const json_t *line, struct err *err)
{
    struct lite_stmt *stmt = loading->statements[ENTRY];
    const json_t *body = json_object_get(line, "body");
    const json_t *texts = json_object_get(line, "content");
    uint8_t leaf[ENTRY_HASH_LEN];

    if (!json_is_string(body))
        return wrong(loading, "has no body", err);
    if (columns_read(&loading->columns, json_string_value(body),
                     json_string_length(body), NULL) == -1)
        memset(loading->columns.at, 0, sizeof(loading->columns.at));
    if (find_place(loading, err) == -1)
        return -1;
    columns_bind_lite(&loading->columns, stmt);
    if (bind_hex(stmt, SOURCE_LEAF_HASH + 1, json_get_string(line, "leaf_hash"),
                 leaf, sizeof(leaf)) &&
        merkle_append(&loading->tree, leaf, err) == -1)
        return -1;
    bind_string(stmt, SOURCE_BODY + 1, body);
    if (lite_run(stmt, err) == -1)
        return -1;
    loading->entry_count++;
    for (size_t i = 0; i < json_array_size(texts); i++)
        if (add_text(loading, json_array_get(texts, i), err) == -1)
            return -1;
    return 0;
}

/* The columns as the note says; a note that says nothing keeps its text. */
static int
add_checkpoint(struct loading *loading, const json_t *text, struct err *err)
{
    struct lite_stmt *stmt = loading->statements[CHECKPOINT];
    struct checkpoint checkpoint = { .size = 0 };
    char log_id[UUID_TEXT_LEN];
    struct note note;

    if (note_split(&note, json_string_value(text), json_string_length(text),
                   NULL) == 0 &&
        checkpoint_parse(&checkpoint, &note, NULL) == 0) {
        uuid_format(&checkpoint.log_id, log_id);
        lite_bind_text(stmt, 1, log_id, strlen(log_id));
        lite_bind_int(stmt, 2, checkpoint.size);
        lite_bind_blob(stmt, 3, checkpoint.root, sizeof(checkpoint.root));
    }
    bind_string(stmt, 4, text);
    loading->checkpoint_count++;
    return lite_run(stmt, err);
}

/* ---- the file ---------------------------------------------------------- */

/* 1 and the line without its end, 0 at the end of the file, or -1. */
static int
read_line(struct loading *loading, struct err *err)
{
    char chunk[CHUNK_BYTES];

    buf_shrink(&loading->line, KEEP_BYTES);
    while (fgets(chunk, sizeof(chunk), loading->file) != NULL) {
        if (buf_append_str(&loading->line, chunk) != BUF_OK)
            return wrong(loading, "and the next are too long", err);
        if (loading->line.bytes[loading->line.len - 1] == '\n') {
            buf_truncate(&loading->line, loading->line.len - 1);
            loading->line_number++;
            return 1;
        }
    }
    if (ferror(loading->file) != 0)
        return err_set_errno(err, ERR_SYSTEM, "read");
    if (loading->line.len > 0)
        return err_set(err, ERR_INVALID, "it was cut short in line %" PRId64,
                       loading->line_number + 1);
    return 0;
}

static int
take_header(struct loading *loading, const json_t *line, struct err *err)
{
    if (json_get_int(line, EXPORT_MARK, 0) != EXPORT_VERSION)
        return err_set(err, ERR_INVALID,
                       "it does not begin as an export of this version does");
    loading->header = json_incref((json_t *)(uintptr_t)line);
    return 0;
}

static int
take_line(struct loading *loading, json_t *line, struct err *err)
{
    const json_t *note = json_object_get(line, "checkpoint");

    if (loading->trailer != NULL)
        return wrong(loading, "stands behind the end", err);
    if (loading->header == NULL)
        return take_header(loading, line, err);
    if (json_object_get(line, "body") != NULL)
        return add_entry(loading, line, err);
    if (json_is_string(note))
        return add_checkpoint(loading, note, err);
    if (!json_is_integer(json_object_get(line, "entries")))
        return wrong(loading, "is none that an export has", err);
    loading->trailer = json_incref(line);
    return end_log(loading, err);
}

static int
read_all(struct loading *loading, struct err *err)
{
    int got;

    while ((got = read_line(loading, err)) == 1) {
        struct err why = { 0 };
        json_t *line =
            json_parse(loading->line.bytes, loading->line.len, MAX_DEPTH, &why);
        int result;

        if (line == NULL)
            return err_set(err, why.kind, "line %" PRId64 ": %s",
                           loading->line_number, why.text);
        result = take_line(loading, line, err);
        json_decref(line);
        if (result == -1)
            return -1;
    }
    if (got == 0 && loading->trailer == NULL)
        return err_set(err, ERR_INVALID, "it was cut short after line %" PRId64,
                       loading->line_number);
    return got;
}

/* ---- what the trailer says --------------------------------------------- */

static int
check_log(struct loading *loading, const json_t *log, struct err *err)
{
    const char *log_id = json_get_string(log, "log_id");
    const char *root = json_get_string(log, "root");
    const json_t *seen =
        log_id != NULL ? json_object_get(loading->seen, log_id) : NULL;
    char text[160];

    if (seen != NULL && root != NULL &&
        json_integer_value(json_array_get(seen, 0)) ==
            json_get_int(log, "size", -1) &&
        strcmp(json_string_value(json_array_get(seen, 1)), root) == 0)
        return 0;
    snprintf(text, sizeof(text),
             "the entries of log %.36s are not those that the end of the "
             "export speaks of",
             log_id != NULL ? log_id : "");
    return complain(loading, text, err);
}

static int
check_trailer(struct loading *loading, struct err *err)
{
    const json_t *logs = json_object_get(loading->trailer, "logs");

    if (json_get_int(loading->trailer, "entries", -1) != loading->entry_count &&
        complain(loading,
                 "the end of the export counts other entries than there are",
                 err) == -1)
        return -1;
    if (json_get_int(loading->trailer, "checkpoints", -1) !=
            loading->checkpoint_count &&
        complain(loading,
                 "the end of the export counts other checkpoints than there "
                 "are",
                 err) == -1)
        return -1;
    if (json_array_size(logs) != json_object_size(loading->seen) &&
        complain(loading,
                 "the end of the export speaks of other logs than there are",
                 err) == -1)
        return -1;
    for (size_t i = 0; i < json_array_size(logs); i++)
        if (check_log(loading, json_array_get(logs, i), err) == -1)
            return -1;
    return 0;
}

static int
tell_complaints(struct source *source,
                void (*report)(void *arg, const char *check, const char *text),
                void *arg, struct err *err)
{
    struct lite_stmt *rows = lite_prepare(((struct source_lite *)source)->db,
                                          "SELECT text FROM complaint", err);
    enum lite_step step = LITE_FAILED;

    while (rows != NULL && (step = lite_step(rows, err)) == LITE_ROW)
        report(arg, "export", lite_text(rows, 0, NULL));
    lite_finalize(rows);
    return step == LITE_DONE ? 0 : -1;
}

/* ---- opening ----------------------------------------------------------- */

static int
load(struct loading *loading, struct err *err)
{
    int result = 0;

    if (lite_exec(loading->db, tables_sql, err) == -1)
        return -1;
    for (size_t i = 0; i < STATEMENT_COUNT && result == 0; i++) {
        loading->statements[i] = lite_prepare(loading->db, sql_of[i], err);
        result = loading->statements[i] != NULL ? 0 : -1;
    }
    if (result == 0 &&
        (read_all(loading, err) == -1 || check_trailer(loading, err) == -1))
        result = -1;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        lite_finalize(loading->statements[i]);
    return result == 0 ? lite_exec(loading->db, indexes_sql, err) : -1;
}

static struct source *
new_source(struct loading *loading, struct err *err)
{
    const json_t *asked = json_object_get(loading->header, "asked");
    struct source_lite *lite = source_lite_new_take(loading->db, err);

    loading->db = NULL;
    if (lite == NULL)
        return NULL;
    lite->ops.check = tell_complaints;
    lite->source.has_many_hosts = true;
    lite->source.run_list = "open_run";
    lite->source.is_selection = json_get_string(asked, "since") != NULL ||
                                json_get_string(asked, "until") != NULL ||
                                json_get_string(asked, "user") != NULL ||
                                json_get_string(asked, "status") != NULL;
    lite->source.without_texts =
        !json_is_true(json_object_get(asked, "content"));
    return &lite->source;
}

static void
close_loading(struct loading *loading)
{
    json_decref(loading->header);
    json_decref(loading->trailer);
    json_decref(loading->seen);
    buf_close(&loading->line);
    lite_close(loading->db);
    if (loading->file != NULL)
        fclose(loading->file);
    free(loading);
}

struct source *
source_export_open(const char *path, struct err *err)
{
    struct loading *loading = calloc(1, sizeof(*loading));
    struct source *source = NULL;

    if (loading == NULL) {
        err_set(err, ERR_NOMEM, "export");
        return NULL;
    }
    buf_init(&loading->line, MAX_LINE_BYTES);
    loading->seen = json_object();
    loading->file = fopen(path, "re");
    if (loading->file == NULL)
        err_set_errno(err, ERR_SYSTEM, "open");
    else
        loading->db = lite_open_temporary(err);
    if (loading->db != NULL && load(loading, err) == 0)
        source = new_source(loading, err);
    close_loading(loading);
    return source;
}
