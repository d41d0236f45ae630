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
#include "text/jsonw.h"

#define GUARD_MS 10000
#define OPEN_MS  15000 /* longer than all attempts before the spool's */

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
    struct buf closing_facts;
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
write_own(struct logbook *book, enum entry_kind kind, const struct buf *facts,
          struct logbook_result *result, struct err *err)
{
    const struct entry_record record = { .kind = kind,
                                         .facts = facts->bytes,
                                         .facts_len = facts->len };
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

/* Looks for it; it stays unset when there is none. */
static int
find_previous(struct logbook *book, struct err *err)
{
    switch (vault_last_log(book->vault, &book->log_id, &book->previous, err)) {
    case STORE_FAILED:
        return -1;
    case STORE_NONE:
        break;
    case STORE_FOUND:
        book->has_previous = true;
        break;
    }
    return 0;
}

/* The member previous: {log_id, root, size}, or null. */
static int
describe_previous(const struct logbook *book, struct jsonw *facts,
                  struct err *err)
{
    const struct store_log *log = logbook_previous(book);
    char log_id[UUID_TEXT_LEN], hex[ENTRY_HASH_HEX_LEN + 1];
    uint8_t root[ENTRY_HASH_LEN];

    if (log == NULL) {
        jsonw_null(facts, "previous");
        return 0;
    }
    if (merkle_root(&log->tree, root, err) == -1)
        return -1;
    uuid_format(&log->log_id, log_id);
    str_to_hex(root, sizeof(root), hex);
    log_info("ledger_previous_log", "log_id=%s size=%" PRId64 " root=%s",
             log_id, log->tree.size, hex);
    jsonw_object(facts, "previous");
    jsonw_string(facts, "log_id", log_id);
    jsonw_string(facts, "root", hex);
    jsonw_int(facts, "size", log->tree.size);
    jsonw_end_object(facts);
    return 0;
}

/* Ends the object that the facts are. */
static int
end_facts(struct jsonw *facts, enum entry_kind kind, struct err *err)
{
    jsonw_end_object(facts);
    return jsonw_failed(facts)
               ? err_set(err, ERR_NOMEM, "%s entry", entry_kind_name(kind))
               : 0;
}

const struct store_log *
logbook_previous(const struct logbook *book)
{
    return book->has_previous ? &book->previous : NULL;
}

int
logbook_link_facts(struct logbook *book, struct buf *out, struct err *err)
{
    struct jsonw facts;

    if (book->linked)
        return 0;
    if (find_previous(book, err) == -1)
        return -1;
    if (!book->has_previous) {
        book->linked = true;
        return 0;
    }
    jsonw_init(&facts, out);
    jsonw_object(&facts, NULL);
    if (describe_previous(book, &facts, err) == -1)
        return -1;
    return end_facts(&facts, ENTRY_LOG_LINKED, err);
}

/* ---- the name ---------------------------------------------------------- */

/* No scribe of ours opens a log before this one is closed, and names of logs
 * rise with time.  The log before may have been named by a clock that was
 * ahead. */
static bool
is_strange(const struct logbook *book, const struct uuid *log_id)
{
    return memcmp(log_id, &book->log_id, sizeof(*log_id)) > 0 &&
           !uuid_equals(log_id, &book->previous.log_id);
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
static int
find_known(struct logbook *book, struct err *err)
{
    struct err why = { 0 };

    book->linked = vault_is_whole(book->vault);
    if (!book->linked || find_previous(book, &why) == 0)
        return 0;
    if (why.kind != ERR_SYSTEM)
        return err_set(err, why.kind, "%s", why.text);
    log_warn("ledger_link_later", "reason=%s", why.text);
    book->linked = false;
    return 0;
}

static int
opened_facts(struct logbook *book, const char *host, struct buf *out,
             struct err *err)
{
    struct jsonw facts;

    if (find_known(book, err) == -1)
        return -1;
    jsonw_init(&facts, out);
    jsonw_object(&facts, NULL);
    jsonw_string(&facts, "host", host);
    if (describe_previous(book, &facts, err) == -1)
        return -1;
    jsonw_bool(&facts, "previous_known", book->linked);
    jsonw_int(&facts, "scribe_pid", getpid());
    return end_facts(&facts, ENTRY_LOG_OPENED, err);
}

static int
write_opened(struct logbook *book, const char *host, struct err *err)
{
    const int64_t end_by_mono_ms = clock_mono_ms() + OPEN_MS;
    enum logbook_outcome outcome = LOGBOOK_BLAMED;
    struct logbook_result result;
    struct buf facts;

    buf_init(&facts, LOGBOOK_FACTS_BYTES);
    if (opened_facts(book, host, &facts, err) == -1)
        goto out;
    for (;;) {
        struct err why = { 0 };
        int64_t retry_mono_ms;

        outcome = write_own(book, ENTRY_LOG_OPENED, &facts, &result, &why);
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
out:
    buf_close(&facts);
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
    buf_init(&book->closing_facts, LOGBOOK_FACTS_BYTES);
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
    buf_close(&book->closing_facts);
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

static int
closed_facts(const struct logbook *book, struct buf *out, struct err *err)
{
    const int64_t *counts = book->kind_counts;
    char hex[ENTRY_HASH_HEX_LEN + 1];
    uint8_t root[ENTRY_HASH_LEN];
    struct jsonw facts;

    if (merkle_root(&book->tree, root, err) == -1)
        return -1;
    str_to_hex(root, sizeof(root), hex);
    jsonw_init(&facts, out);
    jsonw_object(&facts, NULL);
    jsonw_object(&facts, "entries");
    jsonw_int(&facts, "accepted", counts[ENTRY_ACCEPTED]);
    jsonw_int(&facts, "finished", counts[ENTRY_FINISHED]);
    jsonw_int(&facts, "left", counts[ENTRY_LEFT]);
    jsonw_int(&facts, "orphaned", counts[ENTRY_ORPHANED]);
    jsonw_end_object(&facts);
    jsonw_string(&facts, "root", hex);
    jsonw_int(&facts, "size", book->tree.size);
    return end_facts(&facts, ENTRY_LOG_CLOSED, err);
}

int
logbook_close(struct logbook *book, struct err *err)
{
    struct buf *facts = &book->closing_facts;
    char log_id[UUID_TEXT_LEN];

    if (facts->len == 0 && book->holding)
        return err_set(err, ERR_SYSTEM, "entries are still being written");
    if (facts->len == 0 && closed_facts(book, facts, err) == -1) {
        buf_clear(facts);
        return -1;
    }
    switch (
        write_own(book, ENTRY_LOG_CLOSED, facts, &book->closing_result, err)) {
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
