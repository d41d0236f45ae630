/* logbook.c - see logbook.h. */
#include "ledger/logbook.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "ledger/seal.h"
#include "ledger/vault.h"
#include "sys/fd.h"
#include "sys/log.h"

#define GUARD_MS 10000
#define OPEN_MS  15000 /* longer than all attempts before the spool's turn */

struct logbook {
    struct vault *vault; /* borrowed */
    struct uuid log_id;
    struct merkle tree; /* of what is durable; its size is the next idx */
    int64_t kind_counts[ENTRY_KIND_COUNT];
    bool linked; /* to the log before, or there is none */
    bool has_previous;
    struct store_log previous;

    /* A log that was opened in our name after this one. */
    struct uuid stranger;
    int64_t guard_mono_ms; /* looked for again then */

    /* The batch that is being written. */
    struct seal seals[LOGBOOK_MAX_BATCH];
    const struct seal *entries[LOGBOOK_MAX_BATCH];
    size_t entry_count;
    struct merkle next_tree;
    bool holding;

    /* log_closed, from its first attempt on. */
    json_t *closing_facts;
    struct logbook_result closing_result;
};

/* ---- writing ----------------------------------------------------------- */

/* Seals what can be sealed, one after the other from the next idx on. */
static void
seal_all(struct logbook *book, const struct entry_record *records, size_t count,
         struct logbook_result *results)
{
    const int64_t now_unix_us = clock_unix_us();

    book->entry_count = 0;
    book->next_tree = book->tree;
    for (size_t i = 0; i < count; i++) {
        struct seal *seal = &book->seals[i];
        const struct seal_place place = { .log_id = book->log_id,
                                          .idx = book->next_tree.size,
                                          .recorded_unix_us = now_unix_us };

        results[i] = (struct logbook_result){ .written = false };
        if (seal_record(seal, &records[i], &place, &results[i].err) == 0 &&
            merkle_append(&book->next_tree, seal->leaf_hash, &results[i].err) ==
                0)
            book->entries[book->entry_count++] = seal;
    }
}

static void
note_written(struct logbook *book, const struct entry_record *records,
             size_t count, struct logbook_result *results,
             enum entry_state state)
{
    book->tree = book->next_tree;
    for (size_t i = 0; i < count; i++) {
        if (results[i].err.kind != ERR_NONE)
            continue;
        results[i].written = true;
        results[i].receipt = seal_receipt(&book->seals[i]);
        results[i].receipt.state = state;
        book->kind_counts[records[i].kind]++;
        if (records[i].kind == ENTRY_LOG_LINKED)
            book->linked = true;
    }
}

enum logbook_outcome
logbook_write(struct logbook *book, const struct entry_record *records,
              size_t count, struct logbook_result *results, struct err *err)
{
    enum vault_outcome outcome = VAULT_COMMITTED;

    assert(count <= LOGBOOK_MAX_BATCH);
    if (!book->holding)
        seal_all(book, records, count, results);
    if (book->entry_count > 0)
        outcome =
            vault_write(book->vault, book->entries, book->entry_count, err);
    book->holding = outcome == VAULT_HELD;
    switch (outcome) {
    case VAULT_HELD:
        return LOGBOOK_HELD;
    case VAULT_BLAMED:
        return LOGBOOK_BLAMED;
    case VAULT_COMMITTED:
        note_written(book, records, count, results, ENTRY_COMMITTED);
        break;
    case VAULT_SPOOLED:
        note_written(book, records, count, results, ENTRY_SPOOLED);
        break;
    }
    return LOGBOOK_WRITTEN;
}

bool
logbook_is_holding(const struct logbook *book)
{
    return book->holding;
}

/* One attempt at an entry about the log itself. */
static enum logbook_outcome
write_own(struct logbook *book, enum entry_kind kind, const json_t *facts,
          struct logbook_result *result, struct err *err)
{
    const struct entry_record record = { .kind = kind, .facts = facts };
    enum logbook_outcome outcome = logbook_write(book, &record, 1, result, err);

    if (outcome == LOGBOOK_WRITTEN && !result->written) {
        err_set(err, result->err.kind, "%s", result->err.text);
        outcome = LOGBOOK_BLAMED;
    }
    if (outcome == LOGBOOK_BLAMED)
        err_prefix(err, "%s", entry_kind_name(kind));
    return outcome;
}

