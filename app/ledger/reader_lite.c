/* reader_lite.c - the embedded ledger for reader.c; see reader_rows.h. */
#include "ledger/reader_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/lite.h"
#include "ledger/schema.h"

#define BUSY_MS 1000

enum statement { LIST, ENTRIES, CONTENT, STATEMENT_COUNT };

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
    " AND (accepted.started_at, accepted.run_id) < (?1, ?2)"
    " AND accepted.started_at >= ?4 AND accepted.started_at < ?5"
    " AND (?6 IS NULL OR coalesce(gone.status, ended.status, 'open') = ?6)"
    " AND (?7 IS NULL OR accepted.user_id = ?7)"
    " AND (?8 IS NULL OR ?8 IN"
    "  (coalesce(ended.flash_model, accepted.flash_model),"
    "   coalesce(ended.pro_model, accepted.pro_model))) "
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

struct reader_lite {
    struct reader reader; /* first: a reader is one of us */
    struct lite *db;
    struct lite_stmt *statements[STATEMENT_COUNT];
    enum statement present;     /* whose rows come */
    char run_id[UUID_TEXT_LEN]; /* bound */
};

static struct reader_lite *
of_reader(struct reader *reader)
{
    return (struct reader_lite *)reader;
}

static struct lite_stmt *
present(struct reader *reader)
{
    return of_reader(reader)->statements[of_reader(reader)->present];
}

/* ---- questions --------------------------------------------------------- */

static void
bind_filter(struct lite_stmt *stmt, int param, const char *wanted)
{
    if (wanted != NULL)
        lite_bind_text(stmt, param, wanted, strlen(wanted));
}

static int
list(struct reader *reader, const struct reader_query *query, struct err *err)
{
    struct reader_lite *self = of_reader(reader);
    struct lite_stmt *stmt = self->statements[LIST];
    const bool from_top = !query->after.set;
    const size_t most = query->limit;

    (void)err;
    self->present = LIST;
    self->run_id[0] = '\0';
    if (!from_top)
        uuid_format(&query->after.run_id, self->run_id);
    lite_bind_int(stmt, 1, from_top ? INT64_MAX : query->after.started_unix_us);
    lite_bind_text(stmt, 2, self->run_id, strlen(self->run_id));
    lite_bind_int(stmt, 3, most < INT64_MAX ? (int64_t)most + 1 : INT64_MAX);
    lite_bind_int(stmt, 4, query->since_unix_us);
    lite_bind_int(stmt, 5,
                  query->until_unix_us != 0 ? query->until_unix_us : INT64_MAX);
    bind_filter(stmt, 6, query->status);
    bind_filter(stmt, 7, query->user);
    bind_filter(stmt, 8, query->model);
    return 0;
}

static int
get(struct reader *reader, const struct uuid *run_id, struct err *err)
{
    struct reader_lite *self = of_reader(reader);

    self->present = ENTRIES;
    uuid_format(run_id, self->run_id);
    lite_bind_text(self->statements[ENTRIES], 1, self->run_id,
                   strlen(self->run_id));
    lite_bind_text(self->statements[CONTENT], 1, self->run_id,
                   strlen(self->run_id));
    return lite_exec(self->db, "BEGIN", err);
}

static enum reader_step
next(struct reader *reader, struct err *err)
{
    struct reader_lite *self = of_reader(reader);

    switch (lite_step(present(reader), err)) {
    case LITE_ROW:
        return READER_ROW;
    case LITE_DONE:
        if (self->present != ENTRIES)
            return READER_DONE;
        self->present = CONTENT;
        return next(reader, err);
    case LITE_FAILED:
        break;
    }
    return READER_FAILED;
}

static void
stop(struct reader *reader)
{
    struct reader_lite *self = of_reader(reader);

    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        lite_reset(self->statements[i]);
    lite_rollback(self->db);
}

/* ---- the present row --------------------------------------------------- */

static int
set(const struct reader *reader)
{
    const struct reader_lite *self = (const struct reader_lite *)reader;

    return self->present == CONTENT ? GET_CONTENT : GET_ENTRIES;
}

static bool
is_null(struct reader *reader, int column)
{
    return lite_type(present(reader), column) == LITE_NULL;
}

/* Times, too: microseconds since 1970. */
static int64_t
number(struct reader *reader, int column)
{
    return lite_int(present(reader), column);
}

static const char *
text(struct reader *reader, int column, size_t *len)
{
    if (is_null(reader, column))
        return NULL;
    return lite_text(present(reader), column, len);
}

/* ---- opening ----------------------------------------------------------- */

static void
close_lite(struct reader *reader)
{
    struct reader_lite *self = of_reader(reader);

    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        lite_finalize(self->statements[i]);
    lite_close(self->db);
    free(self);
}

static const struct reader_ops ops = {
    .close = close_lite,
    .list = list,
    .get = get,
    .next = next,
    .stop = stop,
    .set = set,
    .is_null = is_null,
    .number = number,
    .unix_us = number,
    .text = text,
};

struct reader *
reader_lite_open(const char *path, struct err *err)
{
    static const char *const sql[STATEMENT_COUNT] = {
        [LIST] = list_sql, [ENTRIES] = entries_sql, [CONTENT] = content_sql
    };
    struct reader_lite *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        err_set(err, ERR_NOMEM, "reader");
        return NULL;
    }
    self->reader.ops = &ops;
    if (access(path, F_OK) == -1 && errno == ENOENT) {
        err_set(err, ERR_INVALID, "there is no ledger at %s", path);
        goto fail;
    }
    self->db = lite_open(path, LITE_READ_ONLY, BUSY_MS, err);
    if (self->db == NULL || schema_check(self->db, err) == -1)
        goto fail;
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        self->statements[i] = lite_prepare(self->db, sql[i], err);
        if (self->statements[i] == NULL)
            goto fail;
    }
    return &self->reader;

fail:
    close_lite(&self->reader);
    return NULL;
}
