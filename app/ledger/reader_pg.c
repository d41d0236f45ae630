/*
 * reader_pg.c - the ledger in PostgreSQL for reader.c; see reader_rows.h.
 *
 * The texts are of another table, which some logins may not read.  What a login
 * may do is asked with each new connection, so a grant needs no restart.
 */
#include "ledger/reader_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/pg.h"

#define MAX_QUESTION_BYTES (64u << 10)
#define LATEST_UNIX_US     INT64_C(253402300800000000) /* the year 10000 */

/* LIMIT keeps this a look-up for each row of the page.  As a join the planner
 * may read all claims for it: it takes that for cheap when few are expected. */
#define CLAIM(class) \
    "LEFT JOIN LATERAL (SELECT run_id, log_id, idx, recorded_at" \
    " FROM tandem.run_claim" \
    " WHERE run_id = accepted.run_id AND class = '" class "' LIMIT 1)"
#define ENDING CLAIM("ended") " AS ending ON true "
#define GONE   CLAIM("left") " AS gone ON true "

/* Texts are null in the first of each pair. */
#define LIST_SQL(query_text, flash_text, pro_text) \
    "SELECT accepted.run_id::text, accepted.started_at," \
    " CASE WHEN gone.run_id IS NOT NULL THEN 'cancelled'" \
    "  ELSE coalesce(ended.status, 'open') END, " query_text ", " flash_text \
    ", " pro_text "," \
    " ended.flash_latency_ms, ended.pro_latency_ms, ended.total_ms," \
    " accepted.user_id, ended.salvage," \
    " coalesce(ended.flash_model, accepted.flash_model)," \
    " coalesce(ended.pro_model, accepted.pro_model) " \
    "FROM tandem.entry AS accepted " ENDING "LEFT JOIN tandem.entry AS ended" \
    " ON ended.log_id = ending.log_id AND ended.idx = ending.idx" \
    " AND ended.recorded_at = ending.recorded_at " GONE \
    "WHERE accepted.kind = 'accepted'" \
    " AND (accepted.started_at, accepted.run_id) < ($1, $2)" \
    " AND accepted.started_at >= $4 AND accepted.started_at < $5" \
    " AND ($6::text IS NULL OR $6 = CASE WHEN gone.run_id IS NOT NULL" \
    "  THEN 'cancelled' ELSE coalesce(ended.status, 'open') END)" \
    " AND ($7::text IS NULL OR accepted.user_id = $7)" \
    " AND ($8::text IS NULL OR $8 IN" \
    "  (coalesce(ended.flash_model, accepted.flash_model)," \
    "   coalesce(ended.pro_model, accepted.pro_model))) " \
    "ORDER BY accepted.started_at DESC, accepted.run_id DESC LIMIT $3"

#define TEXT_SQL(part, entry) \
    "(SELECT body FROM tandem.content WHERE run_id = accepted.run_id" \
    "  AND part = '" part "' AND recorded_at = " entry ".recorded_at)"

static const char *const list_sql[] = {
    LIST_SQL("NULL::text", "NULL::text", "NULL::text"),
    LIST_SQL(TEXT_SQL("query", "accepted"), TEXT_SQL("flash", "ended"),
             TEXT_SQL("pro", "ended")),
};

static const char entries_sql[] =
    "SELECT log_id::text, idx, recorded_at, kind, leaf_hash, body, status "
    "FROM tandem.entry WHERE run_id = $1"
    " AND kind IN ('accepted', 'finished', 'orphaned', 'left') "
    "ORDER BY CASE kind WHEN 'accepted' THEN 0 WHEN 'left' THEN 2 ELSE 1 END";

/* Whoever may not see the texts sees which there are. */
static const char *const content_sql[] = {
    "SELECT DISTINCT listed ->> 'part', NULL::text FROM tandem.entry,"
    " jsonb_array_elements(body::jsonb -> 'content') AS listed "
    "WHERE run_id = $1 AND kind IN ('accepted', 'finished')",
    "SELECT part, body FROM tandem.content WHERE run_id = $1",
};

static const char rights_sql[] =
    "SELECT has_table_privilege(to_regclass('tandem.entry'), 'SELECT'),"
    " has_table_privilege(to_regclass('tandem.content'), 'SELECT')";

struct reader_pg {
    struct reader reader; /* first: a reader is one of us */
    struct pg *pg;
    int64_t request_ms;
    int64_t deadline_mono_ms; /* of the present question */
    struct pg_query rights;
    struct pg_query list;
    struct pg_query entries;
    struct pg_query content;
};

static struct reader_pg *
of_reader(struct reader *reader)
{
    return (struct reader_pg *)reader;
}

static const struct reader_pg *
of_const(const struct reader *reader)
{
    return (const struct reader_pg *)reader;
}

/* ---- what the login may do --------------------------------------------- */

static int
note_rights(struct reader_pg *self, struct err *err)
{
    const bool has_schema = !pg_is_null(self->pg, 0);
    const bool may_read = pg_int(self->pg, 0) == 1;

    self->reader.hides_texts = pg_int(self->pg, 1) != 1;
    if (may_read)
        return 0;
    pg_stop(self->pg);
    if (!has_schema)
        return err_set(err, ERR_SYSTEM,
                       "the ledger's schema is missing at %s: see "
                       "sql/README.md",
                       pg_place(self->pg));
    return err_set(err, ERR_SYSTEM,
                   "the login for reading at %s may not read tandem.entry: "
                   "grant it tandem_reader, or tandem_auditor to see texts, "
                   "and set DATABASE_READER_URL",
                   pg_place(self->pg));
}

