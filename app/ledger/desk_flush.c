/* desk_flush.c - see desk.h: what the scribe adds of its own, writing and
 * answering. */
#include "ledger/desk.h"

#include "base/clock.h"
#include "ledger/canon.h"
#include "ledger/claim.h"
#include "ledger/desk_inner.h"
#include "ledger/seal.h"
#include "sys/log.h"
#include "text/jsonw.h"

#define MISSES_TO_ORPHAN 2
#define LINK_PAUSE_MS    5000 /* after a failed attempt to name the log before */
#define QUIET_MS         1000  /* after a failed attempt, for orphans */
#define REFUSED_MS       60000 /* for one that was refused */

/* ---- orphans ----------------------------------------------------------- */

/* The facts of an orphan, in their order: what is said of it, or else repeated
 * from its beginning. */
static const struct {
    const char *name;
    const char *said;
} orphan_members[] = {
    { "flash_model", NULL }, { "principal", NULL },
    { "pro_model", NULL },   { "reason", "worker_lost" },
    { "started_at", NULL },  { "status", "orphaned" },
    { "user_id", NULL },
};

#define ORPHAN_MEMBERS ARRAY_LEN(orphan_members)

static int
read_accepted(const struct buf *body, struct canon_text told[ORPHAN_MEMBERS],
              struct err *err)
{
    struct canon_text key = { 0 };
    struct canon in;

    canon_init(&in, body->bytes, body->len);
    canon_object(&in);
    while (canon_next_key(&in, &key)) {
        struct canon_text value;

        canon_raw(&in, &value);
        for (size_t i = 0; i < ORPHAN_MEMBERS; i++)
            if (canon_key_is(&key, orphan_members[i].name))
                told[i] = value;
    }
    canon_end(&in);
    return canon_failed(&in) ? err_set(err, ERR_INVALID,
                                       "its accepted entry is not canonical")
                             : 0;
}

static int
write_orphan_facts(const struct buf *accepted, struct buf *out, struct err *err)
{
    struct canon_text told[ORPHAN_MEMBERS] = { { 0 } };
    struct jsonw facts;

    if (read_accepted(accepted, told, err) == -1)
        return -1;
    jsonw_init(&facts, out);
    jsonw_object(&facts, NULL);
    for (size_t i = 0; i < ORPHAN_MEMBERS; i++) {
        const char *name = orphan_members[i].name;
        const char *said = orphan_members[i].said;

        if (said != NULL || told[i].bytes == NULL)
            jsonw_string(&facts, name, said);
        else
            jsonw_raw(&facts, name, told[i].bytes, told[i].len);
    }
    jsonw_end_object(&facts);
    return jsonw_failed(&facts) ? err_set(err, ERR_NOMEM, "facts of an orphan")
                                : 0;
}

/* -1 on ERR_INVALID when the end of this run cannot be told. */
static int
read_orphan_facts(struct desk *desk, const struct uuid *run_id,
                  struct buf *facts, struct err *err)
{
    struct buf body;
    int result = -1;

    buf_init(&body, SEAL_MAX_BODY_BYTES);
    switch (vault_read_body(desk->vault, run_id, ENTRY_ACCEPTED, &body, err)) {
    case STORE_FOUND:
        result = write_orphan_facts(&body, facts, err);
        break;
    case STORE_NONE:
        err_set(err, ERR_INVALID,
                "its accepted entry is not there: see bad in the spool");
        break;
    case STORE_FAILED:
        break;
    }
    buf_close(&body);
    return result;
}

/* An entry of the scribe's own.  Takes over facts. */
static void
take_own(struct desk *desk, enum entry_kind kind, const struct uuid *run_id,
         struct buf *facts)
{
    struct desk_item *item = &desk->items[desk->item_count++];

    *item = (struct desk_item){ .from = { .kind = kind,
                                          .facts = facts->bytes,
                                          .facts_len = facts->len },
                                .own = *facts };
    if (run_id != NULL)
        item->from.run_id = *run_id;
}

static void
log_failed(const struct run *run, const struct err *why)
{
    char run_id[UUID_TEXT_LEN];

    uuid_format(&run->id, run_id);
    log_error("ledger_orphan_failed", "run_id=%s reason=%s", run_id, why->text);
}

