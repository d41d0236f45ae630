/* store_lite_find.c - the embedded ledger; see store.h: looking things up. */
#include "ledger/store_lite_inner.h"

#include <string.h>

#include "base/str.h"

struct store_lite *
store_lite_of(struct store *store)
{
    return (struct store_lite *)store;
}

/* ---- values --------------------------------------------------------------- */

static int
read_uuid(struct lite_stmt *stmt, int column, struct uuid *uuid,
          struct err *err)
{
    const char *text = lite_text(stmt, column, NULL);

    if (text == NULL || uuid_parse(text, uuid) == -1)
        return err_set(err, ERR_SYSTEM,
                       "the ledger holds an id that is no "
                       "UUID: run tandemctl verify");
    return 0;
}

int
store_lite_hash(struct lite_stmt *stmt, int column,
                uint8_t hash[ENTRY_HASH_LEN], struct err *err)
{
    size_t len;
    const void *bytes = lite_blob(stmt, column, &len);

    if (bytes == NULL || len != ENTRY_HASH_LEN)
        return err_set(err, ERR_SYSTEM,
                       "the ledger holds a leaf hash of %zu "
                       "bytes: run tandemctl verify",
                       len);
    memcpy(hash, bytes, ENTRY_HASH_LEN);
    return 0;
}

void
store_lite_bind_uuid(struct lite_stmt *stmt, int param, const struct uuid *uuid,
                     char text[UUID_TEXT_LEN])
{
    uuid_format(uuid, text);
    lite_bind_text(stmt, param, text, UUID_TEXT_LEN - 1);
}

void
store_lite_bind_str(struct lite_stmt *stmt, int param, const char *text)
{
    lite_bind_text(stmt, param, text, strlen(text));
}

/* ---- reading ----------------------------------------------------------- */

/* Steps to the entry of this kind about the run; the caller resets. */
static enum store_answer
seek(struct lite_stmt *stmt, const struct uuid *run_id, enum entry_kind kind,
     char text[UUID_TEXT_LEN], struct err *err)
{
    store_lite_bind_uuid(stmt, 1, run_id, text);
    store_lite_bind_str(stmt, 2, entry_kind_name(kind));
    switch (lite_step(stmt, err)) {
    case LITE_ROW:
        return STORE_FOUND;
    case LITE_DONE:
        return STORE_NONE;
    case LITE_FAILED:
        break;
    }
    return STORE_FAILED;
}

static int
read_receipt(struct lite_stmt *stmt, struct entry_receipt *receipt,
             struct err *err)
{
    receipt->state = ENTRY_COMMITTED;
    receipt->idx = lite_int(stmt, 1);
    receipt->recorded_unix_us = lite_int(stmt, 2);
    if (read_uuid(stmt, 0, &receipt->log_id, err) == -1)
        return -1;
    return store_lite_hash(stmt, 3, receipt->leaf_hash, err);
}

enum store_answer
store_lite_find(struct store *store, const struct uuid *run_id,
                enum entry_kind kind, struct entry_receipt *receipt,
                struct err *err)
{
    struct lite_stmt *stmt = store_lite_of(store)->statements[FIND_ENTRY];
    char text[UUID_TEXT_LEN];
    enum store_answer answer = seek(stmt, run_id, kind, text, err);

    if (answer == STORE_FOUND && read_receipt(stmt, receipt, err) == -1)
        answer = STORE_FAILED;
    lite_reset(stmt);
    return answer;
}

enum store_answer
store_lite_read_body(struct store *store, const struct uuid *run_id,
                     enum entry_kind kind, struct buf *body, struct err *err)
{
    struct lite_stmt *stmt = store_lite_of(store)->statements[READ_BODY];
    char text[UUID_TEXT_LEN];
    enum store_answer answer = seek(stmt, run_id, kind, text, err);

    if (answer == STORE_FOUND) {
        size_t len;
        const char *bytes = lite_text(stmt, 0, &len);

        if (bytes == NULL || buf_append(body, bytes, len) != BUF_OK) {
            err_set(err, ERR_NOMEM, "an entry's body");
            answer = STORE_FAILED;
        }
    }
    lite_reset(stmt);
    return answer;
}

