/*
 * store_lite.c - the embedded ledger; see store.h.
 *
 * The lock is on a file of its own: closing any descriptor of the database file
 * would drop the locks that SQLite holds on it.
 */
#include "ledger/store.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/lite.h"
#include "ledger/columns_lite.h"
#include "ledger/schema.h"
#include "ledger/store_lite_inner.h"
#include "sys/fd.h"
#include "sys/file.h"

#define BUSY_MS       250 /* longer waits are the desk's, which hears others */
#define MAX_SQL_BYTES 2048

/* The partial indexes want the kinds spelt out. */
#define ENTRY_ABOUT_RUN(columns) \
    "SELECT " columns " FROM entry " \
    "WHERE run_id = ?1 AND kind = 'accepted' AND kind = ?2 " \
    "UNION ALL SELECT " columns " FROM entry " \
    "WHERE run_id = ?1 AND kind IN ('finished', 'orphaned') AND kind = ?2 " \
    "UNION ALL SELECT " columns " FROM entry " \
    "WHERE run_id = ?1 AND kind = 'left' AND kind = ?2 " \
    "UNION ALL SELECT " columns " FROM entry " \
    "WHERE run_id = ?1 AND kind = 'admin' AND kind = ?2"

/* ---- writing ----------------------------------------------------------- */

static int
insert_content(struct store_lite *lite, const struct seal *entry, size_t index,
               struct err *err)
{
    struct lite_stmt *stmt = lite->statements[INSERT_CONTENT];
    const struct entry_content *content = &entry->parts[index];
    char run_id[UUID_TEXT_LEN];

    store_lite_bind_uuid(stmt, 1, &entry->run_id, run_id);
    store_lite_bind_str(stmt, 2, entry_part_name(content->part));
    lite_bind_blob(stmt, 3, entry->salts[index], ENTRY_SALT_LEN);
    lite_bind_text(stmt, 4, content->len > 0 ? content->bytes : "",
                   content->len);
    return lite_run(stmt, err);
}

static int
insert_entry(struct store_lite *lite, const struct seal *entry, struct err *err)
{
    struct lite_stmt *stmt = lite->statements[INSERT_ENTRY];

    columns_bind_lite(&entry->columns, stmt);
    lite_bind_blob(stmt, COLUMN_COUNT + 1, entry->leaf_hash, ENTRY_HASH_LEN);
    lite_bind_text(stmt, COLUMN_COUNT + 2, entry->body.bytes, entry->body.len);
    if (lite_run(stmt, err) == -1)
        return -1;
    for (size_t i = 0; i < entry->part_count; i++)
        if (insert_content(lite, entry, i, err) == -1)
            return -1;
    return 0;
}

/* SQLite goes on writing to a file that was moved or deleted; whoever looks for
 * the record would find nothing. */
static int
check_place(const struct store_lite *lite, struct err *err)
{
    struct stat at;

    if (stat(lite->path, &at) == -1)
        return err_set_errno(err, ERR_SYSTEM, "the ledger %s has gone",
                             lite->path);
    if (at.st_dev != lite->device || at.st_ino != lite->inode)
        return err_set(err, ERR_SYSTEM,
                       "the ledger %s was replaced: stop, put it back, start",
                       lite->path);
    return 0;
}

static int
remember_place(struct store_lite *lite, const char *path, struct err *err)
{
    struct stat at;

    lite->path = strdup(path);
    if (lite->path == NULL)
        return err_set(err, ERR_NOMEM, "store");
    if (stat(path, &at) == -1)
        return err_set_errno(err, ERR_SYSTEM, "%s", path);
    lite->device = at.st_dev;
    lite->inode = at.st_ino;
    return 0;
}

/* Each entry is asked for: those of a batch with one that was refused are
 * written in parts, and the batch may come again as a whole. */
static enum store_answer
is_there(struct store_lite *lite, const struct seal *entry, struct err *err)
{
    struct lite_stmt *stmt = lite->statements[LEAF_AT];
    enum store_answer answer = STORE_FAILED;
    char log_id[UUID_TEXT_LEN];
    uint8_t leaf[ENTRY_HASH_LEN];
    enum lite_step step;

    store_lite_bind_uuid(stmt, 1, &entry->place.log_id, log_id);
    lite_bind_int(stmt, 2, entry->place.idx);
    step = lite_step(stmt, err);
    if (step == LITE_DONE) {
        answer = STORE_NONE;
    } else if (step == LITE_ROW && store_lite_hash(stmt, 0, leaf, err) == 0) {
        if (memcmp(leaf, entry->leaf_hash, sizeof(leaf)) == 0)
            answer = STORE_FOUND;
        else
            err_set(err, ERR_INVALID,
                    "another entry stands in place of %s:%" PRId64, log_id,
                    entry->place.idx);
    }
    lite_reset(stmt);
    return answer;
}

static int
check(struct store *store, struct store_schema *schema, struct err *err)
{
    struct store_lite *lite = store_lite_of(store);

    schema->min = schema->max = SCHEMA_VERSION;
    if (check_place(lite, err) == -1)
        return -1;
    return lite_exec_int(lite->db, "PRAGMA user_version", &schema->found, err);
}

static int
write_all(struct store *store, const struct seal *const *entries, size_t count,
          struct err *err)
{
    struct store_lite *lite = store_lite_of(store);

    if (check_place(lite, err) == -1 || lite_begin(lite->db, err) == -1)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const enum store_answer there = is_there(lite, entries[i], err);

        if (there == STORE_FAILED ||
            (there == STORE_NONE && insert_entry(lite, entries[i], err) == -1))
            goto fail;
    }
    if (lite_commit(lite->db, err) == -1)
        goto fail;
    return 0;

fail:
    lite_rollback(lite->db);
    return -1;
}

