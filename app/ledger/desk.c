/* desk.c - see desk.h. */
#include "ledger/desk.h"

#include <string.h>

#include "base/clock.h"
#include "ledger/seal.h"
#include "sys/log.h"
#include "sys/sock.h"
#include "text/json.h"

#define MAX_FACTS_DEPTH  8
#define MISSES_TO_ORPHAN 2
#define QUIET_MS         1000 /* after a failed write, for orphans */
#define FIRST_PAUSE_MS   250
#define LONGEST_PAUSE_MS 1000 /* shorter than a caller waits at the door */

/* ---- runs and who claims them ------------------------------------------ */

static void
unclaim(struct run *run)
{
    run->owner->run = NULL;
    run->owner = NULL;
    run->misses = 0;
}

/* One run for each connection, one connection for each run; the newer claim
 * wins, as the older connection's worker must have moved on. */
static void
claim(struct run *run, struct link *link)
{
    if (run->owner != NULL)
        unclaim(run);
    if (link->run != NULL)
        unclaim(link->run);
    run->owner = link;
    link->run = run;
}

static void
end_run(struct desk *desk, const struct uuid *run_id)
{
    struct run *run = runs_find(desk->runs, run_id);

    if (run == NULL)
        return;
    if (run->owner != NULL)
        unclaim(run);
    runs_remove(desk->runs, run);
}

static int
add_left_open(void *arg, const struct uuid *run_id, struct err *err)
{
    struct desk *desk = arg;

    if (runs_add(desk->runs, run_id) == NULL)
        return err_set(err, ERR_LIMIT, "more than %d runs were left open",
                       RUNS_MAX);
    return 0;
}

int
desk_init(struct desk *desk, struct store *store, const char *host,
          struct logbook *book, const struct board *board, struct err *err)
{
    memset(desk, 0, sizeof(*desk));
    desk->store = store;
    desk->book = book;
    desk->board = board;
    desk->runs = runs_new(err);
    if (desk->runs == NULL)
        return -1;
    if (store->ops->open_runs(store, host, add_left_open, desk, err) == -1)
        return -1;
    if (runs_count(desk->runs) > 0)
        log_info("ledger_runs_open", "count=%zu", runs_count(desk->runs));
    return 0;
}

static void
drop_items(struct desk *desk)
{
    for (size_t i = 0; i < desk->item_count; i++)
        json_decref(desk->items[i].facts);
    desk->item_count = 0;
    desk->item_bytes = 0;
}

void
desk_close(struct desk *desk)
{
    drop_items(desk);
    runs_free(desk->runs);
    desk->runs = NULL;
}

void
desk_open_run(struct desk *desk, struct link *link, const struct uuid *run_id)
{
    struct run *run = runs_find(desk->runs, run_id);

    if (run != NULL) /* else it has its end already */
        claim(run, link);
}

void
desk_link_gone(struct desk *desk, struct link *link)
{
    (void)desk;
    if (link->run != NULL)
        unclaim(link->run);
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

/* ---- a store that fails ------------------------------------------------ */

/* Trying the same again may work: it is not the record's fault. */
static bool
may_heal(const struct err *err)
{
    return err->kind != ERR_INVALID && err->kind != ERR_LIMIT;
}

static void
back_off(struct desk *desk, const struct err *why)
{
    if (!desk->store_is_failing)
        log_error("ledger_write_failed",
                  "Audit log persistence failed, records wait: reason=%s",
                  why->text);
    desk->pause_ms =
        desk->store_is_failing ? desk->pause_ms * 2 : FIRST_PAUSE_MS;
    if (desk->pause_ms > LONGEST_PAUSE_MS)
        desk->pause_ms = LONGEST_PAUSE_MS;
    desk->store_is_failing = true;
    desk->retry_mono_ms = clock_mono_ms() + desk->pause_ms;
    desk->quiet_until_mono_ms = desk->retry_mono_ms;
}

static void
recover(struct desk *desk)
{
    if (desk->store_is_failing)
        log_info("ledger_writes_again", "records that waited are written");
    desk->store_is_failing = false;
    desk->retry_mono_ms = 0;
}

int64_t
desk_retry_mono_ms(const struct desk *desk)
{
    return desk->store_is_failing ? desk->retry_mono_ms : 0;
}

/* ---- deciding ---------------------------------------------------------- */

static bool
batch_has_run(const struct desk *desk, const struct uuid *run_id)
{
    for (size_t i = 0; i < desk->item_count; i++)
        if (memcmp(&desk->items[i].from.run_id, run_id, sizeof(*run_id)) == 0)
            return true;
    return false;
}

static bool
batch_is_full(const struct desk *desk)
{
    return desk->item_count == LOGBOOK_MAX_BATCH ||
           desk->item_bytes >= DESK_MAX_BATCH_BYTES;
}

static void
refuse(struct link *link, const struct frame_record *record, const char *reason)
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
    refuse(link, record, reason);
    return DESK_ANSWERED;
}

