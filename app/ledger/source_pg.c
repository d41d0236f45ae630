/*
 * source_pg.c - see source.h.
 *
 * A plan is one transaction: all its statements are sent together, and their
 * rows come one by one.  The texts of an entry come beside it, so an entry is
 * copied until the row of the next one shows that it is whole.
 */
#include "ledger/source_pg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/pg.h"

#define CONNECT_MS      15000
#define WHATEVER_MS     (INT64_C(48) * 3600 * 1000)
#define MAX_PARAM_BYTES 8192
#define MAX_SQL_BYTES   8192
#define MAX_ENTRY_BYTES ((size_t)256 * 1024 * 1024)
#define KEEP_BYTES      65536
#define MAX_TEXTS       64

#define FIRST_TIME_US 0
#define LAST_TIME_US  (INT64_C(253402300799) * 1000000) /* year 9999 */

/* Before and after the readings that go by the order of a log.  What the
 * planner knows of a month may be old, and a scan of one for each entry would
 * never end. */
#define PLAN_BY(sorts) \
    "SELECT pg_catalog.set_config('enable_sort', '" sorts "', true), " \
    "pg_catalog.set_config('enable_seqscan', '" sorts "', true), " \
    "pg_catalog.set_config('enable_hashjoin', '" sorts "', true), " \
    "pg_catalog.set_config('enable_mergejoin', '" sorts "', true), " \
    "pg_catalog.set_config('jit', 'off', true)"

#define MAX_QUERIES (2 * SOURCE_MAX_READINGS)

/* A value that was copied into the buffer. */
struct copied {
    enum source_type type;
    int64_t number;
    size_t at;
    size_t len;
};

struct copied_text {
    struct copied part, salt, body;
};

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

    /* The entry that was read last. */
    struct buf bytes;
    struct copied columns[SOURCE_MAX_COLUMNS];
    struct copied_text texts[MAX_TEXTS];
    size_t text_count;
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

/* ---- entries with their texts ------------------------------------------ */

static int
copy_value(struct source_pg *source, const struct source_value *value,
           struct copied *copied, struct err *err)
{
    copied->type = value->type;
    copied->number = value->number;
    copied->at = source->bytes.len;
    copied->len = value->len;
    if (value->bytes == NULL)
        return 0;
    if (buf_append(&source->bytes, value->bytes, value->len) == BUF_OK &&
        buf_append(&source->bytes, "", 1) == BUF_OK)
        return 0;
    return err_set(err, ERR_LIMIT, "an entry with its texts is too large");
}

static struct source_value
value_of(const struct source_pg *source, const struct copied *copied)
{
    const bool has_bytes =
        copied->type == SOURCE_TEXT || copied->type == SOURCE_BYTES;

    return (struct source_value){
        .type = copied->type,
        .number = copied->number,
        .bytes = has_bytes ? source->bytes.bytes + copied->at : NULL,
        .len = copied->len,
    };
}

static int
copy_entry(struct source_pg *source, struct err *err)
{
    const char *types = source_pg_sql[SOURCE_ENTRIES].types;
    struct source_value value;

    buf_shrink(&source->bytes, KEEP_BYTES);
    source->text_count = 0;
    for (int i = 0; i < SOURCE_MAX_COLUMNS; i++) {
        take_value(source->pg, i, types[i], &value);
        if (copy_value(source, &value, &source->columns[i], err) == -1)
            return -1;
    }
    return 0;
}

static int
copy_text(struct source_pg *source, struct err *err)
{
    static const char types[] = "tbt";
    struct copied_text *text = &source->texts[source->text_count];
    struct copied *const copied[] = { &text->part, &text->salt, &text->body };

    if (pg_is_null(source->pg, SOURCE_MAX_COLUMNS))
        return 0;
    if (source->text_count == MAX_TEXTS)
        return err_set(err, ERR_LIMIT, "an entry has more than %d texts",
                       MAX_TEXTS);
    for (int i = 0; i < 3; i++) {
        struct source_value value;

        take_value(source->pg, SOURCE_MAX_COLUMNS + i, types[i], &value);
        if (copy_value(source, &value, copied[i], err) == -1)
            return -1;
    }
    source->text_count++;
    return 0;
}

static bool
is_same_entry(const struct source_pg *source)
{
    const struct source_value log_id =
        value_of(source, &source->columns[COLUMN_LOG_ID]);
    const char *text = pg_text(source->pg, COLUMN_LOG_ID, NULL);

    return text != NULL && strcmp(text, log_id.bytes) == 0 &&
           pg_int(source->pg, COLUMN_IDX) ==
               source->columns[COLUMN_IDX].number &&
           pg_time(source->pg, COLUMN_RECORDED_AT) ==
               source->columns[COLUMN_RECORDED_AT].number;
}

static enum source_step
next_entry(struct source_pg *source, size_t reading, struct source_row *row,
           struct err *err)
{
    enum source_step step = step_to(source, reading, err);

    if (step != SOURCE_ROW)
        return step;
    if (copy_entry(source, err) == -1)
        return SOURCE_FAILED;
    while (source->plan->texts && step == SOURCE_ROW && is_same_entry(source)) {
        if (copy_text(source, err) == -1)
            return SOURCE_FAILED;
        source->has_row = false;
        step = step_to(source, reading, err);
    }
    if (!source->plan->texts)
        source->has_row = false;
    for (int i = 0; i < SOURCE_MAX_COLUMNS; i++)
        row->at[i] = value_of(source, &source->columns[i]);
    return step == SOURCE_FAILED ? SOURCE_FAILED : SOURCE_ROW;
}

static enum source_step
next(struct source *generic, enum source_query query, struct source_row *row,
     struct err *err)
{
    struct source_pg *source = of_source(generic);
    const size_t reading = find_reading(source, query);
    const char *types = source_pg_sql[query].types;
    enum source_step step;

    if (query == SOURCE_ENTRIES)
        return next_entry(source, reading, row, err);
    step = step_to(source, reading, err);
    if (step != SOURCE_ROW)
        return step;
    for (int i = 0; types[i] != '\0'; i++)
        take_value(source->pg, i, types[i], &row->at[i]);
    source->has_row = false;
    return SOURCE_ROW;
}

static enum source_step
find_text(struct source *generic, const struct column_value *run_id,
          const struct column_part *part, struct source_text *text,
          struct err *err)
{
    const struct source_pg *source = of_source(generic);

    (void)run_id; /* that of the entry, whose texts lie here */
    (void)err;
    for (size_t i = 0; i < source->text_count; i++) {
        const struct source_value name =
            value_of(source, &source->texts[i].part);

        if (name.len != part->name_len ||
            memcmp(name.bytes, part->name, name.len) != 0)
            continue;
        text->salt = value_of(source, &source->texts[i].salt);
        text->body = value_of(source, &source->texts[i].body);
        return SOURCE_ROW;
    }
    return SOURCE_DONE;
}

/* ---- opening and closing ----------------------------------------------- */

static void
close_pg(struct source *generic)
{
    struct source_pg *source = of_source(generic);

    pg_free(source->pg);
    forget_queries(source);
    buf_close(&source->entries_sql);
    buf_close(&source->bytes);
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
    buf_init(&source->bytes, MAX_ENTRY_BYTES);
    source->pg = pg_new(&options, err);
    if (source->pg != NULL)
        return &source->source;
    close_pg(&source->source);
    return NULL;
}
