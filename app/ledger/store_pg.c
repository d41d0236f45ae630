/*
 * store_pg.c - the ledger in PostgreSQL; see store.h.
 *
 * The login may only insert, so questions go to the functions of
 * sql/deploy/0007_scribe.sql and later steps.
 */
#include "ledger/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/pg.h"
#include "ledger/store_pg_batch.h"

#define APPLICATION        "tandem scribe"
#define MAX_QUESTION_BYTES (64u << 10)        /* a note is the longest */
#define BYTES_PER_SECOND   ((int64_t)4 << 20) /* what a slow way carries */
#define LEAVES_AT_ONCE     10000

enum question {
    CHECK,
    FIND,
    READ_BODY,
    NEWEST_LOG,
    END_LOG,
    LEAVES,
    OPEN_RUNS,
    FIND_KEY,
    INSERT_CHECKPOINT,
    QUESTION_COUNT,
};

static const char *const question_sql[QUESTION_COUNT] = {
    [CHECK] = "SELECT max(version) FROM tandem.schema_version",
    [FIND] = "SELECT log_id, idx, recorded_at, leaf_hash "
             "FROM tandem.scribe_find($1, $2)",
    [READ_BODY] = "SELECT tandem.scribe_body($1, $2)",
    [NEWEST_LOG] = "SELECT tandem.scribe_last_log($1, $2)",
    [END_LOG] = "SELECT tandem.scribe_end_log($1, $2, $3)",
    [LEAVES] = "SELECT last_idx, leaves "
               "FROM tandem.scribe_leaves($1, $2, $3::integer)",
    [OPEN_RUNS] = "SELECT tandem.scribe_open_runs($1)",
    [FIND_KEY] = "SELECT run_id, request_hash, ended "
                 "FROM tandem.scribe_find_key($1, $2)",
    [INSERT_CHECKPOINT] = "INSERT INTO tandem.checkpoint "
                          "(log_id, size, root, note, recorded_at) "
                          "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
};

struct store_pg {
    struct store store; /* first: a store is one of us */
    struct pg *pg;
    int64_t attempt_ms;
    struct store_pg_batch batch;
    struct pg_query questions[QUESTION_COUNT];
};

static struct store_pg *
of_store(struct store *store)
{
    return (struct store_pg *)store;
}

/* ---- asking -------------------------------------------------------------- */

static int64_t
deadline_of(const struct store_pg *self, size_t bytes)
{
    return clock_mono_ms() + self->attempt_ms +
           (int64_t)bytes * 1000 / BYTES_PER_SECOND;
}

static struct pg_query *
question_of(struct store_pg *self, enum question question)
{
    struct pg_query *query = &self->questions[question];

    pg_query_clear(query);
    return query;
}

/* ERR_INVALID would blame the entries, which have not even been sent. */
static int
connect(struct store_pg *self, int64_t deadline_mono_ms, struct err *err)
{
    struct err why = { 0 };

    if (pg_connect(self->pg, deadline_mono_ms, &why) == 0)
        return 0;
    return err_set(err, why.kind == ERR_NOMEM ? ERR_NOMEM : ERR_SYSTEM, "%s",
                   why.text);
}

/* Begins a transaction of one statement. */
static int
start(struct store_pg *self, struct pg_query *query, bool sets_itself,
      int64_t deadline_mono_ms, struct err *err)
{
    struct pg_query *const queries[] = { query };
    const struct pg_order order = { .queries = queries,
                                    .query_count = 1,
                                    .sets_itself = sets_itself };

    if (connect(self, deadline_mono_ms, err) == -1)
        return -1;
    return pg_start(self->pg, &order, deadline_mono_ms, err);
}

static int
ask(struct store_pg *self, struct pg_query *query, int64_t deadline_mono_ms,
    struct err *err)
{
    return start(self, query, false, deadline_mono_ms, err);
}

static int
run(struct store_pg *self, struct pg_query *query, bool sets_itself,
    struct err *err)
{
    const int64_t deadline_mono_ms = deadline_of(self, query->bytes.len);

    if (start(self, query, sets_itself, deadline_mono_ms, err) == -1)
        return -1;
    return pg_finish(self->pg, deadline_mono_ms, err);
}

/* ---- writing ------------------------------------------------------------- */