static int
ask_rights(struct reader_pg *self, struct err *err)
{
    struct pg_query *queries[] = { &self->rights };
    const struct pg_order order = { .queries = queries, .query_count = 1 };
    enum pg_step step;

    if (pg_start(self->pg, &order, self->deadline_mono_ms, err) == -1)
        return -1;
    while ((step = pg_step(self->pg, self->deadline_mono_ms, err)) == PG_ROW)
        if (note_rights(self, err) == -1)
            return -1;
    return step == PG_DONE ? 0 : -1;
}

/* With the deadline of a new question. */
static int
get_ready(struct reader_pg *self, struct err *err)
{
    self->deadline_mono_ms = clock_mono_ms() + self->request_ms;
    if (pg_is_alive(self->pg))
        return 0;
    if (pg_connect(self->pg, self->deadline_mono_ms, err) == -1)
        return -1;
    return ask_rights(self, err);
}

/* ---- questions --------------------------------------------------------- */

static void
add_filter(struct pg_query *query, const char *wanted)
{
    if (wanted != NULL)
        pg_add_str(query, wanted);
    else
        pg_add_null(query, PG_TEXT);
}

static int
list(struct reader *reader, const struct reader_query *query, struct err *err)
{
    struct reader_pg *self = of_reader(reader);
    struct pg_query *queries[] = { &self->list };
    const struct pg_order order = { .queries = queries, .query_count = 1 };
    const struct reader_cursor *after = &query->after;
    const size_t most = query->limit;

    if (get_ready(self, err) == -1)
        return -1;
    pg_query_clear(&self->list);
    self->list.sql = list_sql[!reader->hides_texts];
    pg_add_time(&self->list,
                after->set && after->started_unix_us < LATEST_UNIX_US
                    ? after->started_unix_us
                    : LATEST_UNIX_US);
    pg_add_uuid(&self->list, &after->run_id);
    pg_add_int(&self->list, most < INT64_MAX ? (int64_t)most + 1 : INT64_MAX);
    pg_add_time(&self->list, query->since_unix_us);
    pg_add_time(&self->list, query->until_unix_us != 0 ? query->until_unix_us
                                                       : LATEST_UNIX_US);
    add_filter(&self->list, query->status);
    add_filter(&self->list, query->user);
    add_filter(&self->list, query->model);
    return pg_start(self->pg, &order, self->deadline_mono_ms, err);
}

static int
get(struct reader *reader, const struct uuid *run_id, struct err *err)
{
    struct reader_pg *self = of_reader(reader);
    struct pg_query *queries[] = {
        [GET_ENTRIES] = &self->entries, [GET_CONTENT] = &self->content
    };
    const struct pg_order order = { .queries = queries, .query_count = 2 };

    if (get_ready(self, err) == -1)
        return -1;
    pg_query_clear(&self->entries);
    pg_query_clear(&self->content);
    self->content.sql = content_sql[!reader->hides_texts];
    pg_add_uuid(&self->entries, run_id);
    pg_add_uuid(&self->content, run_id);
    return pg_start(self->pg, &order, self->deadline_mono_ms, err);
}

static enum reader_step
next(struct reader *reader, struct err *err)
{
    struct reader_pg *self = of_reader(reader);

    switch (pg_step(self->pg, self->deadline_mono_ms, err)) {
    case PG_ROW:
        return READER_ROW;
    case PG_DONE:
        return READER_DONE;
    case PG_FAILED:
        break;
    }
    return READER_FAILED;
}

static void
stop(struct reader *reader)
{
    pg_stop(of_reader(reader)->pg);
}

/* ---- the present row --------------------------------------------------- */

static int
set(const struct reader *reader)
{
    return (int)pg_query_index(of_const(reader)->pg);
}

static bool
is_null(struct reader *reader, int column)
{
    return pg_is_null(of_reader(reader)->pg, column);
}

static int64_t
number(struct reader *reader, int column)
{
    return pg_int(of_reader(reader)->pg, column);
}

static int64_t
unix_us(struct reader *reader, int column)
{
    return pg_time(of_reader(reader)->pg, column);
}

static const char *
text(struct reader *reader, int column, size_t *len)
{
    return pg_text(of_reader(reader)->pg, column, len);
}

/* ---- opening ----------------------------------------------------------- */

static void
close_pg(struct reader *reader)
{
    struct reader_pg *self = of_reader(reader);

    pg_query_close(&self->rights);
    pg_query_close(&self->list);
    pg_query_close(&self->entries);
    pg_query_close(&self->content);
    pg_free(self->pg);
    free(self);
}

static const struct reader_ops ops = {
    .close = close_pg,
    .list = list,
    .get = get,
    .next = next,
    .stop = stop,
    .set = set,
    .is_null = is_null,
    .number = number,
    .unix_us = unix_us,
    .text = text,
};

struct reader *
reader_pg_open(const struct reader_place *place, struct err *err)
{
    const struct pg_options options = { .url = place->url,
                                        .application = place->application,
                                        .mode = PG_READ };
    struct reader_pg *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        err_set(err, ERR_NOMEM, "reader");
        return NULL;
    }
    self->reader.ops = &ops;
    self->request_ms = place->request_ms;
    pg_query_init(&self->rights, rights_sql, 0);
    pg_query_init(&self->list, list_sql[0], MAX_QUESTION_BYTES);
    pg_query_init(&self->entries, entries_sql, MAX_QUESTION_BYTES);
    pg_query_init(&self->content, content_sql[0], MAX_QUESTION_BYTES);
    self->pg = pg_new(&options, err);
    if (self->pg != NULL)
        return &self->reader;
    close_pg(&self->reader);
    return NULL;
}