/* ---- the log before ---------------------------------------------------- */

/* {log_id, size, root} of a log; a new reference, or NULL. */
static json_t *
describe_log(const struct store_log *log, struct err *err)
{
    char log_id[UUID_TEXT_LEN], hex[2 * ENTRY_HASH_LEN + 1];
    uint8_t root[ENTRY_HASH_LEN];
    json_t *object;

    if (merkle_root(&log->tree, root, err) == -1)
        return NULL;
    uuid_format(&log->log_id, log_id);
    str_to_hex(root, sizeof(root), hex);
    log_info("ledger_previous_log", "log_id=%s size=%" PRId64 " root=%s",
             log_id, log->tree.size, hex);
    object = json_pack("{s:s, s:I, s:s}", "log_id", log_id, "size",
                       (json_int_t)log->tree.size, "root", hex);
    if (object == NULL)
        err_set(err, ERR_NOMEM, "description of a log");
    return object;
}

/* The same of the log before, or JSON null when there is none. */
static json_t *
describe_previous(struct logbook *book, struct err *err)
{
    switch (vault_last_log(book->vault, &book->log_id, &book->previous, err)) {
    case STORE_FAILED:
        return NULL;
    case STORE_NONE:
        return json_null();
    case STORE_FOUND:
        break;
    }
    book->has_previous = true;
    return describe_log(&book->previous, err);
}

const struct store_log *
logbook_previous(const struct logbook *book)
{
    return book->has_previous ? &book->previous : NULL;
}

json_t *
logbook_link_facts(struct logbook *book, struct err *err)
{
    json_t *previous, *facts;

    if (book->linked)
        return json_null();
    previous = describe_previous(book, err);
    if (previous == NULL)
        return NULL;
    if (json_is_null(previous)) {
        book->linked = true;
        return previous;
    }
    facts = json_pack("{s:o}", "previous", previous);
    if (facts == NULL)
        err_set(err, ERR_NOMEM, "log_linked entry");
    return facts;
}

/* ---- the name ---------------------------------------------------------- */

/* No scribe of ours opens a log before this one is closed, and names of logs
 * rise with time.  The log before may have been named by a clock that was
 * ahead. */
static bool
is_strange(const struct logbook *book, const struct uuid *log_id)
{
    return memcmp(log_id, &book->log_id, sizeof(*log_id)) > 0 &&
           memcmp(log_id, &book->previous.log_id, sizeof(*log_id)) != 0;
}

void
logbook_guard_name(struct logbook *book)
{
    const int64_t now_mono_ms = clock_mono_ms();
    char text[UUID_TEXT_LEN];
    struct uuid newest;

    if (now_mono_ms < book->guard_mono_ms || !book->linked || book->holding ||
        !vault_is_clear(book->vault))
        return;
    book->guard_mono_ms = now_mono_ms + GUARD_MS;
    if (vault_newest_log(book->vault, &book->log_id, &newest, NULL) !=
            STORE_FOUND ||
        !is_strange(book, &newest) || uuid_equals(&newest, &book->stranger))
        return;
    book->stranger = newest;
    uuid_format(&newest, text);
    log_error("ledger_name_taken",
              "another service keeps the log %s in this ledger under our name, "
              "%s, and each takes the other's runs for lost ones: give each an "
              "INSTANCE_NAME of its own and restart both",
              text, book->vault->host);
}

/* ---- opening and closing ----------------------------------------------- */

/* The log before, as a log that begins knows it.  What the database cannot say
 * now is told later, by log_linked. */
static json_t *
describe_known(struct logbook *book, struct err *err)
{
    struct err why = { 0 };
    json_t *previous;

    book->linked = vault_is_whole(book->vault);
    if (!book->linked)
        return json_null();
    previous = describe_previous(book, &why);
    if (previous != NULL)
        return previous;
    if (why.kind != ERR_SYSTEM) {
        err_set(err, why.kind, "%s", why.text);
        return NULL;
    }
    log_warn("ledger_link_later", "reason=%s", why.text);
    book->linked = false;
    return json_null();
}

