/* source_lite.c - see source.h. */
#include "ledger/source_lite.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "ledger/schema.h"

#define BUSY_MS       5000
#define MAX_SQL_BYTES 4096

/* The partial indexes want the kinds spelt out. */
#define NO_END \
    "NOT EXISTS (SELECT 1 FROM entry AS ended " \
    "WHERE ended.run_id = accepted.run_id " \
    "AND ended.kind IN ('finished', 'orphaned'))"

/* Counted in the index alone: log_id and idx would be fetched for each run. */
#define TWICE(kinds) \
    "SELECT run_id, log_id, idx FROM entry WHERE kind " kinds \
    " AND run_id IN (SELECT run_id FROM entry WHERE kind " kinds \
    " GROUP BY run_id HAVING count(*) > 1) GROUP BY run_id"

#define BODIES(kinds) \
    "(SELECT count(*) FROM entry WHERE run_id = content.run_id AND " \
    "kind " kinds " AND instr(body, '\"part\":\"' || part || '\"') > 0)"

/* One kind after the other, so that each is a lookup in its own index. */
#define MENTIONS \
    BODIES("= 'accepted'") \
    " + " BODIES("IN ('finished', 'orphaned')") " + " BODIES("= 'left'")

static const char *const sql_of[SOURCE_QUERY_COUNT] = {
    [SOURCE_CHECKPOINTS] = "SELECT log_id, size, root, note FROM checkpoint "
                           "ORDER BY log_id, size",
    [SOURCE_COUNT] = "SELECT coalesce(max(rowid), 0) FROM entry",
    [SOURCE_OPEN] =
        "SELECT run_id, log_id, idx, run_id IN (SELECT run_id FROM "
        "open_run) "
        "FROM entry AS accepted WHERE kind = 'accepted' AND " NO_END,
    [SOURCE_LISTED] =
        "SELECT run_id, NULL, -1 FROM open_run AS listed "
        "WHERE NOT EXISTS (SELECT 1 FROM entry AS accepted "
        "WHERE accepted.run_id = listed.run_id AND accepted.kind = "
        "'accepted' "
        "AND " NO_END ")",
    [SOURCE_RUNS] = "SELECT count(*) FROM entry WHERE kind = 'accepted'",
    [SOURCE_ACCEPTED_TWICE] = TWICE("= 'accepted'"),
    [SOURCE_UNACCEPTED] =
        "SELECT run_id, log_id, idx FROM entry AS ended "
        "WHERE kind IN ('finished', 'orphaned') "
        "AND NOT EXISTS (SELECT 1 FROM entry AS accepted "
        "WHERE accepted.run_id = ended.run_id AND accepted.kind = "
        "'accepted')",
    [SOURCE_ENDED_TWICE] = TWICE("IN ('finished', 'orphaned')"),
    [SOURCE_LEFT] = "SELECT gone.run_id, gone.log_id, gone.idx, ended.log_id, "
                    "ended.idx "
                    "FROM entry AS gone LEFT JOIN entry AS ended "
                    "ON ended.run_id = gone.run_id "
                    "AND ended.kind IN ('finished', 'orphaned') "
                    "AND ended.kind = 'finished' WHERE gone.kind = 'left'",
    [SOURCE_LEFT_TWICE] = TWICE("= 'left'"),
    [SOURCE_CONTENT] = "SELECT run_id, part FROM content",
    [SOURCE_UNSPOKEN] =
        "SELECT run_id, part, mentions FROM (SELECT run_id, part, " MENTIONS
        " AS mentions FROM content) WHERE mentions <> 1",
    [SOURCE_HASHES] = "SELECT log_id, leaf_hash FROM entry "
                      "ORDER BY log_id, idx",
    [SOURCE_RUN] = "SELECT log_id, idx, leaf_hash, body FROM entry "
                   "WHERE run_id = ?1 AND kind = 'accepted' "
                   "UNION ALL SELECT log_id, idx, leaf_hash, body FROM entry "
                   "WHERE run_id = ?1 AND kind IN ('finished', 'orphaned') "
                   "UNION ALL SELECT log_id, idx, leaf_hash, body FROM entry "
                   "WHERE run_id = ?1 AND kind = 'left'",
    [SOURCE_LAST_CHECKPOINT] = "SELECT size, root, note FROM checkpoint "
                               "WHERE log_id = ?1 ORDER BY size DESC LIMIT 1",
    [SOURCE_LEAVES] = "SELECT leaf_hash FROM entry "
                      "WHERE log_id = ?1 AND idx < ?2 ORDER BY idx",
};