/* A check that is no entry's fault is the calendar's, which somebody has to
 * make longer. */
static const char *
remedy_of(const struct store_pg *self, const struct err *why)
{
    if (why->kind != ERR_SYSTEM || strcmp(pg_sqlstate(self->pg), "23514") != 0)
        return "";
    return ": have tandem.ensure_partitions() run daily (sql/README.md)";
}

static int
write_all(struct store *store, const struct seal *const *entries, size_t count,
          struct err *err)
{
    struct store_pg *self = of_store(store);
    struct err why = { 0 };
    int result;

    store_pg_batch_fill(&self->batch, entries, count,
                        (self->attempt_ms + 1) / 2);
    result = run(self, &self->batch.write, true, &why);
    pg_query_clear(&self->batch.write);
    if (result == -1)
        err_set(err, why.kind, "%s%s", why.text, remedy_of(self, &why));
    return result;
}

static int
write_checkpoint(struct store *store, const struct store_checkpoint *checkpoint,
                 struct err *err)
{
    struct store_pg *self = of_store(store);
    struct pg_query *query = question_of(self, INSERT_CHECKPOINT);

    pg_add_uuid(query, &checkpoint->log_id);
    pg_add_int(query, checkpoint->size);
    pg_add_bytes(query, checkpoint->root, ENTRY_HASH_LEN);
    pg_add_str(query, checkpoint->note);
    pg_add_time(query, checkpoint->recorded_unix_us);
    return run(self, query, false, err);
}

/* ---- questions ----------------------------------------------------------- */

static int
check(struct store *store, struct store_schema *schema, struct err *err)
{
    struct store_pg *self = of_store(store);
    const int64_t deadline_mono_ms = deadline_of(self, 0);
    struct err why = { 0 };
    enum pg_step step = PG_FAILED;

    *schema = (struct store_schema){ .min = STORE_PG_SCHEMA_MIN,
                                     .max = STORE_PG_SCHEMA_MAX };
    /* Here the database itself may be what is wrong. */
    if (pg_connect(self->pg, deadline_mono_ms, err) == -1)
        return -1;
    if (ask(self, question_of(self, CHECK), deadline_mono_ms, &why) == 0)
        step = pg_step(self->pg, deadline_mono_ms, &why);
    if (step == PG_ROW) {
        schema->found = pg_int(self->pg, 0);
        return pg_finish(self->pg, deadline_mono_ms, err);
    }
    if (strcmp(pg_sqlstate(self->pg), "42P01") == 0)
        return 0; /* an answer, too: no step is in */
    return err_set(err, why.kind, "%s", why.text);
}

static int
broken(struct store_pg *self, struct err *err)
{
    pg_stop(self->pg);
    return err_set(
        err, ERR_SYSTEM,
        "the ledger at %s answers what it cannot: run tandemctl verify",
        pg_place(self->pg));
}

/* The row that is there, taken by the caller, was the last. */
static enum store_answer
found(struct store_pg *self, int64_t deadline_mono_ms, struct err *err)
{
    return pg_finish(self->pg, deadline_mono_ms, err) == 0 ? STORE_FOUND
                                                           : STORE_FAILED;
}

/* Asks, and stops at the first row. */
static enum store_answer
seek(struct store_pg *self, struct pg_query *query, int64_t deadline_mono_ms,
     struct err *err)
{
    if (ask(self, query, deadline_mono_ms, err) == -1)
        return STORE_FAILED;
    switch (pg_step(self->pg, deadline_mono_ms, err)) {
    case PG_ROW:
        return STORE_FOUND;
    case PG_DONE:
        return STORE_NONE;
    case PG_FAILED:
        break;
    }
    return STORE_FAILED;
}

static enum store_answer
seek_about_run(struct store_pg *self, enum question question,
               const struct uuid *run_id, enum entry_kind kind,
               int64_t deadline_mono_ms, struct err *err)
{
    struct pg_query *query = question_of(self, question);

    pg_add_uuid(query, run_id);
    pg_add_str(query, entry_kind_name(kind));
    return seek(self, query, deadline_mono_ms, err);
}

