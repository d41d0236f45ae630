/*
 * reader.c - see reader.h.
 *
 * Every answer shows one moment of the ledger: it is one statement, or several
 * in one transaction.
 */
#include "ledger/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "client/lite.h"
#include "ledger/entry.h"
#include "ledger/schema.h"
#include "text/json.h"

#define BUSY_MS        1000
#define MAX_BODY_DEPTH 16

enum statement { LIST, ENTRIES, CONTENT, STATEMENT_COUNT };

/* The columns of a listed run, in the order of list_sql. */
enum {
    LIST_ID,
    LIST_STARTED_AT,
    LIST_STATUS,
    LIST_FIRST_PLAIN, /* from here on a column is a member as it is */
};

static const char *const plain_members[] = {
    "query",          "flash_response", "pro_response", "flash_latency_ms",
    "pro_latency_ms", "total_ms",       "user_id",      "salvage",
    "flash_model",    "pro_model",
};

static const char list_sql[] =
    "SELECT accepted.run_id, accepted.started_at,"
    " coalesce(gone.status, ended.status, 'open'),"
    " (SELECT body FROM content WHERE run_id = accepted.run_id"
    "  AND part = 'query'),"
    " (SELECT body FROM content WHERE run_id = accepted.run_id"
    "  AND part = 'flash'),"
    " (SELECT body FROM content WHERE run_id = accepted.run_id"
    "  AND part = 'pro'),"
    " ended.flash_latency_ms, ended.pro_latency_ms, ended.total_ms,"
    " accepted.user_id, ended.salvage,"
    " coalesce(ended.flash_model, accepted.flash_model),"
    " coalesce(ended.pro_model, accepted.pro_model) "
    "FROM entry AS accepted INDEXED BY entry_newest "
    "LEFT JOIN entry AS ended ON ended.run_id = accepted.run_id"
    " AND ended.kind IN ('finished', 'orphaned') "
    "LEFT JOIN entry AS gone ON gone.run_id = accepted.run_id"
    " AND gone.kind = 'left' "
    "WHERE accepted.kind = 'accepted'"
    " AND (accepted.started_at, accepted.run_id) < (?1, ?2) "
    "ORDER BY accepted.started_at DESC, accepted.run_id DESC LIMIT ?3";

static const char entries_sql[] =
    "SELECT log_id, idx, recorded_at, kind, leaf_hash, body, status "
    "FROM entry WHERE run_id = ?1 AND kind = 'accepted' "
    "UNION ALL "
    "SELECT log_id, idx, recorded_at, kind, leaf_hash, body, status "
    "FROM entry WHERE run_id = ?1 AND kind IN ('finished', 'orphaned') "
    "UNION ALL "
    "SELECT log_id, idx, recorded_at, kind, leaf_hash, body, status "
    "FROM entry WHERE run_id = ?1 AND kind = 'left'";

static const char content_sql[] =
    "SELECT part, body FROM content WHERE run_id = ?1";

struct reader {
    struct lite *db;
    struct lite_stmt *statements[STATEMENT_COUNT];
};

/* ---- opening ----------------------------------------------------------- */

struct reader *
reader_open(const char *store_path, struct err *err)
{
    static const char *const sql[STATEMENT_COUNT] = {
        [LIST] = list_sql, [ENTRIES] = entries_sql, [CONTENT] = content_sql
    };
    struct reader *reader = calloc(1, sizeof(*reader));

    if (reader == NULL) {
        err_set(err, ERR_NOMEM, "reader");
        return NULL;
    }
    if (access(store_path, F_OK) == -1 && errno == ENOENT) {
        err_set(err, ERR_INVALID, "there is no ledger at %s", store_path);
        goto fail;
    }
    reader->db = lite_open(store_path, LITE_READ_ONLY, BUSY_MS, err);
    if (reader->db == NULL || schema_check(reader->db, err) == -1)
        goto fail;
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        reader->statements[i] = lite_prepare(reader->db, sql[i], err);
        if (reader->statements[i] == NULL)
            goto fail;
    }
    return reader;

