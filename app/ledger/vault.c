/* vault.c - see vault.h. */
#include "ledger/vault.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "client/crypto.h"
#include "ledger/halving.h"
#include "ledger/vault_inner.h"
#include "sys/log.h"

#define CHECK_MS       10000
#define LOOK_MS        1000 /* for somebody who asks for an attempt now */
#define SPOOL_RETRY_MS 1000
#define DRAIN_MS       20 /* of a turn, so that newcomers do not wait for all */
#define DRAIN_AT_LEAST 2  /* batches in a turn, which may add one */

/* ---- the database ------------------------------------------------------ */

/* Trying the same again may work: it is not an entry's fault. */
static bool
may_heal(const struct err *err)
{
    return err->kind != ERR_INVALID && err->kind != ERR_LIMIT;
}

static int
jitter(void)
{
    uint8_t byte = 0;

    if (crypto_random(&byte, sizeof(byte), NULL) == -1)
        return 0;
    return byte % (OUTAGE_MAX_JITTER + 1);
}

/* What is submitted from now on has not been given to the database. */
static void
note_away(struct vault *vault)
{
    if (vault->closed) /* there it may be given at any time */
        return;
    vault->away_since_mono_ms = clock_mono_ms();
    spool_mark_away(vault->spool, vault->away_since_mono_ms);
}

static void
note_failure(struct vault *vault, const struct err *why)
{
    const bool was_open = outage_is_open(&vault->outage);

    vault->failure_count++;
    if (vault->away_since_mono_ms == 0)
        note_away(vault);
    outage_failed(&vault->outage, clock_mono_ms(), jitter());
    if (vault->hurried && !vault->closed)
        outage_open(&vault->outage, clock_mono_ms());
    if (vault->outage.failures == 1)
        log_error("ledger_write_failed",
                  "Audit log persistence failed, records wait: reason=%s",
                  why->text);
    else if (outage_is_open(&vault->outage) && !was_open)
        log_error("ledger_store_away", "next_attempt_ms=%d reason=%s",
                  OUTAGE_OPEN_MS, why->text);
}

static void
note_success(struct vault *vault)
{
    if (vault->outage.failures > 0)
        log_info("ledger_writes_again", "batches_spooled=%zu",
                 spool_counts(vault->spool).batches);
    if (vault->away_since_mono_ms != 0)
        spool_mark_away(vault->spool, 0);
    vault->away_since_mono_ms = 0;
    outage_succeeded(&vault->outage);
    vault->reached = true;
    vault->refusing = false;
}

void
vault_note_attempt(struct vault *vault, int result, const struct err *why)
{
    if (result == 0 || !may_heal(why))
        note_success(vault);
    else
        note_failure(vault, why);
}

bool
vault_may_try(const struct vault *vault)
{
    return outage_may_try(&vault->outage, clock_mono_ms());
}

/* ---- the schema -------------------------------------------------------- */

static void
judge_schema(struct vault *vault, const struct store_schema *schema)
{
    const bool fits =
        schema->found >= schema->min && schema->found <= schema->max;

    if (fits != vault->schema_fits || schema->found != vault->schema.found) {
        if (fits)
            log_info("ledger_schema", "version=%" PRId64, schema->found);
        else
            log_error("ledger_schema_unfit",
                      "found=%" PRId64 " need=%" PRId64 "..%" PRId64
                      " (see sql/README.md)",
                      schema->found, schema->min, schema->max);
    }
    vault->schema = *schema;
    vault->schema_fits = fits;
}

static int
check_schema(struct vault *vault, struct err *err)
{
    struct store_schema schema = { 0 };
    const int result = vault->store->ops->check(vault->store, &schema, err);

    vault_note_attempt(vault, result, err);
    vault->check_mono_ms = vault->outage.failures > 0
                               ? vault->outage.retry_mono_ms
                               : clock_mono_ms() + CHECK_MS;
    if (result == 0)
        judge_schema(vault, &schema);
    return result;
}

/* ---- opening ----------------------------------------------------------- */

int
vault_init(struct vault *vault, const struct vault_config *config,
           int64_t deadline_mono_ms, struct err *err)
{
    struct err why = { 0 };

    memset(vault, 0, sizeof(*vault));
    vault->store = config->store;
    vault->host = config->host;
    vault->closed = config->closed;
    vault->schema_fits = true; /* until somebody says otherwise */
    vault->spool = spool_open(&config->spool, deadline_mono_ms, err);
    if (vault->spool == NULL)
        return -1;
    if (vault->closed)
        spool_mark_away(vault->spool, 0);
    else
        vault->away_since_mono_ms = spool_away_since(vault->spool);
    if (check_schema(vault, &why) == 0)
        return 0;
    if (!may_heal(&why))
        return err_set(err, why.kind, "%s", why.text);
    if (!vault->closed) /* nobody waits yet who would want more attempts */
        outage_open(&vault->outage, clock_mono_ms());
    return 0;
}

