/* desk.c - see desk.h: taking records in. */
#include "ledger/desk.h"

#include <string.h>

#include "base/clock.h"
#include "ledger/claim.h"
#include "ledger/desk_inner.h"
#include "sys/log.h"
#include "sys/sock.h"

/* ---- beginning and end -------------------------------------------------- */

static struct run *
find_or_add(struct desk *desk, const struct uuid *run_id, struct err *err)
{
    struct run *run = runs_find(desk->runs, run_id);

    if (run == NULL)
        run = runs_add(desk->runs, run_id);
    if (run == NULL)
        err_set(err, ERR_LIMIT, "more than %d runs were left open", RUNS_MAX);
    return run;
}

int
desk_note_open_run(void *arg, const struct uuid *run_id, struct err *err)
{
    struct run *run = find_or_add(arg, run_id, err);

    if (run == NULL)
        return -1;
    run->confirmed = true;
    return 0;
}

/* A file that was committed and came back, by a power cut or since it could not
 * be removed, speaks of runs that have their end in the database. */
static int
note_spooled_run(void *arg, const struct uuid *run_id, struct err *err)
{
    return find_or_add(arg, run_id, err) != NULL ? 0 : -1;
}

int
desk_note_spooled_key(void *arg, const struct seal *entry, struct err *err)
{
    struct keys *keys = arg;
    struct key key = { .run_id = entry->run_id,
                       .used_unix_us = entry->place.recorded_unix_us };

    (void)err;
    if (entry->kind == ENTRY_ACCEPTED &&
        keys_read(entry->body.bytes, entry->body.len, &key, NULL) == 0 &&
        key.hash[0] != '\0')
        keys_add(keys, &key);
    return 0;
}

int
desk_init(struct desk *desk, const struct desk_config *config, struct err *err)
{
    struct vault *vault = config->vault;

    memset(desk, 0, sizeof(*desk));
    desk->vault = vault;
    desk->book = config->book;
    desk->board = config->board;
    desk->keys = config->keys;
    desk->began_mono_ms = clock_mono_ms();
    desk->runs = runs_new(err);
    if (desk->runs == NULL ||
        spool_open_runs(vault->spool, note_spooled_run, desk, err) == -1)
        return -1;
    if (vault_is_clear(vault)) {
        if (vault_open_runs(vault, desk_note_open_run, desk, err) == -1)
            return -1;
        desk->caught_up = true;
    }
    if (runs_count(desk->runs) > 0)
        log_info("ledger_runs_open", "count=%zu", runs_count(desk->runs));
    return 0;
}

void
desk_close(struct desk *desk)
{
    desk_drop_items(desk);
    runs_free(desk->runs);
    desk->runs = NULL;
}

void
desk_open_run(struct desk *desk, struct link *link, const struct uuid *run_id)
{
    struct run *run = runs_find(desk->runs, run_id);

    if (run == NULL && !desk->caught_up)
        run = runs_add(desk->runs, run_id); /* accepted before our time */
    if (run != NULL)                        /* else it has its end already */
        claim_run(run, link);
}

void
desk_link_gone(struct link *link)
{
    if (link->run != NULL)
        claim_release(link->run);
}

bool
desk_has_unclaimed(const struct desk *desk)
{
    for (const struct run *run = runs_next(desk->runs, NULL); run != NULL;
         run = runs_next(desk->runs, run))
        if (run->owner == NULL)
            return true;
    return false;
}

/* ---- idempotency keys ---------------------------------------------------- */

/* Whose is the key?  False when it is nobody's, as far as can be known now. */
static bool
find_holder(struct desk *desk, const struct key *wanted,
            struct entry_holder *holder)
{
    const int64_t now_unix_us = clock_unix_us();
    const struct key *known = keys_find(desk->keys, wanted->hash, now_unix_us);
    struct store_key stored;
    struct err err = { 0 };

    if (known != NULL) {
        *holder = (struct entry_holder){
            .run_id = known->run_id,
            .same_request =
                strcmp(known->request_hash, wanted->request_hash) == 0,
            .ended = runs_find(desk->runs, &known->run_id) == NULL,
        };
        return true;
    }
    if (vault_find_key(desk->vault, wanted->hash,
                       keys_horizon_unix_us(desk->keys, now_unix_us), &stored,
                       &err) != STORE_FOUND)
        return false;
    *holder = (struct entry_holder){
        .run_id = stored.run_id,
        .same_request = strcmp(stored.request_hash, wanted->request_hash) == 0,
        .ended = stored.ended,
    };
    return true;
}

bool
desk_refuse_taken(struct desk *desk, const struct desk_item *item)
{
    struct entry_holder holder;

    if (item->key.hash[0] == '\0' || !find_holder(desk, &item->key, &holder))
        return false;
    link_taken(item->link, item->from.kind, &item->from.run_id, &holder);
    return true;
}