/* The store could not be asked. */
static enum desk_decision
ask_later(struct desk *desk, struct link *link,
          const struct frame_record *record, const struct err *why)
{
    if (!may_heal(why))
        return refuse_now(link, record, why->text);
    back_off(desk, why);
    return DESK_LATER;
}

static enum desk_decision
take(struct desk *desk, struct link *link, const struct frame *frame,
     const struct frame_record *record)
{
    struct desk_item *item = &desk->items[desk->item_count];
    struct err err = { 0 };

    item->facts =
        json_parse(record->facts, record->facts_len, MAX_FACTS_DEPTH, &err);
    if (item->facts == NULL)
        return refuse_now(link, record, err.text);
    item->link = link;
    item->from = *record;
    item->frame = *frame;
    desk->item_count++;
    desk->item_bytes += frame->whole_len;
    return DESK_TAKEN;
}

/* The record is there already: its clerk lost the answer. */
static enum desk_decision
answer_again(struct desk *desk, struct link *link,
             const struct frame_record *record,
             const struct entry_receipt *receipt)
{
    if (record->kind == ENTRY_ACCEPTED)
        desk_open_run(desk, link, &record->run_id);
    link_receipt(link, record->kind, &record->run_id, receipt);
    return DESK_ANSWERED;
}

static enum desk_decision
decide_accepted(struct desk *desk, struct link *link, const struct frame *frame,
                const struct frame_record *record)
{
    struct entry_receipt receipt;
    struct err err = { 0 };

    switch (desk->store->ops->find(desk->store, &record->run_id, ENTRY_ACCEPTED,
                                   &receipt, &err)) {
    case STORE_FOUND:
        return answer_again(desk, link, record, &receipt);
    case STORE_FAILED:
        return ask_later(desk, link, record, &err);
    case STORE_NONE:
        break;
    }
    if (runs_count(desk->runs) + desk->item_count >= RUNS_MAX)
        return refuse_now(link, record, "too many runs are open");
    return take(desk, link, frame, record);
}

static enum desk_decision
decide_finished(struct desk *desk, struct link *link, const struct frame *frame,
                const struct frame_record *record)
{
    struct store *store = desk->store;
    struct entry_receipt receipt;
    struct err err = { 0 };
    enum store_answer answer;

    if (runs_find(desk->runs, &record->run_id) != NULL) {
        desk_open_run(desk, link, &record->run_id);
        return take(desk, link, frame, record);
    }
    answer = store->ops->find(store, &record->run_id, ENTRY_FINISHED, &receipt,
                              &err);
    if (answer == STORE_FOUND)
        return answer_again(desk, link, record, &receipt);
    if (answer == STORE_NONE)
        answer = store->ops->find(store, &record->run_id, ENTRY_ORPHANED,
                                  &receipt, &err);
    if (answer == STORE_FAILED)
        return ask_later(desk, link, record, &err);
    return refuse_now(link, record,
                      answer == STORE_FOUND
                          ? "the run was recorded as orphaned before"
                          : "the run was never accepted");
}