/* Something is wrong with this one; somebody may put it right.  Told once. */
static void
put_off(struct run *run, const struct err *why)
{
    if (run->end_mono_ms == 0)
        log_failed(run, why);
    run->end_mono_ms = clock_mono_ms() + REFUSED_MS;
}

/* The first of a series of failures is told: it may last as long as the
 * database is away. */
static void
take_orphan(struct desk *desk, struct run *run)
{
    struct err err = { 0 };
    struct buf facts;

    buf_init(&facts, SEAL_MAX_BODY_BYTES);
    if (read_orphan_facts(desk, &run->id, &facts, &err) == 0) {
        take_own(desk, ENTRY_ORPHANED, &run->id, &facts);
        desk->quiet_until_mono_ms = 0;
        return;
    }
    buf_close(&facts);
    if (err.kind == ERR_INVALID) {
        put_off(run, &err);
        return;
    }
    if (desk->quiet_until_mono_ms == 0)
        log_failed(run, &err);
    desk->quiet_until_mono_ms = clock_mono_ms() + QUIET_MS;
}

/* Nobody claims it, and no worker has it. */
static void
end_lost_run(struct desk *desk, struct run *run)
{
    if (run->confirmed)
        take_orphan(desk, run);
    else if (desk->caught_up) /* the database does not say that it is open */
        claim_end_run(desk->runs, &run->id);
}

void
desk_check_runs(struct desk *desk)
{
    if (clock_mono_ms() < desk->quiet_until_mono_ms || desk_is_holding(desk))
        return;
    for (struct run *run = runs_next(desk->runs, NULL); run != NULL;
         run = runs_next(desk->runs, run)) {
        if (run->owner != NULL)
            continue;
        if (board_has_job(desk->board, &run->id))
            run->misses = 0;
        else if (++run->misses >= MISSES_TO_ORPHAN &&
                 clock_mono_ms() >= run->end_mono_ms &&
                 !desk_batch_is_full(desk) &&
                 !desk_batch_has_run(desk, &run->id))
            end_lost_run(desk, run);
    }
}

/* ---- catching up ------------------------------------------------------- */

static int
take_over_runs(struct desk *desk, struct err *err)
{
    if (desk->caught_up)
        return 0;
    if (vault_open_runs(desk->vault, desk_note_open_run, desk, err) == -1)
        return -1;
    desk->caught_up = true;
    log_info("ledger_caught_up", "open_runs=%zu", runs_count(desk->runs));
    return 0;
}

/* Whoever asks for the log before may wait in vain for what is still written to
 * it, and every attempt holds up the records meanwhile. */
static bool
may_link(const struct desk *desk)
{
    return !desk->linked && vault_is_whole(desk->vault) &&
           clock_mono_ms() >= desk->link_mono_ms;
}

static int
link_log(struct desk *desk, struct err *err)
{
    struct buf facts;

    buf_init(&facts, LOGBOOK_FACTS_BYTES);
    if (logbook_link_facts(desk->book, &facts, err) == -1) {
        buf_close(&facts);
        return -1;
    }
    if (facts.len > 0)
        take_own(desk, ENTRY_LOG_LINKED, NULL, &facts);
    desk->linked = true;
    return 0;
}

void
desk_catch_up(struct desk *desk)
{
    struct err err = { 0 };

    if ((desk->caught_up && desk->linked) || desk_is_holding(desk) ||
        desk_batch_is_full(desk) || !vault_is_clear(desk->vault))
        return;
    if (take_over_runs(desk, &err) == 0 && may_link(desk) &&
        link_log(desk, &err) == -1)
        desk->link_mono_ms = clock_mono_ms() + LINK_PAUSE_MS;
    if (err.kind != ERR_NONE)
        log_error("ledger_catch_up_failed", "reason=%s", err.text);
}

/* ---- writing and answering --------------------------------------------- */

bool
desk_is_holding(const struct desk *desk)
{
    return logbook_is_holding(desk->book);
}

static void
note_orphan(const struct uuid *run_id)
{
    char text[UUID_TEXT_LEN];

    uuid_format(run_id, text);
    log_warn("ledger_run_orphaned", "run_id=%s reason=worker_lost", text);
}