fail:
    reader_close(reader);
    return NULL;
}

void
reader_close(struct reader *reader)
{
    if (reader == NULL)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        lite_finalize(reader->statements[i]);
    lite_close(reader->db);
    free(reader);
}

/* ---- rows to JSON ------------------------------------------------------ */

/* Each returns a new reference or NULL. */

static json_t *
json_of_column(struct lite_stmt *stmt, int column)
{
    size_t len;
    const char *text;

    switch (lite_type(stmt, column)) {
    case LITE_INT:
        return json_integer(lite_int(stmt, column));
    case LITE_TEXT:
        text = lite_text(stmt, column, &len);
        return text != NULL ? json_stringn(text, len) : NULL;
    case LITE_NULL:
    case LITE_REAL: /* the schema has neither of these */
    case LITE_BLOB:
        break;
    }
    return json_null();
}

static json_t *
json_of_time(struct lite_stmt *stmt, int column)
{
    char text[CLOCK_UTC_LEN];

    if (lite_type(stmt, column) != LITE_INT)
        return json_null();
    clock_format_utc(lite_int(stmt, column), text);
    return json_string(text);
}

static json_t *
json_of_hash(struct lite_stmt *stmt, int column)
{
    char hex[2 * ENTRY_HASH_LEN + 1];
    size_t len;
    const void *bytes = lite_blob(stmt, column, &len);

    if (bytes == NULL || len != ENTRY_HASH_LEN)
        return json_null();
    str_to_hex(bytes, len, hex);
    return json_string(hex);
}

static int
no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "a run as JSON");
}

/* ---- pages of runs ----------------------------------------------------- */

/* A new object, or NULL when memory is short. */
static json_t *
listed_run(struct lite_stmt *stmt)
{
    json_t *run = json_object();
    int failed = run == NULL;

    failed |= json_object_set_new(run, "id", json_of_column(stmt, LIST_ID));
    failed |= json_object_set_new(run, "created_at",
                                  json_of_time(stmt, LIST_STARTED_AT));
    failed |=
        json_object_set_new(run, "status", json_of_column(stmt, LIST_STATUS));
    for (size_t i = 0; i < ARRAY_LEN(plain_members); i++)
        failed |= json_object_set_new(
            run, plain_members[i],
            json_of_column(stmt, LIST_FIRST_PLAIN + (int)i));
    if (!failed)
        return run;
    json_decref(run);
    return NULL;
}

static int
note_cursor(struct lite_stmt *stmt, struct reader_cursor *cursor,
            struct err *err)
{
    const char *id = lite_text(stmt, LIST_ID, NULL);

    cursor->started_unix_us = lite_int(stmt, LIST_STARTED_AT);
    if (id == NULL || uuid_parse(id, &cursor->run_id) == -1)
        return err_set(err, ERR_SYSTEM,
                       "the ledger holds an id that is no "
                       "UUID: run tandemctl verify");
    return 0;
}

/* Fills the page; *next is set when a row came beyond it. */
static int
read_page(struct lite_stmt *stmt, size_t limit, json_t *page,
          struct reader_cursor *next, struct err *err)
{
    struct reader_cursor last = { .set = true };
    enum lite_step step;

    while ((step = lite_step(stmt, err)) == LITE_ROW) {
        json_t *run;

        if (json_array_size(page) == limit) {
            *next = last;
            return 0;
        }
        run = listed_run(stmt);
        if (run == NULL || json_array_append_new(page, run) == -1)
            return no_memory(err);
        if (note_cursor(stmt, &last, err) == -1)
            return -1;
    }
    return step == LITE_DONE ? 0 : -1;
}

json_t *
reader_list(struct reader *reader, size_t limit,
            const struct reader_cursor *after, struct reader_cursor *next,
            struct err *err)
{
    struct lite_stmt *stmt = reader->statements[LIST];
    const bool from_top = after == NULL || !after->set;
    char run_id[UUID_TEXT_LEN] = "";
    json_t *page = json_array();

