/*
 * source_pg.c - see source.h.
 *
 * A plan is one transaction: all its statements are sent together, and their
 * rows come one by one.  The texts of an entry come in its row.
 */
#include "ledger/source_pg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/pg.h"
#include "client/pg_rows.h"

#define CONNECT_MS      15000
#define WHATEVER_MS     (INT64_C(48) * 3600 * 1000)
#define MAX_PARAM_BYTES 8192
#define MAX_SQL_BYTES   8192

#define FIRST_TIME_US 0
#define LAST_TIME_US  (INT64_C(253402300799) * 1000000) /* year 9999 */

/* Before and after the readings that go by the order of a log.  What the
 * planner knows of a month may be old, and a scan of one for each entry would
 * never end. */
#define PLAN_BY(sorts) \
    "SELECT pg_catalog.set_config('enable_sort', '" sorts "', true), " \
    "pg_catalog.set_config('enable_seqscan', '" sorts "', true), " \
    "pg_catalog.set_config('jit', 'off', true)"

#define MAX_QUERIES (2 * SOURCE_MAX_READINGS)

struct source_pg {
    struct source source; /* first: a source is one of us */
    struct pg *pg;
    const struct source_plan *plan; /* borrowed; NULL before begin() */
    struct buf entries_sql;
    struct pg_query queries[MAX_QUERIES];
    struct pg_query *order[MAX_QUERIES];
    size_t reading_of[MAX_QUERIES]; /* SOURCE_MAX_READINGS: a setting */
    size_t query_count;
    int64_t deadline_mono_ms;
    bool has_row; /* pg's present row is still to be taken */
    bool has_ended;
};

static struct source_pg *
of_source(struct source *source)
{
    return (struct source_pg *)source;
}

/* ---- beginning --------------------------------------------------------- */

static struct pg_query *
add_query(struct source_pg *source, const char *sql, size_t reading)
{
    struct pg_query *query = &source->queries[source->query_count];

    assert(source->query_count < MAX_QUERIES);
    pg_query_init(query, sql, MAX_PARAM_BYTES);
    source->order[source->query_count] = query;
    source->reading_of[source->query_count++] = reading;
    return query;
}

static void
add_optional(struct pg_query *query, const char *text)
{
    if (text != NULL)
        pg_add_str(query, text);
    else
        pg_add_null(query, PG_TEXT);
}

static int64_t
bounded(int64_t unix_us)
{
    if (unix_us < FIRST_TIME_US)
        return FIRST_TIME_US;
    return unix_us > LAST_TIME_US ? LAST_TIME_US : unix_us;
}

static void
add_reading(struct source_pg *source, size_t at, const char *sql)
{
    const struct source_reading *reading = &source->plan->readings[at];
    const struct source_selection *selection = reading->selection;
    struct pg_query *query = add_query(source, sql, at);

    if (reading->id != NULL)
        pg_add_uuid(query, reading->id);
    if (reading->query == SOURCE_LEAVES)
        pg_add_int(query, reading->size);
    if (selection != NULL) {
        pg_add_time(query, bounded(selection->since_unix_us));
        pg_add_time(query, bounded(selection->until_unix_us));
        add_optional(query, selection->user);
        add_optional(query, selection->status);
    }
}

static bool
goes_by_order(enum source_query query)
{
    return query == SOURCE_ENTRIES || query == SOURCE_HASHES ||
           query == SOURCE_LEAVES;
}

static int
add_readings(struct source_pg *source, struct err *err)
{
    const struct source_plan *plan = source->plan;

    for (size_t i = 0; i < plan->count; i++) {
        const struct source_reading *reading = &plan->readings[i];
        const char *sql = source_pg_sql[reading->query].sql;

        if (reading->query == SOURCE_ENTRIES) {
            buf_clear(&source->entries_sql);
            if (source_pg_append_entries(&source->entries_sql, plan->texts,
                                         reading->selection != NULL) != BUF_OK)
                return err_set(err, ERR_NOMEM, "SQL");
            sql = source->entries_sql.bytes;
        }
        if (!goes_by_order(reading->query)) {
            add_reading(source, i, sql);
            continue;
        }
        add_query(source, PLAN_BY("off"), SOURCE_MAX_READINGS);
        add_reading(source, i, sql);
        add_query(source, PLAN_BY("on"), SOURCE_MAX_READINGS);
    }
    return 0;
}

static void
forget_queries(struct source_pg *source)
{
    while (source->query_count > 0)
        pg_query_close(&source->queries[--source->query_count]);
}

static int
begin(struct source *generic, const struct source_plan *plan, struct err *err)
{
    struct source_pg *source = of_source(generic);
    struct pg_order order = { .queries = source->order };
    const int64_t now_mono_ms = clock_mono_ms();
    int64_t connect_by_mono_ms = now_mono_ms + CONNECT_MS;

    assert(plan->count <= SOURCE_MAX_READINGS);
    pg_stop(source->pg);
    forget_queries(source);
    source->plan = plan;
    source->has_row = source->has_ended = false;
    if (add_readings(source, err) == -1)
        return -1;
    source->deadline_mono_ms = now_mono_ms + WHATEVER_MS;
    if (plan->deadline_mono_ms < source->deadline_mono_ms)
        source->deadline_mono_ms = plan->deadline_mono_ms;
    if (source->deadline_mono_ms < connect_by_mono_ms)
        connect_by_mono_ms = source->deadline_mono_ms;
    order.query_count = source->query_count;
    order.statement_ms = source->deadline_mono_ms > now_mono_ms
                             ? source->deadline_mono_ms - now_mono_ms
                             : 1;
    return pg_start(source->pg, &order, connect_by_mono_ms, err);
}