/* Does another record of the batch name the key of this, the last one? */
static bool
batch_has_key(const struct desk *desk, const struct desk_item *item)
{
    const char *hash = item->key.hash;

    for (size_t i = 0; hash[0] != '\0' && i + 1 < desk->item_count; i++)
        if (strcmp(desk->items[i].key.hash, hash) == 0)
            return true;
    return false;
}

/* ---- deciding ---------------------------------------------------------- */

bool
desk_batch_has_run(const struct desk *desk, const struct uuid *run_id)
{
    for (size_t i = 0; i < desk->item_count; i++)
        if (uuid_equals(&desk->items[i].from.run_id, run_id))
            return true;
    return false;
}

bool
desk_batch_is_full(const struct desk *desk)
{
    return desk->item_count == LOGBOOK_MAX_BATCH ||
           desk->item_bytes >= DESK_MAX_BATCH_BYTES;
}

void
desk_refuse(struct link *link, const struct frame_record *record,
            const char *reason)
{
    char run_id[UUID_TEXT_LEN];

    uuid_format(&record->run_id, run_id);
    log_warn("ledger_record_refused", "run_id=%s kind=%s reason=%s", run_id,
             entry_kind_name(record->kind), reason);
    link_refusal(link, record->kind, &record->run_id, reason);
}

static enum desk_decision
refuse_now(struct link *link, const struct frame_record *record,
           const char *reason)
{
    desk_refuse(link, record, reason);
    return DESK_ANSWERED;
}

/* Nobody can say now: the clerk waits for as long as it wants to. */
static enum desk_decision
ask_later(struct link *link, const struct frame_record *record,
          const struct err *why)
{
    if (why->kind == ERR_INVALID || why->kind == ERR_LIMIT)
        return refuse_now(link, record, why->text);
    return DESK_LATER;
}

static struct desk_item *
add_item(struct desk *desk, struct link *link, const struct frame *frame,
         const struct frame_record *record)
{
    struct desk_item *item = &desk->items[desk->item_count++];

    *item =
        (struct desk_item){ .link = link, .from = *record, .frame = *frame };
    desk->item_bytes += frame->whole_len;
    return item;
}

/* Whether its facts can be an entry's is found out when it is sealed. */
static enum desk_decision
take(struct desk *desk, struct link *link, const struct frame *frame,
     const struct frame_record *record)
{
    add_item(desk, link, frame, record);
    return DESK_TAKEN;
}

static enum desk_decision
untake(struct desk *desk, enum desk_decision instead)
{
    desk->item_bytes -= desk->items[--desk->item_count].frame.whole_len;
    return instead;
}

/* The end of a run, submitted at any time. */
static enum store_answer
find_end(struct desk *desk, const struct uuid *run_id, struct err *err)
{
    const struct frame_record any = { .run_id = *run_id };
    struct entry_receipt receipt;
    enum store_answer answer =
        vault_find(desk->vault, &any, ENTRY_FINISHED, &receipt, err);

    if (answer == STORE_NONE)
        answer = vault_find(desk->vault, &any, ENTRY_ORPHANED, &receipt, err);
    return answer;
}

/* The scribe before us accepted it, and the transaction that did so may have
 * ended after we asked which runs are open. */
static enum desk_decision
answer_accepted_again(struct desk *desk, struct link *link,
                      const struct frame_record *record,
                      const struct entry_receipt *receipt)
{
    struct err err = { 0 };

    if (desk->caught_up && runs_find(desk->runs, &record->run_id) == NULL)
        switch (find_end(desk, &record->run_id, &err)) {
        case STORE_FAILED:
            return ask_later(link, record, &err);
        case STORE_NONE:
            if (desk_note_open_run(desk, &record->run_id, &err) == -1)
                return refuse_now(link, record, err.text);
            break;
        case STORE_FOUND:
            break;
        }
    desk_open_run(desk, link, &record->run_id);
    link_receipt(link, record->kind, &record->run_id, receipt);
    return DESK_ANSWERED;
}

/* The record is there already: its clerk lost the answer. */
static enum desk_decision
answer_again(struct link *link, const struct frame_record *record,
             const struct entry_receipt *receipt)
{
    link_receipt(link, record->kind, &record->run_id, receipt);
    return DESK_ANSWERED;
}

/* The scribe before us may have got it. */
static bool
is_of_before(const struct desk *desk, const struct frame_record *record)
{
    return record->submitted_mono_ms <= desk->began_mono_ms;
}

static enum desk_decision
take_accepted(struct desk *desk, struct link *link, const struct frame *frame,
              const struct frame_record *record)
{
    struct key key = { .run_id = record->run_id };
    struct desk_item *item;
    struct err err = { 0 };

    if (keys_read(record->facts, record->facts_len, &key, &err) == -1)
        return refuse_now(link, record, err.text);
    item = add_item(desk, link, frame, record);
    item->key = key;
    if (batch_has_key(desk, item))
        return untake(desk, DESK_LATER); /* it will be known whose it is */
    if (desk_refuse_taken(desk, item))
        return untake(desk, DESK_ANSWERED);
    return DESK_TAKEN;
}