/* A new object, or NULL. */
static json_t *
opened_facts(struct logbook *book, const char *host, struct err *err)
{
    json_t *previous = describe_known(book, err);
    json_t *facts;

    if (previous == NULL)
        return NULL;
    facts = json_pack("{s:s, s:o, s:b, s:i}", "host", host, "previous",
                      previous, "previous_known", book->linked ? 1 : 0,
                      "scribe_pid", (int)getpid());
    if (facts == NULL)
        err_set(err, ERR_NOMEM, "log_opened entry");
    return facts;
}

static int
write_opened(struct logbook *book, const char *host, struct err *err)
{
    const int64_t end_by_mono_ms = clock_mono_ms() + OPEN_MS;
    json_t *facts = opened_facts(book, host, err);
    enum logbook_outcome outcome = LOGBOOK_BLAMED;
    struct logbook_result result;

    while (facts != NULL) {
        struct err why = { 0 };
        int64_t retry_mono_ms;

        outcome = write_own(book, ENTRY_LOG_OPENED, facts, &result, &why);
        if (outcome == LOGBOOK_WRITTEN)
            break;
        if (outcome == LOGBOOK_BLAMED || clock_mono_ms() >= end_by_mono_ms) {
            err_set(err, why.kind != ERR_NONE ? why.kind : ERR_SYSTEM, "%s",
                    why.text);
            break;
        }
        retry_mono_ms = vault_retry_mono_ms(book->vault);
        fd_wait(-1, 0,
                retry_mono_ms < end_by_mono_ms ? retry_mono_ms
                                               : end_by_mono_ms);
    }
    json_decref(facts);
    return outcome == LOGBOOK_WRITTEN ? 0 : -1;
}

struct logbook *
logbook_open(struct vault *vault, const char *host, struct err *err)
{
    struct logbook *book = calloc(1, sizeof(*book));
    char log_id[UUID_TEXT_LEN];

    if (book == NULL) {
        err_set(err, ERR_NOMEM, "logbook");
        return NULL;
    }
    book->vault = vault;
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
    json_decref(book->closing_facts);
    free(book);
}

const struct merkle *
logbook_tree(const struct logbook *book)
{
    return &book->tree;
}

const struct uuid *
logbook_id(const struct logbook *book)
{
    return &book->log_id;
}

/* A new object, or NULL. */
static json_t *
closed_facts(const struct logbook *book, struct err *err)
{
    const int64_t *counts = book->kind_counts;
    char hex[2 * ENTRY_HASH_LEN + 1];
    uint8_t root[ENTRY_HASH_LEN];
    json_t *facts;

    if (merkle_root(&book->tree, root, err) == -1)
        return NULL;
    str_to_hex(root, sizeof(root), hex);
    facts = json_pack("{s:I, s:s, s:{s:I, s:I, s:I, s:I}}", "size",
                      (json_int_t)book->tree.size, "root", hex, "entries",
                      "accepted", (json_int_t)counts[ENTRY_ACCEPTED],
                      "finished", (json_int_t)counts[ENTRY_FINISHED], "left",
                      (json_int_t)counts[ENTRY_LEFT], "orphaned",
                      (json_int_t)counts[ENTRY_ORPHANED]);
    if (facts == NULL)
        err_set(err, ERR_NOMEM, "log_closed entry");
    return facts;
}

int
logbook_close(struct logbook *book, struct err *err)
{
    char log_id[UUID_TEXT_LEN];

    if (book->closing_facts == NULL && book->holding)
        return err_set(err, ERR_SYSTEM, "entries are still being written");
    if (book->closing_facts == NULL)
        book->closing_facts = closed_facts(book, err);
    if (book->closing_facts == NULL)
        return -1;
    switch (write_own(book, ENTRY_LOG_CLOSED, book->closing_facts,
                      &book->closing_result, err)) {
    case LOGBOOK_WRITTEN:
        break;
    case LOGBOOK_HELD:
        return err_set(err, ERR_SYSTEM, "log_closed waits for the database");
    case LOGBOOK_BLAMED:
        return -1;
    }
    uuid_format(&book->log_id, log_id);
    log_info("ledger_log_closed", "log_id=%s size=%" PRId64, log_id,
             book->tree.size);
    return 0;
}