/* ---- rows -------------------------------------------------------------- */

static void
take_value(const struct pg *pg, int column, char type,
           struct source_value *value)
{
    *value = (struct source_value){ .type = SOURCE_NULL };
    if (pg_is_null(pg, column))
        return;
    if (type == 'i' || type == 'T') {
        value->type = SOURCE_INT;
        value->number = type == 'i' ? pg_int(pg, column) : pg_time(pg, column);
    } else {
        value->type = type == 't' ? SOURCE_TEXT : SOURCE_BYTES;
        value->bytes = pg_text(pg, column, &value->len);
    }
}

/* To the next row of the reading at this place of the plan.  A row of a later
 * one stays for later. */
static enum source_step
step_to(struct source_pg *source, size_t reading, struct err *err)
{
    while (!source->has_ended) {
        size_t at;

        if (!source->has_row) {
            const enum pg_step step =
                pg_step(source->pg, source->deadline_mono_ms, err);

            if (step == PG_FAILED)
                return SOURCE_FAILED;
            source->has_row = step == PG_ROW;
            source->has_ended = step == PG_DONE;
            continue;
        }
        at = source->reading_of[pg_query_index(source->pg)];
        if (at == reading)
            return SOURCE_ROW;
        if (at != SOURCE_MAX_READINGS && at > reading)
            return SOURCE_DONE;
        source->has_row = false;
    }
    return SOURCE_DONE;
}

static size_t
find_reading(const struct source_pg *source, enum source_query query)
{
    size_t at = 0;

    while (source->plan->readings[at].query != query)
        at++;
    assert(at < source->plan->count);
    return at;
}

static enum source_step
next(struct source *generic, enum source_query query, struct source_row *row,
     struct err *err)
{
    struct source_pg *source = of_source(generic);
    const size_t reading = find_reading(source, query);
    const char *types = source_pg_sql[query].types;
    const enum source_step step = step_to(source, reading, err);

    if (step != SOURCE_ROW)
        return step;
    for (int i = 0; types[i] != '\0'; i++)
        take_value(source->pg, i, types[i], &row->at[i]);
    source->has_row = false;
    return SOURCE_ROW;
}

static struct source_value
value_of(const struct pg_field *field, enum source_type type)
{
    return (struct source_value){
        .type = field->bytes != NULL ? type : SOURCE_NULL,
        .bytes = field->bytes,
        .len = field->len,
    };
}

/* In the row of the entry, which stays until the next one is asked for. */
static enum source_step
find_text(struct source *generic, const struct column_value *run_id,
          const struct column_part *part, struct source_text *text,
          struct err *err)
{
    const struct source_pg *source = of_source(generic);
    struct pg_field fields[3];
    struct pg_rows texts;
    enum pg_step step;
    const char *bytes;
    size_t len;

    (void)run_id; /* that of the entry */
    bytes = pg_text(source->pg, SOURCE_MAX_COLUMNS, &len);
    pg_rows_init(&texts, bytes, len);
    while ((step = pg_rows_next(&texts, fields, ARRAY_LEN(fields))) == PG_ROW) {
        if (fields[0].len != part->name_len ||
            memcmp(fields[0].bytes, part->name, part->name_len) != 0)
            continue;
        text->salt = value_of(&fields[1], SOURCE_BYTES);
        text->body = value_of(&fields[2], SOURCE_TEXT);
        return SOURCE_ROW;
    }
    if (step == PG_DONE)
        return SOURCE_DONE;
    err_set(err, ERR_SYSTEM, "PostgreSQL at %s sent no list of texts",
            pg_place(source->pg));
    return SOURCE_FAILED;
}

/* ---- opening and closing ----------------------------------------------- */

static void
close_pg(struct source *generic)
{
    struct source_pg *source = of_source(generic);

    pg_free(source->pg);
    forget_queries(source);
    buf_close(&source->entries_sql);
    free(source);
}

struct source *
source_pg_open(const char *url, const char *application, struct err *err)
{
    static const struct source_ops ops = {
        .close = close_pg, .begin = begin, .next = next, .find_text = find_text
    };
    const struct pg_options options = { .url = url,
                                        .application = application,
                                        .mode = PG_READ };
    struct source_pg *source = calloc(1, sizeof(*source));

    if (source == NULL) {
        err_set(err, ERR_NOMEM, "source");
        return NULL;
    }
    source->source.ops = &ops;
    source->source.has_many_hosts = true;
    source->source.run_list = "run_claim or open_run";
    buf_init(&source->entries_sql, MAX_SQL_BYTES);
    source->pg = pg_new(&options, err);
    if (source->pg != NULL)
        return &source->source;
    close_pg(&source->source);
    return NULL;
}
