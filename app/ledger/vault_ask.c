/* vault_ask.c - see vault.h: looking things up, and checkpoints. */
#include "ledger/vault.h"

#include "base/clock.h"
#include "ledger/vault_inner.h"

#define ASKED_MS 2000 /* between attempts while a clerk waits for an answer */

/* Settles what asking the store gave: a failure counts as any other. */
static void
note_asked(struct vault *vault, bool failed, const struct err *why,
           struct err *err)
{
    vault_note_attempt(vault, failed ? -1 : 0, why);
    if (failed)
        err_set(err, why->kind, "%s", why->text);
}

static int
check_reachable(struct vault *vault, struct err *err)
{
    if (vault_may_try(vault))
        return 0;
    return err_set(err, ERR_SYSTEM, "the database is away");
}

enum store_answer
vault_find(struct vault *vault, const struct frame_record *record,
           enum entry_kind kind, struct entry_receipt *receipt, struct err *err)
{
    const struct uuid *run_id = &record->run_id;
    struct store *store = vault->store;
    struct err why = { 0 };
    enum store_answer answer;

    if (spool_find(vault->spool, run_id, kind, receipt) == STORE_FOUND)
        return STORE_FOUND;
    if (vault->away_since_mono_ms != 0 &&
        record->submitted_mono_ms > vault->away_since_mono_ms)
        return STORE_NONE;
    if (check_reachable(vault, err) == -1) {
        outage_hasten(&vault->outage, clock_mono_ms() + ASKED_MS);
        return STORE_FAILED;
    }
    answer = store->ops->find(store, run_id, kind, receipt, &why);
    note_asked(vault, answer == STORE_FAILED, &why, err);
    return answer;
}

enum store_answer
vault_read_body(struct vault *vault, const struct uuid *run_id,
                enum entry_kind kind, struct buf *body, struct err *err)
{
    struct store *store = vault->store;
    struct err why = { 0 };
    enum store_answer answer =
        spool_read_body(vault->spool, run_id, kind, body, err);

    if (answer != STORE_NONE)
        return answer;
    if (check_reachable(vault, err) == -1)
        return STORE_FAILED;
    answer = store->ops->read_body(store, run_id, kind, body, &why);
    note_asked(vault, answer == STORE_FAILED, &why, err);
    return answer;
}

enum store_answer
vault_find_key(struct vault *vault, const char *key_hash, int64_t since_unix_us,
               struct store_key *key, struct err *err)
{
    struct store *store = vault->store;
    struct err why = { 0 };
    enum store_answer answer;

    if (check_reachable(vault, err) == -1)
        return STORE_FAILED;
    answer = store->ops->find_key(store, key_hash, since_unix_us, key, &why);
    note_asked(vault, answer == STORE_FAILED, &why, err);
    return answer;
}

enum store_answer
vault_newest_log(struct vault *vault, const struct uuid *except,
                 struct uuid *log_id, struct err *err)
{
    struct store *store = vault->store;
    struct err why = { 0 };
    enum store_answer answer;

    if (store->ops->newest_log == NULL)
        return STORE_NONE;
    if (check_reachable(vault, err) == -1)
        return STORE_FAILED;
    answer = store->ops->newest_log(store, vault->host, except, log_id, &why);
    note_asked(vault, answer == STORE_FAILED, &why, err);
    return answer;
}

enum store_answer
vault_last_log(struct vault *vault, const struct uuid *next,
               struct store_log *log, struct err *err)
{
    struct store *store = vault->store;
    struct err why = { 0 };
    const enum store_answer answer =
        store->ops->last_log(store, vault->host, next, log, &why);

    note_asked(vault, answer == STORE_FAILED, &why, err);
    return answer;
}

int
vault_open_runs(struct vault *vault,
                int (*each)(void *arg, const struct uuid *run_id,
                            struct err *err),
                void *arg, struct err *err)
{
    struct store *store = vault->store;
    struct err why = { 0 };
    const int result =
        store->ops->open_runs(store, vault->host, each, arg, &why);

    note_asked(vault, result == -1, &why, err);
    return result;
}

int
vault_write_checkpoint(struct vault *vault,
                       const struct store_checkpoint *checkpoint,
                       struct err *err)
{
    struct store *store = vault->store;
    struct err why = { 0 };
    int result;

    if (!vault_is_clear(vault))
        return 0;
    result = store->ops->write_checkpoint(store, checkpoint, &why);
    note_asked(vault, result == -1, &why, err);
    return result;
}