static int
read_key(struct lite_stmt *stmt, struct store_key *key, struct err *err)
{
    const char *request_hash = lite_text(stmt, 1, NULL);

    if (read_uuid(stmt, 0, &key->run_id, err) == -1)
        return -1;
    if (request_hash == NULL || strlen(request_hash) != ENTRY_HASH_HEX_LEN)
        return err_set(err, ERR_SYSTEM,
                       "the ledger holds an idempotency key without its "
                       "request: run tandemctl verify");
    strcpy(key->request_hash, request_hash);
    key->ended = lite_int(stmt, 2) != 0;
    return 0;
}

enum store_answer
store_lite_find_key(struct store *store, const char *key_hash,
                    int64_t since_unix_us, struct store_key *key,
                    struct err *err)
{
    struct lite_stmt *stmt = store_lite_of(store)->statements[FIND_KEY];
    enum store_answer answer = STORE_FAILED;
    enum lite_step step;

    store_lite_bind_str(stmt, 1, key_hash);
    lite_bind_int(stmt, 2, since_unix_us);
    step = lite_step(stmt, err);
    if (step == LITE_DONE)
        answer = STORE_NONE;
    else if (step == LITE_ROW && read_key(stmt, key, err) == 0)
        answer = STORE_FOUND;
    lite_reset(stmt);
    return answer;
}

/* ---- the last log ------------------------------------------------------ */

static enum store_answer
find_last_log(struct store_lite *lite, const struct uuid *next,
              struct uuid *log_id, struct err *err)
{
    /* Rows are numbered as they come, so the last row is the last log's,
     * whatever the clock did in between. */
    struct lite_stmt *stmt =
        lite_prepare(lite->db,
                     "SELECT log_id FROM entry WHERE log_id IS NOT ? "
                     "ORDER BY rowid DESC LIMIT 1",
                     err);
    enum store_answer answer = STORE_FAILED;
    char text[UUID_TEXT_LEN];
    enum lite_step step;

    if (stmt == NULL)
        return STORE_FAILED;
    store_lite_bind_uuid(stmt, 1, next, text);
    step = lite_step(stmt, err);
    if (step == LITE_DONE)
        answer = STORE_NONE;
    else if (step == LITE_ROW && read_uuid(stmt, 0, log_id, err) == 0)
        answer = STORE_FOUND;
    lite_finalize(stmt);
    return answer;
}

static int
append_leaves(struct lite_stmt *stmt, struct merkle *tree, struct err *err)
{
    uint8_t leaf[ENTRY_HASH_LEN];
    enum lite_step step;

    while ((step = lite_step(stmt, err)) == LITE_ROW)
        if (store_lite_hash(stmt, 0, leaf, err) == -1 ||
            merkle_append(tree, leaf, err) == -1)
            return -1;
    return step == LITE_DONE ? 0 : -1;
}

enum store_answer
store_lite_last_log(struct store *store, const char *host,
                    const struct uuid *next, struct store_log *log,
                    struct err *err)
{
    struct store_lite *lite = store_lite_of(store);
    char text[UUID_TEXT_LEN];
    struct lite_stmt *stmt;
    enum store_answer answer;

    (void)host; /* the file is this host's, whatever it was called then */
    memset(log, 0, sizeof(*log));
    answer = find_last_log(lite, next, &log->log_id, err);
    if (answer != STORE_FOUND)
        return answer;
    stmt = lite_prepare(
        lite->db, "SELECT leaf_hash FROM entry WHERE log_id = ? ORDER BY idx",
        err);
    if (stmt == NULL)
        return STORE_FAILED;
    store_lite_bind_uuid(stmt, 1, &log->log_id, text);
    if (append_leaves(stmt, &log->tree, err) == -1)
        answer = STORE_FAILED;
    lite_finalize(stmt);
    return answer;
}

int
store_lite_open_runs(struct store *store, const char *host,
                     int (*each)(void *arg, const struct uuid *run_id,
                                 struct err *err),
                     void *arg, struct err *err)
{
    struct lite_stmt *stmt = lite_prepare(store_lite_of(store)->db,
                                          "SELECT run_id FROM open_run", err);
    enum lite_step step = LITE_FAILED;
    struct uuid run_id;

    (void)host;
    if (stmt == NULL)
        return -1;
    while ((step = lite_step(stmt, err)) == LITE_ROW)
        if (read_uuid(stmt, 0, &run_id, err) == -1 ||
            each(arg, &run_id, err) == -1)
            break;
    lite_finalize(stmt);
    return step == LITE_DONE ? 0 : -1;
}