void
vault_close(struct vault *vault)
{
    spool_close(vault->spool);
    vault->spool = NULL;
    if (vault->store != NULL)
        vault->store->ops->close(vault->store);
    vault->store = NULL;
}

/* ---- writing ----------------------------------------------------------- */

static enum vault_outcome
write_store(struct vault *vault, const struct seal *const *entries,
            size_t count, struct err *err)
{
    struct err why = { 0 };
    const int result =
        vault->store->ops->write(vault->store, entries, count, &why);

    vault_note_attempt(vault, result, &why);
    if (result == 0)
        return VAULT_COMMITTED;
    err_set(err, why.kind, "%s", why.text);
    return may_heal(&why) ? VAULT_HELD : VAULT_BLAMED;
}

static enum vault_outcome
write_spool(struct vault *vault, const struct seal *const *entries,
            size_t count)
{
    struct err why = { 0 };

    if (clock_mono_ms() < vault->spool_retry_mono_ms)
        return VAULT_HELD;
    if (spool_add(vault->spool, entries, count, &why) == 0) {
        vault->refusing = false;
        return VAULT_SPOOLED;
    }
    if (!vault->refusing)
        log_error("ledger_spool_failed", "reason=%s", why.text);
    vault->refusing = true;
    vault->spool_retry_mono_ms = clock_mono_ms() + SPOOL_RETRY_MS;
    return VAULT_HELD;
}

/* Nothing but the database will do. */
static enum vault_outcome
write_closed(struct vault *vault, const struct seal *const *entries,
             size_t count, struct err *err)
{
    enum vault_outcome outcome = VAULT_HELD;

    if (vault->schema_fits && vault_may_try(vault))
        outcome = write_store(vault, entries, count, err);
    vault->refusing = !vault->schema_fits || outage_is_open(&vault->outage);
    return outcome;
}

/* Newer entries do not pass those that wait. */
static bool
must_spool(const struct vault *vault)
{
    return !spool_is_empty(vault->spool) || !vault->schema_fits ||
           outage_is_open(&vault->outage);
}

static enum vault_outcome
write_either(struct vault *vault, const struct seal *const *entries,
             size_t count, struct err *err)
{
    if (!must_spool(vault)) {
        enum vault_outcome outcome;

        if (!vault_may_try(vault))
            return VAULT_HELD;
        if (vault->away_since_mono_ms != 0 && !vault->holding)
            note_away(vault); /* this batch may arrive, too */
        outcome = write_store(vault, entries, count, err);
        if (outcome != VAULT_HELD || !must_spool(vault))
            return outcome;
    }
    return write_spool(vault, entries, count);
}

enum vault_outcome
vault_write(struct vault *vault, const struct seal *const *entries,
            size_t count, struct err *err)
{
    const enum vault_outcome outcome =
        vault->closed ? write_closed(vault, entries, count, err)
                      : write_either(vault, entries, count, err);

    vault->holding = outcome == VAULT_HELD;
    return outcome;
}

void
vault_hurry(struct vault *vault)
{
    vault->hurried = true;
    if (vault->outage.failures > 0 && !vault->closed)
        outage_open(&vault->outage, clock_mono_ms());
}

int64_t
vault_retry_mono_ms(const struct vault *vault)
{
    if (!vault->schema_fits && vault->closed)
        return vault->check_mono_ms;
    if (vault->closed || !must_spool(vault))
        return vault->outage.failures > 0 ? vault->outage.retry_mono_ms : 0;
    return vault->spool_retry_mono_ms;
}

/* ---- draining ---------------------------------------------------------- */

static bool
wants_to_drain(const struct vault *vault)
{
    return !spool_is_empty(vault->spool) && vault->schema_fits;
}

static int64_t
drain_due_mono_ms(const struct vault *vault)
{
    if (!wants_to_drain(vault))
        return INT64_MAX;
    if (!vault_may_try(vault) &&
        vault->outage.retry_mono_ms > vault->drain_mono_ms)
        return vault->outage.retry_mono_ms;
    return vault->drain_mono_ms;
}

static bool
can_drain(const struct vault *vault)
{
    return clock_mono_ms() >= drain_due_mono_ms(vault);
}