static int
write_checkpoint(struct store *store, const struct store_checkpoint *checkpoint,
                 struct err *err)
{
    struct store_lite *lite = store_lite_of(store);
    struct lite_stmt *stmt = lite->statements[INSERT_CHECKPOINT];
    char log_id[UUID_TEXT_LEN];

    if (check_place(lite, err) == -1)
        return -1;
    store_lite_bind_uuid(stmt, 1, &checkpoint->log_id, log_id);
    lite_bind_int(stmt, 2, checkpoint->size);
    lite_bind_int(stmt, 3, checkpoint->recorded_unix_us);
    lite_bind_blob(stmt, 4, checkpoint->root, ENTRY_HASH_LEN);
    store_lite_bind_str(stmt, 5, checkpoint->note);
    return lite_run(stmt, err);
}

/* ---- opening ----------------------------------------------------------- */

static void
close_lite(struct store *store)
{
    struct store_lite *lite = store_lite_of(store);

    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        lite_finalize(lite->statements[i]);
    lite_close(lite->db);
    fd_close(&lite->lock_fd); /* last: now another may write */
    free(lite->path);
    free(lite);
}

static int
lock(struct store_lite *lite, const char *path, int64_t deadline_mono_ms,
     struct err *err)
{
    char lock_path[PATH_MAX];
    const int len = snprintf(lock_path, sizeof(lock_path), "%s.lock", path);

    if (len < 0 || (size_t)len >= sizeof(lock_path))
        return err_set(err, ERR_LIMIT, "the ledger's path is too long");
    lite->lock_fd = file_lock(lock_path, deadline_mono_ms, err);
    if (lite->lock_fd == -1)
        err_prefix(err, "another scribe may write to %s", path);
    return lite->lock_fd == -1 ? -1 : 0;
}

/* INSERT INTO entry (log_id, ...) VALUES (?, ...), from the list of columns. */
static int
write_insert(struct buf *sql)
{
    enum buf_status status = buf_append_str(sql, "INSERT INTO entry (");

    for (int i = 0; i < COLUMN_COUNT && status == BUF_OK; i++)
        status = buf_printf(sql, "%s, ", column_name((enum column)i));
    if (status == BUF_OK)
        status = buf_append_str(sql, "leaf_hash, body) VALUES (?");
    for (int i = 1; i < COLUMN_COUNT + 2 && status == BUF_OK; i++)
        status = buf_append_str(sql, ", ?");
    if (status == BUF_OK)
        status = buf_append_str(sql, ")");
    return status == BUF_OK ? 0 : -1;
}

static int
prepare(struct store_lite *lite, struct err *err)
{
    struct buf insert;
    const char *sql[STATEMENT_COUNT] = {
        [INSERT_CONTENT] = "INSERT INTO content (run_id, part, salt, body) "
                           "VALUES (?, ?, ?, ?)",
        [FIND_ENTRY] = ENTRY_ABOUT_RUN("log_id, idx, recorded_at, leaf_hash"),
        [READ_BODY] = ENTRY_ABOUT_RUN("body"),
        [INSERT_CHECKPOINT] =
            "INSERT INTO checkpoint (log_id, size, recorded_at, root, note) "
            "SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS "
            "(SELECT 1 FROM checkpoint WHERE log_id = ?1 AND recorded_at = ?3)",
        [FIND_KEY] =
            "SELECT run_id, json_extract(body, '$.request_hash'),"
            " NOT EXISTS (SELECT 1 FROM open_run"
            "  WHERE open_run.run_id = entry.run_id) "
            "FROM entry INDEXED BY entry_key WHERE kind = 'accepted'"
            " AND instr(body, '\"idempotency_key\":\"') > 0"
            " AND substr(body, instr(body, '\"idempotency_key\":\"') + 19, 64)"
            "  = ?1"
            " AND recorded_at >= ?2 ORDER BY recorded_at DESC LIMIT 1",
        [LEAF_AT] = "SELECT leaf_hash FROM entry WHERE log_id = ? AND idx = ?",
    };
    int result = 0;

    buf_init(&insert, MAX_SQL_BYTES);
    if (write_insert(&insert) == -1)
        result = err_set(err, ERR_NOMEM, "SQL");
    sql[INSERT_ENTRY] = buf_cstr(&insert);
    for (size_t i = 0; result == 0 && i < STATEMENT_COUNT; i++) {
        lite->statements[i] = lite_prepare(lite->db, sql[i], err);
        if (lite->statements[i] == NULL)
            result = -1;
    }
    buf_close(&insert);
    return result;
}

static const struct store_ops ops = {
    .close = close_lite,
    .check = check,
    .write = write_all,
    .find = store_lite_find,
    .read_body = store_lite_read_body,
    .last_log = store_lite_last_log,
    .open_runs = store_lite_open_runs,
    .find_key = store_lite_find_key,
    .write_checkpoint = write_checkpoint,
};

struct store *
store_lite_open(const char *path, int64_t deadline_mono_ms, struct err *err)
{
    struct store_lite *lite = calloc(1, sizeof(*lite));

    if (lite == NULL) {
        err_set(err, ERR_NOMEM, "store");
        return NULL;
    }
    lite->store.ops = &ops;
    lite->lock_fd = -1;
    if (lock(lite, path, deadline_mono_ms, err) == -1)
        goto fail;
    lite->db = lite_open(path, LITE_READ_WRITE, BUSY_MS, err);
    if (lite->db == NULL || schema_create(lite->db, err) == -1 ||
        prepare(lite, err) == -1 || remember_place(lite, path, err) == -1)
        goto fail;
    lite_settle(lite->db);
    return &lite->store;

fail:
    close_lite(&lite->store);
    return NULL;
}