    *next = (struct reader_cursor){ .set = false };
    if (page == NULL) {
        no_memory(err);
        return NULL;
    }
    if (!from_top)
        uuid_format(&after->run_id, run_id);
    lite_bind_int(stmt, 1, from_top ? INT64_MAX : after->started_unix_us);
    lite_bind_text(stmt, 2, run_id, strlen(run_id));
    lite_bind_int(stmt, 3, limit < INT64_MAX ? (int64_t)limit + 1 : INT64_MAX);
    if (read_page(stmt, limit, page, next, err) == -1) {
        json_decref(page);
        page = NULL;
    }
    lite_reset(stmt);
    return page;
}

/* ---- one run ----------------------------------------------------------- */

/* A new object, or NULL. */
static json_t *
entry_of_row(struct lite_stmt *stmt, struct err *err)
{
    size_t len;
    const char *text = lite_text(stmt, 5, &len);
    json_t *body = NULL;
    json_t *entry;

    if (text != NULL)
        body = json_parse(text, len, MAX_BODY_DEPTH, err);
    if (body == NULL) {
        err_prefix(err, "the body of an entry (run tandemctl verify)");
        return NULL;
    }
    entry = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "log_id",
                      json_of_column(stmt, 0), "idx", json_of_column(stmt, 1),
                      "recorded_at", json_of_time(stmt, 2), "kind",
                      json_of_column(stmt, 3), "leaf_hash",
                      json_of_hash(stmt, 4), "body", body);
    if (entry == NULL)
        no_memory(err);
    return entry;
}

/* The entries of a run into an array; *status is that of the last. */
static int
read_entries(struct lite_stmt *stmt, json_t *entries, json_t **status,
             struct err *err)
{
    enum lite_step step;

    while ((step = lite_step(stmt, err)) == LITE_ROW) {
        json_t *entry = entry_of_row(stmt, err);

        if (entry == NULL)
            return -1;
        if (json_array_append_new(entries, entry) == -1)
            return no_memory(err);
        if (lite_type(stmt, 6) == LITE_TEXT) {
            json_decref(*status);
            *status = json_of_column(stmt, 6);
        }
    }
    return step == LITE_DONE ? 0 : -1;
}

static int
read_content(struct lite_stmt *stmt, json_t *content, struct err *err)
{
    enum lite_step step;

    while ((step = lite_step(stmt, err)) == LITE_ROW) {
        const char *part = lite_text(stmt, 0, NULL);

        if (part == NULL ||
            json_object_set_new(content, part, json_of_column(stmt, 1)) == -1)
            return no_memory(err);
    }
    return step == LITE_DONE ? 0 : -1;
}

json_t *
reader_get(struct reader *reader, const struct uuid *run_id, struct err *err)
{
    struct lite_stmt *entry_rows = reader->statements[ENTRIES];
    struct lite_stmt *content_rows = reader->statements[CONTENT];
    json_t *entries = json_array(), *content = json_object();
    json_t *status = json_string("open");
    json_t *run = NULL;
    char text[UUID_TEXT_LEN];

    uuid_format(run_id, text);
    lite_bind_text(entry_rows, 1, text, strlen(text));
    lite_bind_text(content_rows, 1, text, strlen(text));
    if (lite_exec(reader->db, "BEGIN", err) == 0 &&
        read_entries(entry_rows, entries, &status, err) == 0 &&
        read_content(content_rows, content, err) == 0) {
        if (json_array_size(entries) == 0)
            run = json_null();
        else
            run = json_pack("{s:s, s:O, s:O, s:O}", "id", text, "status",
                            status, "entries", entries, "content", content);
        if (run == NULL)
            no_memory(err);
    }
    lite_reset(entry_rows);
    lite_reset(content_rows);
    lite_rollback(reader->db);
    json_decref(entries);
    json_decref(content);
    json_decref(status);
    return run;
}