static enum store_answer
find(struct store *store, const struct uuid *run_id, enum entry_kind kind,
     struct entry_receipt *receipt, struct err *err)
{
    struct store_pg *self = of_store(store);
    const int64_t deadline_mono_ms = deadline_of(self, 0);
    const char *leaf;
    size_t len;
    enum store_answer answer =
        seek_about_run(self, FIND, run_id, kind, deadline_mono_ms, err);

    if (answer != STORE_FOUND)
        return answer;
    leaf = pg_text(self->pg, 3, &len);
    if (leaf == NULL || len != ENTRY_HASH_LEN ||
        pg_uuid(self->pg, 0, &receipt->log_id) == -1)
        return (enum store_answer)broken(self, err);
    receipt->state = ENTRY_COMMITTED;
    receipt->idx = pg_int(self->pg, 1);
    receipt->recorded_unix_us = pg_time(self->pg, 2);
    memcpy(receipt->leaf_hash, leaf, ENTRY_HASH_LEN);
    return found(self, deadline_mono_ms, err);
}

static enum store_answer
read_body(struct store *store, const struct uuid *run_id, enum entry_kind kind,
          struct buf *body, struct err *err)
{
    struct store_pg *self = of_store(store);
    const int64_t deadline_mono_ms = deadline_of(self, SEAL_MAX_BODY_BYTES);
    const char *text;
    size_t len;
    enum store_answer answer =
        seek_about_run(self, READ_BODY, run_id, kind, deadline_mono_ms, err);

    if (answer != STORE_FOUND)
        return answer;
    text = pg_text(self->pg, 0, &len);
    if (text != NULL && buf_append(body, text, len) != BUF_OK) {
        pg_stop(self->pg);
        err_set(err, ERR_NOMEM, "an entry's body");
        return STORE_FAILED;
    }
    answer = text != NULL ? STORE_FOUND : STORE_NONE;
    return pg_finish(self->pg, deadline_mono_ms, err) == 0 ? answer
                                                           : STORE_FAILED;
}

static enum store_answer
find_key(struct store *store, const char *key_hash, int64_t since_unix_us,
         struct store_key *key, struct err *err)
{
    struct store_pg *self = of_store(store);
    struct pg_query *query = question_of(self, FIND_KEY);
    const int64_t deadline_mono_ms = deadline_of(self, 0);
    const char *request_hash;
    enum store_answer answer;
    size_t len;

    pg_add_str(query, key_hash);
    pg_add_time(query, since_unix_us);
    answer = seek(self, query, deadline_mono_ms, err);
    if (answer != STORE_FOUND)
        return answer;
    request_hash = pg_text(self->pg, 1, &len);
    if (request_hash == NULL || len != ENTRY_HASH_HEX_LEN ||
        pg_uuid(self->pg, 0, &key->run_id) == -1)
        return (enum store_answer)broken(self, err);
    memcpy(key->request_hash, request_hash, ENTRY_HASH_HEX_LEN + 1);
    key->ended = pg_int(self->pg, 2) != 0;
    return found(self, deadline_mono_ms, err);
}

/* ---- the last log -------------------------------------------------------- */

/* Asks for the id of a log. */
static enum store_answer
seek_log(struct store_pg *self, struct pg_query *query, struct uuid *log_id,
         struct err *err)
{
    const int64_t deadline_mono_ms = deadline_of(self, 0);
    enum store_answer answer = seek(self, query, deadline_mono_ms, err);

    if (answer != STORE_FOUND)
        return answer;
    answer = pg_uuid(self->pg, 0, log_id) == 0 ? STORE_FOUND : STORE_NONE;
    return pg_finish(self->pg, deadline_mono_ms, err) == 0 ? answer
                                                           : STORE_FAILED;
}

static enum store_answer
newest_log(struct store *store, const char *host, const struct uuid *except,
           struct uuid *log_id, struct err *err)
{
    struct store_pg *self = of_store(store);
    struct pg_query *query = question_of(self, NEWEST_LOG);

    pg_add_str(query, host);
    pg_add_uuid(query, except);
    return seek_log(self, query, log_id, err);
}

/* The next leaves from *idx on, which moves behind them. */
static enum store_answer
append_leaves(struct store_pg *self, struct store_log *log, int64_t *idx,
              struct err *err)
{
    struct pg_query *query = question_of(self, LEAVES);
    const int64_t deadline_mono_ms =
        deadline_of(self, LEAVES_AT_ONCE * ENTRY_HASH_LEN);
    const char *leaves;
    size_t len;
    enum store_answer answer;