static enum desk_decision
decide_left(struct desk *desk, struct link *link, const struct frame *frame,
            const struct frame_record *record)
{
    struct store *store = desk->store;
    struct entry_receipt receipt;
    struct err err = { 0 };
    enum store_answer answer =
        store->ops->find(store, &record->run_id, ENTRY_LEFT, &receipt, &err);

    if (answer == STORE_FOUND)
        return answer_again(desk, link, record, &receipt);
    if (answer == STORE_NONE)
        answer = store->ops->find(store, &record->run_id, ENTRY_FINISHED,
                                  &receipt, &err);
    if (answer == STORE_FAILED)
        return ask_later(desk, link, record, &err);
    if (answer == STORE_NONE)
        return refuse_now(link, record, "the run has not finished");
    return take(desk, link, frame, record);
}

enum desk_decision
desk_record(struct desk *desk, struct link *link, const struct frame *frame,
            struct err *err)
{
    struct frame_record record;

    if (frame_read_record(frame, &record, err) == -1)
        return DESK_BAD;
    /* While it waited for the store, its caller may have been turned away. */
    if (record.kind == ENTRY_ACCEPTED && sock_peer_is_gone(link->fd))
        return DESK_ANSWERED;
    if (batch_is_full(desk) || batch_has_run(desk, &record.run_id))
        return DESK_LATER;
    if (record.kind == ENTRY_ACCEPTED)
        return decide_accepted(desk, link, frame, &record);
    if (record.kind == ENTRY_LEFT)
        return decide_left(desk, link, frame, &record);
    return decide_finished(desk, link, frame, &record);
}

/* ---- orphans ----------------------------------------------------------- */

/* What the end of a run repeats of its beginning; a new object, or NULL. */
static json_t *
orphan_facts(const json_t *accepted)
{
    static const char *const repeated[] = { "started_at", "principal",
                                            "user_id", "flash_model",
                                            "pro_model" };
    json_t *facts =
        json_pack("{s:s, s:s}", "status", "orphaned", "reason", "worker_lost");

    for (size_t i = 0; facts != NULL && i < ARRAY_LEN(repeated); i++) {
        json_t *value = json_object_get(accepted, repeated[i]);
        const int set =
            value == NULL ? json_object_set_new(facts, repeated[i], json_null())
                          : json_object_set(facts, repeated[i], value);

        if (set == -1) {
            json_decref(facts);
            facts = NULL;
        }
    }
    return facts;
}

static json_t *
read_orphan_facts(struct desk *desk, const struct uuid *run_id, struct err *err)
{
    json_t *accepted = NULL;
    json_t *facts = NULL;
    struct buf body;

    buf_init(&body, SEAL_MAX_BODY_BYTES);
    if (desk->store->ops->read_body(desk->store, run_id, ENTRY_ACCEPTED, &body,
                                    err) == STORE_FOUND)
        accepted = json_parse(body.bytes, body.len, MAX_FACTS_DEPTH + 1, err);
    if (accepted != NULL) {
        facts = orphan_facts(accepted);
        if (facts == NULL)
            err_set(err, ERR_NOMEM, "facts of an orphan");
    }
    json_decref(accepted);
    buf_close(&body);
    return facts;
}

static void
take_orphan(struct desk *desk, const struct run *run)
{
    struct desk_item *item = &desk->items[desk->item_count];
    struct err err = { 0 };
    char run_id[UUID_TEXT_LEN];

    item->facts = read_orphan_facts(desk, &run->id, &err);
    if (item->facts != NULL) {
        item->link = NULL;
        item->from =
            (struct frame_record){ .kind = ENTRY_ORPHANED, .run_id = run->id };
        desk->item_count++;
        return;
    }
    uuid_format(&run->id, run_id);
    log_error("ledger_orphan_failed", "run_id=%s reason=%s", run_id, err.text);
    desk->quiet_until_mono_ms = clock_mono_ms() + QUIET_MS;
}