static enum desk_decision
decide_accepted(struct desk *desk, struct link *link, const struct frame *frame,
                const struct frame_record *record)
{
    struct entry_receipt receipt;
    struct err err = { 0 };

    if (is_of_before(desk, record) ||
        runs_find(desk->runs, &record->run_id) != NULL)
        switch (
            vault_find(desk->vault, record, ENTRY_ACCEPTED, &receipt, &err)) {
        case STORE_FOUND:
            return answer_accepted_again(desk, link, record, &receipt);
        case STORE_FAILED:
            return ask_later(link, record, &err);
        case STORE_NONE:
            break;
        }
    if (runs_count(desk->runs) + desk->item_count >= RUNS_MAX)
        return refuse_now(link, record, "too many runs are open");
    return take_accepted(desk, link, frame, record);
}

static enum desk_decision
decide_finished(struct desk *desk, struct link *link, const struct frame *frame,
                const struct frame_record *record)
{
    const struct run *run = runs_find(desk->runs, &record->run_id);
    struct vault *vault = desk->vault;
    struct entry_receipt receipt;
    struct err err = { 0 };
    enum store_answer answer;

    /* Believed to be open only because its clerk says so, it may have got this
     * very end from the scribe before us. */
    if (run != NULL && (run->confirmed || !is_of_before(desk, record))) {
        desk_open_run(desk, link, &record->run_id);
        return take(desk, link, frame, record);
    }
    answer = vault_find(vault, record, ENTRY_FINISHED, &receipt, &err);
    if (answer == STORE_FOUND) {
        claim_end_run(desk->runs, &record->run_id);
        return answer_again(link, record, &receipt);
    }
    if (answer == STORE_NONE)
        answer = vault_find(vault, record, ENTRY_ORPHANED, &receipt, &err);
    if (answer == STORE_FAILED)
        return ask_later(link, record, &err);
    if (answer == STORE_NONE && run != NULL)
        return take(desk, link, frame, record);
    return refuse_now(link, record,
                      answer == STORE_FOUND
                          ? "the run was recorded as orphaned before"
                          : "the run was never accepted");
}

/* `left` comes on the connection that `finished` came on, unless a scribe has
 * died in between. */
static bool
has_finished_here(const struct link *link, const struct frame_record *record)
{
    return uuid_equals(&link->finished_run, &record->run_id);
}

static enum desk_decision
decide_left(struct desk *desk, struct link *link, const struct frame *frame,
            const struct frame_record *record)
{
    const struct frame_record finished = { .run_id = record->run_id };
    struct vault *vault = desk->vault;
    struct entry_receipt receipt;
    struct err err = { 0 };
    enum store_answer answer;

    if (has_finished_here(link, record))
        return take(desk, link, frame, record);
    answer = vault_find(vault, record, ENTRY_LEFT, &receipt, &err);
    if (answer == STORE_FOUND)
        return answer_again(link, record, &receipt);
    if (answer == STORE_NONE) /* which was submitted at any time before */
        answer = vault_find(vault, &finished, ENTRY_FINISHED, &receipt, &err);
    if (answer == STORE_FAILED)
        return ask_later(link, record, &err);
    if (answer == STORE_NONE)
        return refuse_now(link, record, "the run has not finished");
    return take(desk, link, frame, record);
}

static enum desk_decision
decide_admin(struct desk *desk, struct link *link, const struct frame *frame,
             const struct frame_record *record)
{
    struct entry_receipt receipt;
    struct err err = { 0 };

    if (is_of_before(desk, record))
        switch (vault_find(desk->vault, record, ENTRY_ADMIN, &receipt, &err)) {
        case STORE_FOUND:
            return answer_again(link, record, &receipt);
        case STORE_FAILED:
            return ask_later(link, record, &err);
        case STORE_NONE:
            break;
        }
    return take(desk, link, frame, record);
}

enum desk_decision
desk_record(struct desk *desk, struct link *link, const struct frame *frame,
            struct err *err)
{
    struct frame_record record;

    if (frame_read_record(frame, &record, err) == -1)
        return DESK_BAD;
    if (desk_batch_has_run(desk, &record.run_id))
        return DESK_LATER; /* the batch may hold this very frame */
    /* While it waited, its caller may have been turned away. */
    if (record.kind == ENTRY_ACCEPTED && sock_peer_is_gone(link->fd))
        return DESK_ANSWERED;
    if (record.kind == ENTRY_ACCEPTED && !vault_takes_runs(desk->vault))
        return refuse_now(link, &record, "the ledger takes no new runs now");
    if (desk_is_holding(desk) || desk_batch_is_full(desk))
        return DESK_LATER;
    if (record.kind == ENTRY_ACCEPTED)
        return decide_accepted(desk, link, frame, &record);
    if (record.kind == ENTRY_LEFT)
        return decide_left(desk, link, frame, &record);
    if (record.kind == ENTRY_ADMIN)
        return decide_admin(desk, link, frame, &record);
    return decide_finished(desk, link, frame, &record);
}