static void
note_accepted(struct desk *desk, const struct desk_item *item,
              const struct entry_receipt *receipt)
{
    struct run *run = runs_add(desk->runs, &item->from.run_id);
    struct key key = item->key;

    key.used_unix_us = receipt->recorded_unix_us;
    if (key.hash[0] != '\0')
        keys_add(desk->keys, &key);
    if (run == NULL) /* whoever took the record left room for it */
        return;
    run->confirmed = true;
    claim_run(run, item->link);
}

static void
note_written(struct desk *desk, const struct desk_item *item,
             const struct entry_receipt *receipt)
{
    const enum entry_kind kind = item->from.kind;
    const struct uuid *run_id = &item->from.run_id;

    if (kind == ENTRY_ACCEPTED)
        note_accepted(desk, item, receipt);
    if (kind == ENTRY_FINISHED || kind == ENTRY_ORPHANED)
        claim_end_run(desk->runs, run_id);
    if (kind == ENTRY_FINISHED)
        item->link->finished_run = *run_id;
    if (kind == ENTRY_ORPHANED)
        note_orphan(run_id);
    if (item->link != NULL)
        link_receipt(item->link, kind, run_id, receipt);
}

static void
note_failed(struct desk *desk, const struct desk_item *item,
            const struct err *why)
{
    struct run *run = runs_find(desk->runs, &item->from.run_id);

    if (item->from.kind == ENTRY_ORPHANED && run != NULL) {
        put_off(run, why);
        return;
    }
    /* Another host may have taken its idempotency key a moment ago. */
    if (item->link != NULL && item->from.kind == ENTRY_ACCEPTED &&
        desk_refuse_taken(desk, item))
        return;
    log_error("ledger_write_failed",
              "Audit log persistence failed kind=%s reason=%s",
              entry_kind_name(item->from.kind), why->text);
    if (item->link != NULL)
        desk_refuse(item->link, &item->from, why->text);
}

static void
settle(struct desk *desk, struct desk_tally *tally)
{
    for (size_t i = 0; i < desk->item_count; i++) {
        const struct desk_item *item = &desk->items[i];
        const struct logbook_result *result = &desk->results[i];

        if (result->written) {
            tally->written[item->from.kind]++;
            tally->spooled += result->receipt.state == ENTRY_SPOOLED;
            note_written(desk, item, &result->receipt);
        } else {
            note_failed(desk, item, &result->err);
        }
        if (item->link != NULL)
            link_pass(item->link, &item->frame);
    }
}

/* False while some of them are held. */
static bool
write_batch(struct desk *desk, const struct entry_record *records)
{
    struct halving *halving = &desk->halving;
    size_t count;

    while ((count = halving_part(halving)) > 0) {
        const size_t at = halving->done;
        struct err err = { 0 };

        switch (logbook_write(desk->book, records + at, count,
                              desk->results + at, &err)) {
        case LOGBOOK_HELD:
            return false;
        case LOGBOOK_WRITTEN:
            halving_taken(halving);
            break;
        case LOGBOOK_BLAMED:
            if (halving_refused(halving))
                desk->results[at].err = err;
            break;
        }
    }
    return true;
}

void
desk_drop_items(struct desk *desk)
{
    for (size_t i = 0; i < desk->item_count; i++)
        buf_close(&desk->items[i].own);
    desk->item_count = 0;
    desk->item_bytes = 0;
}

struct desk_tally
desk_flush(struct desk *desk)
{
    struct entry_record records[LOGBOOK_MAX_BATCH];
    struct desk_tally tally = { .commit_us = 0 };

    if (desk->item_count == 0)
        return tally;
    if (!desk_is_holding(desk)) {
        desk->begin_mono_us = clock_mono_us();
        halving_begin(&desk->halving, desk->item_count);
    }
    for (size_t i = 0; i < desk->item_count; i++) {
        const struct desk_item *item = &desk->items[i];

        records[i] =
            (struct entry_record){ .kind = item->from.kind,
                                   .run_id = item->from.run_id,
                                   .facts = item->from.facts,
                                   .facts_len = item->from.facts_len,
                                   .parts = item->from.parts,
                                   .part_count = item->from.part_count };
    }
    if (!write_batch(desk, records))
        return tally;
    tally.commit_us = clock_mono_us() - desk->begin_mono_us;
    settle(desk, &tally);
    desk_drop_items(desk);
    return tally;
}