static struct source_lite *
of_source(struct source *source)
{
    return (struct source_lite *)source;
}

/* ---- statements -------------------------------------------------------- */

/* SELECT log_id, ..., leaf_hash, body, from the list of columns. */
static enum buf_status
append_entries_sql(struct buf *sql, const struct source_selection *selection)
{
    enum buf_status status = buf_append_str(sql, "SELECT ");

    for (int i = 0; i < COLUMN_COUNT && status == BUF_OK; i++)
        status = buf_printf(sql, "%s, ", column_name((enum column)i));
    if (status == BUF_OK)
        status = buf_append_str(sql, "leaf_hash, body FROM entry ");
    if (status == BUF_OK && selection != NULL)
        status = buf_append_str(
            sql,
            "WHERE run_id IN (SELECT run_id FROM entry AS accepted "
            "WHERE kind = 'accepted' AND started_at >= ?1 AND started_at < ?2 "
            "AND (?3 IS NULL OR user_id = ?3) "
            "AND (?4 IS NULL OR ?4 = coalesce("
            "(SELECT status FROM entry AS gone WHERE kind = 'left' "
            "AND gone.run_id = accepted.run_id), "
            "(SELECT status FROM entry AS ended "
            "WHERE kind IN ('finished', 'orphaned') "
            "AND ended.run_id = accepted.run_id), 'open'))) ");
    return status == BUF_OK ? buf_append_str(sql, "ORDER BY log_id, idx")
                            : status;
}

static struct lite_stmt *
prepare_entries(struct lite *db, const struct source_selection *selection,
                struct err *err)
{
    struct lite_stmt *rows = NULL;
    struct buf sql;

    buf_init(&sql, MAX_SQL_BYTES);
    if (append_entries_sql(&sql, selection) == BUF_OK)
        rows = lite_prepare(db, sql.bytes, err);
    else
        err_set(err, ERR_NOMEM, "SQL");
    buf_close(&sql);
    return rows;
}

static void
bind_str(struct lite_stmt *stmt, int param, const char *text)
{
    if (text != NULL)
        lite_bind_text(stmt, param, text, strlen(text));
    else
        lite_bind_null(stmt, param);
}

/* Parameters are copied by nobody: id_text must stay until the last row. */
static int
prepare_rows(struct source_lite *lite, struct err *err)
{
    const struct source_reading *reading = &lite->plan->readings[lite->at];
    const struct source_selection *selection = reading->selection;

    lite->rows = reading->query == SOURCE_ENTRIES
                     ? prepare_entries(lite->db, selection, err)
                     : lite_prepare(lite->db, sql_of[reading->query], err);
    if (lite->rows == NULL)
        return -1;
    if (reading->id != NULL) {
        uuid_format(reading->id, lite->id_text);
        bind_str(lite->rows, 1, lite->id_text);
    }
    if (reading->query == SOURCE_LEAVES)
        lite_bind_int(lite->rows, 2, reading->size);
    if (selection != NULL) {
        lite_bind_int(lite->rows, 1, selection->since_unix_us);
        lite_bind_int(lite->rows, 2, selection->until_unix_us);
        bind_str(lite->rows, 3, selection->user);
        bind_str(lite->rows, 4, selection->status);
    }
    return 0;
}

/* ---- rows -------------------------------------------------------------- */

static void
take_value(struct lite_stmt *stmt, int column, struct source_value *value)
{
    *value = (struct source_value){ .type = SOURCE_NULL };
    switch (lite_type(stmt, column)) {
    case LITE_INT:
        value->type = SOURCE_INT;
        value->number = lite_int(stmt, column);
        break;
    case LITE_TEXT:
        value->type = SOURCE_TEXT;
        value->bytes = lite_text(stmt, column, &value->len);
        break;
    case LITE_BLOB:
        value->type = SOURCE_BYTES;
        value->bytes = lite_blob(stmt, column, &value->len);
        break;
    case LITE_REAL: /* equal to nothing that we know */
        value->type = SOURCE_BYTES;
        value->bytes = "";
        break;
    case LITE_NULL:
        break;
    }
}