void
desk_check_runs(struct desk *desk)
{
    if (clock_mono_ms() < desk->quiet_until_mono_ms)
        return;
    for (struct run *run = runs_next(desk->runs, NULL); run != NULL;
         run = runs_next(desk->runs, run)) {
        if (run->owner != NULL)
            continue;
        if (board_has_job(desk->board, &run->id))
            run->misses = 0;
        else if (++run->misses >= MISSES_TO_ORPHAN && !batch_is_full(desk) &&
                 !batch_has_run(desk, &run->id))
            take_orphan(desk, run);
    }
}

/* ---- writing and answering --------------------------------------------- */

static void
note_orphan(const struct uuid *run_id)
{
    char text[UUID_TEXT_LEN];

    uuid_format(run_id, text);
    log_warn("ledger_run_orphaned", "run_id=%s reason=worker_lost", text);
}

static void
note_written(struct desk *desk, const struct desk_item *item,
             const struct entry_receipt *receipt)
{
    const struct uuid *run_id = &item->from.run_id;

    if (item->from.kind == ENTRY_ACCEPTED) {
        struct run *run = runs_add(desk->runs, run_id);

        if (run != NULL) /* decide_accepted() left room for it */
            claim(run, item->link);
    } else if (item->from.kind != ENTRY_LEFT) {
        end_run(desk, run_id);
    }
    if (item->link != NULL)
        link_receipt(item->link, item->from.kind, run_id, receipt);
    else
        note_orphan(run_id);
}

/* What stays on its link is brought again after the pause. */
static bool
stays(const struct desk_item *item, const struct logbook_result *result)
{
    return !result->written && item->link != NULL && may_heal(&result->err);
}

static void
note_failed(struct desk *desk, const struct desk_item *item,
            const struct err *why)
{
    log_error("ledger_write_failed",
              "Audit log persistence failed kind=%s reason=%s",
              entry_kind_name(item->from.kind), why->text);
    if (item->link != NULL)
        refuse(item->link, &item->from, why->text);
    else
        desk->quiet_until_mono_ms = clock_mono_ms() + QUIET_MS;
}

static void
settle(struct desk *desk, const struct logbook_result *results,
       struct desk_tally *tally)
{
    const struct err *healing = NULL;

    for (size_t i = 0; i < desk->item_count; i++) {
        const struct desk_item *item = &desk->items[i];

        if (results[i].written) {
            tally->written[item->from.kind]++;
            note_written(desk, item, &results[i].receipt);
        } else if (may_heal(&results[i].err)) {
            healing = &results[i].err;
        } else {
            note_failed(desk, item, &results[i].err);
        }
        if (item->link != NULL && !stays(item, &results[i]))
            link_pass(item->link, &item->frame);
    }
    tally->failed = healing != NULL;
    if (healing != NULL)
        back_off(desk, healing);
    else
        recover(desk);
}

struct desk_tally
desk_flush(struct desk *desk)
{
    struct entry_record records[LOGBOOK_MAX_BATCH];
    struct logbook_result results[LOGBOOK_MAX_BATCH];
    struct desk_tally tally = { .failed = false };
    const int64_t begin_mono_us = clock_mono_us();

    if (desk->item_count == 0)
        return tally;
    for (size_t i = 0; i < desk->item_count; i++) {
        const struct desk_item *item = &desk->items[i];

        records[i] =
            (struct entry_record){ .kind = item->from.kind,
                                   .run_id = item->from.run_id,
                                   .facts = item->facts,
                                   .parts = item->from.parts,
                                   .part_count = item->from.part_count };
    }
    logbook_write(desk->book, records, desk->item_count, results);
    tally.commit_us = clock_mono_us() - begin_mono_us;
    settle(desk, results, &tally);
    drop_items(desk);
    return tally;
}