    pg_add_uuid(query, &log->log_id);
    pg_add_int(query, *idx);
    pg_add_int(query, LEAVES_AT_ONCE);
    answer = seek(self, query, deadline_mono_ms, err);
    if (answer != STORE_FOUND)
        return answer;
    leaves = pg_text(self->pg, 1, &len);
    if (leaves == NULL || len % ENTRY_HASH_LEN != 0)
        return (enum store_answer)broken(self, err);
    *idx = pg_int(self->pg, 0) + 1;
    for (size_t at = 0; at < len; at += ENTRY_HASH_LEN) {
        uint8_t leaf[ENTRY_HASH_LEN];

        memcpy(leaf, leaves + at, sizeof(leaf));
        if (merkle_append(&log->tree, leaf, err) == -1) {
            pg_stop(self->pg);
            return STORE_FAILED;
        }
    }
    return found(self, deadline_mono_ms, err);
}

/* Once it has ended its entries do not change any more, so they may be read page
 * by page. */
static enum store_answer
last_log(struct store *store, const char *host, const struct uuid *next,
         struct store_log *log, struct err *err)
{
    struct store_pg *self = of_store(store);
    struct pg_query *query = question_of(self, END_LOG);
    enum store_answer answer;
    int64_t idx = 0;

    memset(log, 0, sizeof(*log));
    pg_add_str(query, host);
    pg_add_uuid(query, next);
    pg_add_time(query, clock_unix_us());
    answer = seek_log(self, query, &log->log_id, err);
    if (answer != STORE_FOUND)
        return answer;
    do {
        answer = append_leaves(self, log, &idx, err);
    } while (answer == STORE_FOUND);
    return answer == STORE_NONE ? STORE_FOUND : STORE_FAILED;
}

static int
open_runs(struct store *store, const char *host,
          int (*each)(void *arg, const struct uuid *run_id, struct err *err),
          void *arg, struct err *err)
{
    struct store_pg *self = of_store(store);
    struct pg_query *query = question_of(self, OPEN_RUNS);
    const int64_t deadline_mono_ms = deadline_of(self, 0);
    enum pg_step step;
    struct uuid run_id;

    pg_add_str(query, host);
    if (ask(self, query, deadline_mono_ms, err) == -1)
        return -1;
    while ((step = pg_step(self->pg, deadline_mono_ms, err)) == PG_ROW) {
        if (pg_uuid(self->pg, 0, &run_id) == -1)
            return broken(self, err);
        if (each(arg, &run_id, err) == -1) {
            pg_stop(self->pg);
            return -1;
        }
    }
    return step == PG_DONE ? 0 : -1;
}

/* ---- opening ------------------------------------------------------------- */

static void
close_pg(struct store *store)
{
    struct store_pg *self = of_store(store);

    store_pg_batch_close(&self->batch);
    for (size_t i = 0; i < QUESTION_COUNT; i++)
        pg_query_close(&self->questions[i]);
    pg_free(self->pg);
    free(self);
}

static const struct store_ops ops = {
    .close = close_pg,
    .check = check,
    .write = write_all,
    .find = find,
    .read_body = read_body,
    .newest_log = newest_log,
    .last_log = last_log,
    .open_runs = open_runs,
    .find_key = find_key,
    .write_checkpoint = write_checkpoint,
};

struct store *
store_pg_open(const char *url, int64_t attempt_ms, struct err *err)
{
    const struct pg_options options = { .url = url,
                                        .application = APPLICATION,
                                        .mode = PG_WRITE };
    struct store_pg *self = calloc(1, sizeof(*self));

    if (self == NULL) {
        err_set(err, ERR_NOMEM, "store");
        return NULL;
    }
    self->store.ops = &ops;
    self->attempt_ms = attempt_ms;
    for (size_t i = 0; i < QUESTION_COUNT; i++)
        pg_query_init(&self->questions[i], question_sql[i], MAX_QUESTION_BYTES);
    if (store_pg_batch_init(&self->batch, err) == -1)
        goto fail;
    self->pg = pg_new(&options, err);
    if (self->pg == NULL)
        goto fail;
    return &self->store;

fail:
    close_pg(&self->store);
    return NULL;
}