static void
end_reading(struct source_lite *lite)
{
    lite_finalize(lite->rows);
    lite->rows = NULL;
    lite->at++;
}

static enum source_step
next(struct source *source, enum source_query query, struct source_row *row,
     struct err *err)
{
    struct source_lite *lite = of_source(source);
    enum lite_step step = LITE_FAILED;

    while (lite->plan->readings[lite->at].query != query) {
        end_reading(lite);
        assert(lite->at < lite->plan->count);
    }
    /* Some lists only other databases keep. */
    if (query != SOURCE_ENTRIES && sql_of[query] == NULL) {
        end_reading(lite);
        return SOURCE_DONE;
    }
    if (lite->rows != NULL || prepare_rows(lite, err) == 0)
        step = lite_step(lite->rows, err);
    if (step != LITE_ROW) {
        end_reading(lite);
        return step == LITE_DONE ? SOURCE_DONE : SOURCE_FAILED;
    }
    for (int i = lite_column_count(lite->rows); i-- > 0;)
        take_value(lite->rows, i, &row->at[i]);
    return SOURCE_ROW;
}

static enum source_step
find_text(struct source *source, const struct column_value *run_id,
          const struct column_part *part, struct source_text *text,
          struct err *err)
{
    struct source_lite *lite = of_source(source);
    enum lite_step step;

    if (lite->texts == NULL)
        lite->texts = lite_prepare(
            lite->db,
            "SELECT salt, body FROM content WHERE run_id = ? AND part = ?",
            err);
    if (lite->texts == NULL)
        return SOURCE_FAILED;
    lite_reset(lite->texts);
    lite_bind_text(lite->texts, 1, run_id->text, run_id->len);
    lite_bind_text(lite->texts, 2, part->name, part->name_len);
    step = lite_step(lite->texts, err);
    if (step != LITE_ROW)
        return step == LITE_DONE ? SOURCE_DONE : SOURCE_FAILED;
    take_value(lite->texts, 0, &text->salt);
    take_value(lite->texts, 1, &text->body);
    return SOURCE_ROW;
}

/* ---- opening and closing ----------------------------------------------- */

static int
begin(struct source *source, const struct source_plan *plan, struct err *err)
{
    struct source_lite *lite = of_source(source);

    assert(plan->count <= SOURCE_MAX_READINGS);
    lite_finalize(lite->rows);
    lite_finalize(lite->texts);
    lite->rows = lite->texts = NULL;
    lite->plan = plan;
    lite->at = 0;
    lite_rollback(lite->db);
    return lite_exec(lite->db, "BEGIN", err);
}

static void
close_lite(struct source *source)
{
    struct source_lite *lite = of_source(source);

    lite_finalize(lite->rows);
    lite_finalize(lite->texts);
    lite_rollback(lite->db);
    lite_close(lite->db);
    free(lite);
}

struct source_lite *
source_lite_new_take(struct lite *db, struct err *err)
{
    struct source_lite *lite = calloc(1, sizeof(*lite));

    if (lite == NULL) {
        err_set(err, ERR_NOMEM, "source");
        lite_close(db);
        return NULL;
    }
    lite->ops = (struct source_ops){ .close = close_lite,
                                     .begin = begin,
                                     .next = next,
                                     .find_text = find_text };
    lite->source.ops = &lite->ops;
    lite->db = db;
    return lite;
}

struct source *
source_lite_open(const char *path, struct err *err)
{
    struct source_lite *lite;
    struct lite *db;

    if (access(path, F_OK) == -1 && errno == ENOENT) {
        err_set(err, ERR_INVALID, "there is no ledger at %s", path);
        return NULL;
    }
    db = lite_open(path, LITE_READ_ONLY, BUSY_MS, err);
    /* Room for the inner pages of all indexes and little more: what is read
     * but once only drives other things out of the processor's caches. */
    if (db == NULL || schema_check(db, err) == -1 ||
        lite_exec(db, "PRAGMA cache_size = -16384", err) == -1) {
        lite_close(db);
        return NULL;
    }
    lite = source_lite_new_take(db, err);
    if (lite == NULL)
        return NULL;
    lite->ops.check = source_lite_check;
    lite->source.run_list = "open_run";
    return &lite->source;
}
