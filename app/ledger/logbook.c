/* logbook.c - see logbook.h. */
#include "ledger/logbook.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "ledger/merkle.h"
#include "ledger/seal.h"
#include "sys/log.h"

struct logbook {
    struct store *store; /* borrowed */
    struct uuid log_id;
    struct merkle tree; /* its size is the next idx */
    int64_t kind_counts[ENTRY_KIND_COUNT];
    struct seal seals[LOGBOOK_MAX_BATCH];
};

/* ---- writing ----------------------------------------------------------- */

/* Seals what can be sealed, one after the other from the next idx on, and adds
 * the leaves to *tree.  Returns how many; entries[i] is of records[i] when
 * there is one. */
static size_t
seal_all(struct logbook *book, const struct entry_record *records, size_t count,
         struct merkle *tree, const struct seal **entries,
         struct logbook_result *results)
{
    const int64_t now_unix_us = clock_unix_us();
    size_t sealed_count = 0;

    for (size_t i = 0; i < count; i++) {
        struct seal *seal = &book->seals[i];
        const struct seal_place place = { .log_id = book->log_id,
                                          .idx = tree->size,
                                          .recorded_unix_us = now_unix_us };

        results[i] = (struct logbook_result){ .written = false };
        if (seal_record(seal, &records[i], &place, &results[i].err) == 0 &&
            merkle_append(tree, seal->leaf_hash, &results[i].err) == 0)
            entries[sealed_count++] = seal;
    }
    return sealed_count;
}

/* All that could be sealed in one transaction.  -1 when the store would not. */
static int
write_together(struct logbook *book, const struct entry_record *records,
               size_t count, struct logbook_result *results, struct err *err)
{
    const struct seal *entries[LOGBOOK_MAX_BATCH];
    struct merkle tree = book->tree;
    const size_t sealed_count =
        seal_all(book, records, count, &tree, entries, results);

    if (sealed_count == 0)
        return 0;
    if (book->store->ops->write(book->store, entries, sealed_count, err) == -1)
        return -1;
    book->tree = tree;
    for (size_t i = 0; i < count; i++) {
        if (results[i].err.kind != ERR_NONE)
            continue;
        results[i].written = true;
        results[i].receipt = seal_receipt(&book->seals[i]);
        book->kind_counts[records[i].kind]++;
    }
    return 0;
}

static void
write_singly(struct logbook *book, const struct entry_record *records,
             size_t count, struct logbook_result *results)
{
    for (size_t i = 0; i < count; i++) {
        struct err err = { 0 };

        if (write_together(book, &records[i], 1, &results[i], &err) == -1)
            results[i].err = err;
    }
}

void
logbook_write(struct logbook *book, const struct entry_record *records,
              size_t count, struct logbook_result *results)
{
    struct err err = { 0 };

    assert(count <= LOGBOOK_MAX_BATCH);
    if (write_together(book, records, count, results, &err) == 0)
        return;
    if (err.kind == ERR_INVALID || err.kind == ERR_LIMIT) {
        write_singly(book, records, count, results);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (results[i].err.kind == ERR_NONE)
            results[i].err = err;
}

/* An entry about the log itself.  Takes over facts. */
static int
write_own_take(struct logbook *book, enum entry_kind kind, json_t *facts,
               struct err *err)
{
    const struct entry_record record = { .kind = kind, .facts = facts };
    struct logbook_result result = { .written = false };

    if (facts == NULL)
        return err_set(err, ERR_NOMEM, "%s entry", entry_kind_name(kind));
    logbook_write(book, &record, 1, &result);
    json_decref(facts);
    if (!result.written)
        return err_set(err, result.err.kind, "%s: %s", entry_kind_name(kind),
                       result.err.text);
    return 0;
}

/* ---- opening and closing ----------------------------------------------- */

/* {log_id, size, root} of the log before, or JSON null when there is none; a
 * new reference, or NULL. */
static json_t *
describe_previous(struct store *store, const char *host, struct err *err)
{
    char log_id[UUID_TEXT_LEN], hex[2 * ENTRY_HASH_LEN + 1];
    uint8_t root[ENTRY_HASH_LEN];
    struct store_log log;
    json_t *previous;

    switch (store->ops->last_log(store, host, NULL, &log, err)) {
    case STORE_FAILED:
        return NULL;
    case STORE_NONE:
        return json_null();
    case STORE_FOUND:
        break;
    }
    if (merkle_root(&log.tree, root, err) == -1)
        return NULL;
    uuid_format(&log.log_id, log_id);
    str_to_hex(root, sizeof(root), hex);
    log_info("ledger_previous_log", "log_id=%s size=%" PRId64 " root=%s",
             log_id, log.tree.size, hex);
    previous = json_pack("{s:s, s:I, s:s}", "log_id", log_id, "size",
                         (json_int_t)log.tree.size, "root", hex);
    if (previous == NULL)
        err_set(err, ERR_NOMEM, "log_opened entry");
    return previous;
}

static int
write_opened(struct logbook *book, const char *host, struct err *err)
{
    json_t *previous = describe_previous(book->store, host, err);

    if (previous == NULL)
        return -1;
    return write_own_take(book, ENTRY_LOG_OPENED,
                          json_pack("{s:s, s:o, s:i}", "host", host, "previous",
                                    previous, "scribe_pid", (int)getpid()),
                          err);
}

struct logbook *
logbook_open(struct store *store, const char *host, struct err *err)
{
    struct logbook *book = calloc(1, sizeof(*book));
    char log_id[UUID_TEXT_LEN];

    if (book == NULL) {
        err_set(err, ERR_NOMEM, "logbook");
        return NULL;
    }
    book->store = store;
    for (size_t i = 0; i < LOGBOOK_MAX_BATCH; i++)
        seal_init(&book->seals[i]);
    if (uuid_v7_new(&book->log_id, err) == -1 ||
        write_opened(book, host, err) == -1) {
        logbook_free(book);
        return NULL;
    }
    uuid_format(&book->log_id, log_id);
    log_info("ledger_log_opened", "log_id=%s", log_id);
    return book;
}

void
logbook_free(struct logbook *book)
{
    if (book == NULL)
        return;
    for (size_t i = 0; i < LOGBOOK_MAX_BATCH; i++)
        seal_close(&book->seals[i]);
    free(book);
}

int
logbook_close(struct logbook *book, struct err *err)
{
    char log_id[UUID_TEXT_LEN], hex[2 * ENTRY_HASH_LEN + 1];
    const int64_t size = book->tree.size;
    const int64_t *counts = book->kind_counts;
    uint8_t root[ENTRY_HASH_LEN];
    json_t *facts;

    if (merkle_root(&book->tree, root, err) == -1)
        return -1;
    str_to_hex(root, sizeof(root), hex);
    facts = json_pack("{s:I, s:s, s:{s:I, s:I, s:I, s:I}}", "size",
                      (json_int_t)size, "root", hex, "entries", "accepted",
                      (json_int_t)counts[ENTRY_ACCEPTED], "finished",
                      (json_int_t)counts[ENTRY_FINISHED], "left",
                      (json_int_t)counts[ENTRY_LEFT], "orphaned",
                      (json_int_t)counts[ENTRY_ORPHANED]);
    if (write_own_take(book, ENTRY_LOG_CLOSED, facts, err) == -1)
        return -1;
    uuid_format(&book->log_id, log_id);
    log_info("ledger_log_closed", "log_id=%s size=%" PRId64 " root=%s", log_id,
             size, hex);
    return 0;
}