static void
set_aside(struct vault *vault, const struct spool_file *file,
          const struct err *why)
{
    log_error("ledger_batch_set_aside", "reason=%s", why->text);
    spool_set_aside(vault->spool, file);
}

/* When an entry is at fault the others need not suffer for it. */
static void
replay(struct vault *vault, const struct spool_file *file)
{
    struct err blame = { 0 };
    struct halving halving;
    size_t count;

    halving_begin(&halving, file->count);
    while ((count = halving_part(&halving)) > 0) {
        struct err err = { 0 };

        switch (write_store(vault, file->entries + halving.done, count, &err)) {
        case VAULT_COMMITTED:
            vault->replayed_count += count;
            halving_taken(&halving);
            break;
        case VAULT_BLAMED:
            if (halving_refused(&halving))
                err_set(&blame, err.kind, "%s", err.text);
            break;
        case VAULT_HELD: /* the batch stays, and is tried again as a whole */
        case VAULT_SPOOLED:
            return;
        }
    }
    if (blame.kind != ERR_NONE) {
        set_aside(vault, file, &blame);
        return;
    }
    spool_drop(vault->spool, file);
    if (spool_is_empty(vault->spool))
        log_info("ledger_spool_drained", "entries=%" PRIu64,
                 vault->replayed_count);
}

static void
drain_one(struct vault *vault)
{
    struct err err = { 0 };
    struct spool_file *file = spool_first(vault->spool, &err);

    if (file != NULL) {
        replay(vault, file);
    } else if (err.kind != ERR_NOMEM) {
        set_aside(vault, NULL, &err);
    } else {
        log_error("ledger_spool_failed", "reason=%s", err.text);
        vault->drain_mono_ms = clock_mono_ms() + SPOOL_RETRY_MS;
    }
    spool_file_free(file);
}

/* More than what a turn can add, or the folder would never be empty. */
static void
drain(struct vault *vault)
{
    const int64_t end_by_mono_ms = clock_mono_ms() + DRAIN_MS;

    for (int done = 0; can_drain(vault) && (done < DRAIN_AT_LEAST ||
                                            clock_mono_ms() < end_by_mono_ms);
         done++)
        drain_one(vault);
}

/* ---- work -------------------------------------------------------------- */

/* Somebody may have put a batch there, so an empty spool is looked at, too. */
static void
look_for_requests(struct vault *vault)
{
    if (!spool_look_again(vault->spool))
        return;
    log_info("ledger_spool_drain", "somebody asks for an attempt now");
    outage_hasten(&vault->outage, clock_mono_ms());
    vault->check_mono_ms = 0;
}

/* While a batch is tried its own attempts tell; an answer about the schema in
 * between would begin their count anew. */
static int64_t
check_due_mono_ms(const struct vault *vault)
{
    if (vault->holding && vault->schema_fits && !outage_is_open(&vault->outage))
        return INT64_MAX;
    if (!vault_may_try(vault) &&
        vault->outage.retry_mono_ms > vault->check_mono_ms)
        return vault->outage.retry_mono_ms;
    return vault->check_mono_ms;
}

void
vault_work(struct vault *vault)
{
    const int64_t now_mono_ms = clock_mono_ms();

    if (now_mono_ms >= vault->look_mono_ms) {
        vault->look_mono_ms = now_mono_ms + LOOK_MS;
        look_for_requests(vault);
    }
    if (now_mono_ms >= check_due_mono_ms(vault)) {
        struct err err = { 0 };

        if (check_schema(vault, &err) == -1 && !may_heal(&err))
            log_error("ledger_check_failed", "reason=%s", err.text);
    }
    drain(vault);
}

int64_t
vault_wake_mono_ms(const struct vault *vault)
{
    int64_t wake_mono_ms = check_due_mono_ms(vault);

    if (can_drain(vault))
        return 0;
    if (drain_due_mono_ms(vault) < wake_mono_ms)
        wake_mono_ms = drain_due_mono_ms(vault);
    if (vault->look_mono_ms < wake_mono_ms)
        wake_mono_ms = vault->look_mono_ms;
    return wake_mono_ms;
}

bool
vault_is_clear(const struct vault *vault)
{
    return vault->reached && vault->outage.failures == 0 &&
           vault->schema_fits && spool_is_empty(vault->spool);
}

bool
vault_is_whole(const struct vault *vault)
{
    return vault_is_clear(vault) && spool_counts(vault->spool).set_aside == 0;
}

bool
vault_takes_runs(const struct vault *vault)
{
    if (vault->refusing)
        return false;
    return vault->closed || !must_spool(vault) || spool_has_room(vault->spool);
}
