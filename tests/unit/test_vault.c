/*
 * test_vault.c - the database or the spool: a scripted store, a clock of our
 * own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "ledger/vault.h"
#include "support/scratch.h"
#include "support/sealed.h"
#include "sys/file.h"

#define MAX_WRITTEN 64

int64_t __wrap_clock_mono_ms(void);

static int64_t now_ms;

int64_t
__wrap_clock_mono_ms(void)
{
    return now_ms;
}

/* ---- a store that does as it is told ------------------------------------ */

static struct {
    struct store store; /* first */
    bool away;
    bool commits_in_secret; /* away, but what it is given arrives */
    bool locked;            /* for writing only */
    int64_t takes_ms;       /* for a write */
    const struct seal *poison;
    int64_t schema;
    int64_t written[MAX_WRITTEN]; /* idx, in their order */
    size_t written_count;
    int attempts;
    bool closed;
} fake;

static void
fake_close(struct store *store)
{
    (void)store;
    fake.closed = true;
}

static int
away(struct err *err)
{
    fake.attempts++;
    return fake.away ? err_set(err, ERR_SYSTEM, "away") : 0;
}

static int
fake_check(struct store *store, struct store_schema *schema, struct err *err)
{
    (void)store;
    *schema = (struct store_schema){ .found = fake.schema, .min = 3, .max = 5 };
    return away(err);
}

static bool
has(int64_t idx)
{
    for (size_t i = 0; i < fake.written_count; i++)
        if (fake.written[i] == idx)
            return true;
    return false;
}

static int
fake_write(struct store *store, const struct seal *const *entries, size_t count,
           struct err *err)
{
    const int failed =
        away(err) == -1 || fake.locked ? err_set(err, ERR_SYSTEM, "locked") : 0;

    (void)store;
    now_ms += fake.takes_ms;
    if (failed && !fake.commits_in_secret)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (fake.poison != NULL &&
            memcmp(entries[i]->leaf_hash, fake.poison->leaf_hash,
                   ENTRY_HASH_LEN) == 0)
            return err_set(err, ERR_INVALID, "poison");
    for (size_t i = 0; i < count; i++)
        if (!has(entries[i]->place.idx))
            fake.written[fake.written_count++] = entries[i]->place.idx;
    return failed ? -1 : 0;
}

static enum store_answer
fake_find(struct store *store, const struct uuid *run_id, enum entry_kind kind,
          struct entry_receipt *receipt, struct err *err)
{
    (void)store;
    (void)run_id;
    (void)kind;
    (void)receipt;
    return away(err) == 0 ? STORE_NONE : STORE_FAILED;
}

static const struct store_ops fake_ops = { .close = fake_close,
                                           .check = fake_check,
                                           .write = fake_write,
                                           .find = fake_find };

/* ---- set-up ------------------------------------------------------------ */

static char folder[SCRATCH_PATH_LEN];
static struct vault vault;
static struct sealed sealed;
static int64_t max_bytes, reserve_bytes;

static void
open_vault(bool closed)
{
    const struct vault_config config = {
        .store = &fake.store,
        .spool = { .folder = folder,
                   .max_bytes = max_bytes,
                   .reserve_bytes = reserve_bytes },
        .host = "test-host",
        .closed = closed,
    };
    struct err err = { 0 };

    if (vault_init(&vault, &config, now_ms + 1000, &err) == -1)
        fail_msg("%s", err.text);
}

static int
set_up(void **state)
{
    (void)state;
    now_ms = 1000000;
    max_bytes = 1 << 20;
    reserve_bytes = 0;
    memset(&fake, 0, sizeof(fake));
    fake.store.ops = &fake_ops;
    fake.schema = 4;
    scratch_make(folder);
    sealed_init(&sealed, 8);
    open_vault(false);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    vault_close(&vault);
    sealed_close(&sealed);
    scratch_remove(folder);
    return 0;
}

static void
open_again(bool closed)
{
    vault_close(&vault);
    open_vault(closed);
}

static enum vault_outcome
put(size_t first, size_t count)
{
    return vault_write(&vault, sealed.entries + first, count, NULL);
}

/* What the store has, in the order of arrival, is 0 .. count-1. */
static void
expect_written(size_t count)
{
    assert_int_equal(fake.written_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(fake.written[i], (int64_t)i);
}

/* The given batch, again and again, until it is held no more. */
static enum vault_outcome
put_until_settled(size_t first, size_t count)
{
    enum vault_outcome outcome = put(first, count);

    for (int i = 0; outcome == VAULT_HELD && i < 10; i++) {
        now_ms = vault_retry_mono_ms(&vault);
        outcome = put(first, count);
    }
    return outcome;
}

/* Everything that is due up to that time. */
static void
let_pass(int64_t until_ms)
{
    for (int turns = 0; vault_wake_mono_ms(&vault) <= until_ms; turns++) {
        assert_true(turns < 1000); /* else it spins */
        if (vault_wake_mono_ms(&vault) > now_ms)
            now_ms = vault_wake_mono_ms(&vault);
        vault_work(&vault);
    }
    now_ms = until_ms;
}

static enum store_answer
find(size_t i, int64_t submitted_mono_ms)
{
    const struct frame_record record = { .kind = ENTRY_ACCEPTED,
                                         .run_id = sealed.runs[i],
                                         .submitted_mono_ms =
                                             submitted_mono_ms };
    struct entry_receipt receipt = { .idx = -1 };
    const enum store_answer answer =
        vault_find(&vault, &record, ENTRY_ACCEPTED, &receipt, NULL);

    if (answer == STORE_FOUND)
        assert_int_equal(receipt.state, ENTRY_SPOOLED);
    return answer;
}

/* ---- tests ------------------------------------------------------------- */

static void
test_a_store_that_works_gets_everything_at_once(void **state)
{
    (void)state;
    assert_true(vault_is_clear(&vault));
    assert_int_equal(put(0, 3), VAULT_COMMITTED);
    assert_int_equal(put(3, 1), VAULT_COMMITTED);
    expect_written(4);
    assert_true(spool_is_empty(vault.spool));
}

static void
test_a_short_failure_is_waited_out(void **state)
{
    (void)state;
    fake.away = true;
    assert_int_equal(put(0, 2), VAULT_HELD);
    assert_in_range(vault_retry_mono_ms(&vault), now_ms + 250, now_ms + 275);
    assert_int_equal(put(0, 2), VAULT_HELD); /* too early: not an attempt */
    assert_true(vault_takes_runs(&vault));
    fake.away = false;
    now_ms += 275;
    assert_int_equal(put(0, 2), VAULT_COMMITTED);
    expect_written(2);
}

static void
test_after_five_attempts_the_spool_takes_over(void **state)
{
    const int64_t began_ms = now_ms;
    const int attempts = fake.attempts;

    (void)state;
    fake.away = true;
    assert_int_equal(put_until_settled(0, 2), VAULT_SPOOLED);
    assert_int_equal(fake.attempts - attempts, 5);
    assert_in_range(now_ms - began_ms, 3750, 4125);
    /* And now at once, without asking the store. */
    assert_int_equal(put(2, 2), VAULT_SPOOLED);
    assert_int_equal(fake.attempts - attempts, 5);
    assert_false(vault_is_clear(&vault));
    assert_true(vault_takes_runs(&vault));
}

static void
test_one_probe_a_minute_then_the_spool_is_drained_in_order(void **state)
{
    int attempts;

    (void)state;
    fake.away = true;
    assert_int_equal(put_until_settled(0, 2), VAULT_SPOOLED);
    assert_int_equal(put(2, 1), VAULT_SPOOLED);
    attempts = fake.attempts;
    let_pass(now_ms + 59000);
    assert_int_equal(fake.attempts, attempts);
    let_pass(now_ms + 1200); /* the minute is over */
    assert_int_equal(fake.attempts, attempts + 1);
    let_pass(now_ms + 59000);
    assert_int_equal(fake.attempts, attempts + 1);

    fake.away = false;
    let_pass(now_ms + 1200);
    expect_written(3);
    assert_true(vault_is_clear(&vault));
    assert_int_equal(vault.replayed_count, 3);
    assert_int_equal(put(3, 1), VAULT_COMMITTED);
    expect_written(4);
}

static void
test_newer_entries_do_not_pass_those_that_wait(void **state)
{
    (void)state;
    fake.away = true;
    assert_int_equal(put_until_settled(0, 1), VAULT_SPOOLED);
    assert_int_equal(put(1, 1), VAULT_SPOOLED);
    fake.away = false;
    now_ms += 61000;
    assert_int_equal(put(2, 1), VAULT_SPOOLED); /* before the first probe */
    fake.takes_ms = 30;
    vault_work(&vault);
    assert_int_equal(put(3, 1), VAULT_SPOOLED); /* one still waits */
    let_pass(now_ms + 100);
    expect_written(4);
}

/* Each turn adds a batch, however slow the store is. */
static void
test_the_spool_is_drained_while_newer_entries_come(void **state)
{
    (void)state;
    fake.away = true;
    assert_int_equal(put_until_settled(0, 1), VAULT_SPOOLED);
    assert_int_equal(put(1, 1), VAULT_SPOOLED);
    assert_int_equal(put(2, 1), VAULT_SPOOLED);
    fake.away = false;
    fake.takes_ms = 500;
    now_ms += 61000;
    for (size_t i = 3; i < 6 && !spool_is_empty(vault.spool); i++) {
        vault_work(&vault);
        (void)put(i, 1);
    }
    assert_true(spool_is_empty(vault.spool));
}

static void
test_an_idle_vault_waits_for_a_store_that_is_away(void **state)
{
    const int attempts = fake.attempts;

    (void)state;
    fake.away = true;
    let_pass(now_ms + 20000); /* and does not spin */
    assert_int_equal(fake.attempts - attempts, 5);
    assert_int_equal(put(0, 1), VAULT_SPOOLED); /* nobody waits any more */
}

/* The store answers questions, but a lock is in the way of entries. */
static void
test_looking_at_the_schema_does_not_begin_the_attempts_anew(void **state)
{
    enum vault_outcome outcome;

    (void)state;
    fake.locked = true;
    now_ms += 9000; /* it is due between the attempts */
    outcome = put(0, 1);
    for (int i = 1; i < 5; i++) {
        assert_int_equal(outcome, VAULT_HELD);
        now_ms = vault_retry_mono_ms(&vault);
        vault_work(&vault);
        outcome = put(0, 1);
    }
    assert_int_equal(outcome, VAULT_SPOOLED);
}

static void
test_whoever_is_in_a_hurry_makes_one_attempt(void **state)
{
    (void)state;
    fake.away = true;
    assert_int_equal(put(0, 1), VAULT_HELD);
    vault_hurry(&vault);
    assert_int_equal(put(0, 1), VAULT_SPOOLED);
    fake.away = false;
    open_again(false);
    let_pass(now_ms);
    vault_hurry(&vault);
    fake.away = true;
    assert_int_equal(put(1, 1), VAULT_SPOOLED);
}

/* The commit went through and its answer was lost. */
static void
test_an_unknown_outcome_doubles_nothing(void **state)
{
    (void)state;
    fake.away = true;
    fake.commits_in_secret = true;
    assert_int_equal(put(0, 2), VAULT_HELD);
    expect_written(2);
    assert_int_equal(put_until_settled(0, 2), VAULT_SPOOLED);
    fake.away = false;
    let_pass(now_ms + 61000);
    expect_written(2);
    assert_true(vault_is_clear(&vault));
}

static void
test_a_bad_entry_is_blamed_and_nothing_is_spooled(void **state)
{
    struct err err = { 0 };

    (void)state;
    fake.poison = sealed.entries[1];
    assert_int_equal(vault_write(&vault, sealed.entries, 3, &err),
                     VAULT_BLAMED);
    assert_string_equal(err.text, "poison");
    assert_int_equal(vault.outage.failures, 0);
    assert_true(spool_is_empty(vault.spool));
    expect_written(0);
}

static void
test_a_bad_entry_in_the_spool_is_set_aside_and_the_others_get_through(
    void **state)
{
    (void)state;
    fake.away = true;
    assert_int_equal(put_until_settled(0, 3), VAULT_SPOOLED);
    assert_int_equal(put(3, 1), VAULT_SPOOLED);
    fake.away = false;
    fake.poison = sealed.entries[1];
    let_pass(now_ms + 61000);
    assert_int_equal(fake.written_count, 3);
    assert_true(has(0) && !has(1) && has(2) && has(3));
    assert_int_equal(spool_counts(vault.spool).set_aside, 1);
    assert_int_equal(spool_counts(vault.spool).batches, 0);
}

static void
test_a_bad_entry_in_the_spool_is_found_in_few_attempts(void **state)
{
    (void)state;
    sealed_close(&sealed);
    sealed_init(&sealed, SEALED_MAX);
    fake.away = true;
    assert_int_equal(put_until_settled(0, SEALED_MAX), VAULT_SPOOLED);
    fake.away = false;
    fake.poison = sealed.entries[SEALED_MAX - 1];
    fake.attempts = 0;
    let_pass(now_ms + 60000); /* one look at the schema, then the batch */
    assert_int_equal(fake.written_count, SEALED_MAX - 1);
    assert_int_equal(spool_counts(vault.spool).set_aside, 1);
    assert_in_range(fake.attempts, 2, SEALED_MAX - 2);
}

static void
spool_two(void)
{
    fake.away = true;
    assert_int_equal(put_until_settled(0, 1), VAULT_SPOOLED);
    assert_int_equal(put(1, 1), VAULT_SPOOLED);
    fake.away = false;
}

static void
test_a_batch_that_cannot_be_read_is_no_outage(void **state)
{
    char path[SCRATCH_PATH_LEN + 32];

    (void)state;
    spool_two();
    snprintf(path, sizeof(path), "%s/new/0000000000000000.jsonl", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    let_pass(now_ms + 61000);
    assert_int_equal(spool_counts(vault.spool).set_aside, 1);
    assert_true(vault_is_clear(&vault));
    assert_int_equal(put(2, 1), VAULT_COMMITTED);
    assert_true(!has(0) && has(1) && has(2));
}

static void
test_a_process_without_descriptors_tries_its_spool_again(void **state)
{
    struct rlimit limit, none;

    (void)state;
    spool_two();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    let_pass(now_ms + 61000);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_false(outage_is_open(&vault.outage));
    assert_int_equal(spool_counts(vault.spool).batches, 2);
    let_pass(now_ms + 2000);
    expect_written(2);
}

static void
test_a_start_without_the_store_spools_at_once(void **state)
{
    (void)state;
    fake.away = true;
    open_again(false);
    assert_false(vault_is_clear(&vault));
    assert_int_equal(put(0, 1), VAULT_SPOOLED);
    fake.away = false;
    let_pass(now_ms + 61000);
    assert_true(vault_is_clear(&vault));
    expect_written(1);
}

static void
test_what_an_earlier_scribe_spooled_comes_first(void **state)
{
    (void)state;
    fake.away = true;
    assert_int_equal(put_until_settled(0, 2), VAULT_SPOOLED);
    fake.away = false;
    open_again(false);
    assert_false(vault_is_clear(&vault));
    assert_int_equal(put(2, 1), VAULT_SPOOLED);
    let_pass(now_ms);
    expect_written(3);
}

static void
test_a_schema_out_of_range_is_spooled_for_and_looked_at_again(void **state)
{
    (void)state;
    fake.schema = 6;
    let_pass(now_ms + 10000);
    assert_false(vault.schema_fits);
    assert_int_equal(vault.schema.found, 6);
    assert_int_equal(put(0, 1), VAULT_SPOOLED);
    let_pass(now_ms + 30000);
    expect_written(0);
    fake.schema = 5;
    let_pass(now_ms + 10000);
    assert_true(vault_is_clear(&vault));
    expect_written(1);
}

static void
test_a_spool_that_fails_holds_the_batch_and_refuses_runs(void **state)
{
    (void)state;
    vault_close(&vault);
    max_bytes = 1;
    open_vault(false);
    fake.away = true;
    assert_int_equal(put_until_settled(0, 1),
                     VAULT_SPOOLED); /* may pass once */
    assert_int_equal(put(1, 1), VAULT_HELD);
    assert_false(vault_takes_runs(&vault));
    assert_int_equal(vault_retry_mono_ms(&vault), now_ms + 1000);
    fake.away = false;
    let_pass(now_ms + 61000); /* drained meanwhile */
    assert_int_equal(put(1, 1), VAULT_COMMITTED);
    assert_true(vault_takes_runs(&vault));
    expect_written(2);
}

static void
test_a_spool_with_its_reserve_left_takes_no_runs_but_ends(void **state)
{
    (void)state;
    vault_close(&vault);
    reserve_bytes = max_bytes - 1;
    open_vault(false);
    fake.away = true;
    assert_true(vault_takes_runs(&vault));
    assert_int_equal(put_until_settled(0, 1), VAULT_SPOOLED);
    assert_false(vault_takes_runs(&vault));
    assert_int_equal(put(1, 1), VAULT_SPOOLED);
}

static void
test_closed_means_the_store_or_nothing(void **state)
{
    (void)state;
    open_again(true);
    fake.away = true;
    assert_int_equal(put(0, 1), VAULT_HELD);
    assert_true(vault_takes_runs(&vault)); /* it may be over in a moment */
    for (int i = 0; i < 4; i++) {
        now_ms = vault_retry_mono_ms(&vault);
        assert_int_equal(put(0, 1), VAULT_HELD);
    }
    assert_false(vault_takes_runs(&vault));
    assert_true(spool_is_empty(vault.spool));
    fake.away = false;
    now_ms = vault_retry_mono_ms(&vault);
    assert_int_equal(put(0, 1), VAULT_COMMITTED);
    assert_true(vault_takes_runs(&vault));
    expect_written(1);
}

static void
ask_for_attempt(void)
{
    char path[SCRATCH_PATH_LEN + 32];

    snprintf(path, sizeof(path), "%s/drain", folder);
    assert_int_equal(file_write_durably(path, 0600, "", 0, NULL), 0);
}

static void
test_somebody_may_ask_for_an_attempt_now(void **state)
{
    (void)state;
    fake.away = true;
    assert_int_equal(put_until_settled(0, 1), VAULT_SPOOLED);
    fake.away = false;
    ask_for_attempt();
    let_pass(now_ms + 1000);
    expect_written(1);
    assert_true(vault_is_clear(&vault));
}

static void
test_a_batch_put_into_an_empty_spool_is_taken_from_there(void **state)
{
    char batch[SCRATCH_PATH_LEN + 32];
    size_t bytes;

    (void)state;
    assert_true(vault_is_whole(&vault));
    let_pass(now_ms + 5000);
    snprintf(batch, sizeof(batch), "%s/new/0000000000000009.jsonl", folder);
    assert_int_equal(spool_file_write(batch, sealed.entries, 2, &bytes, NULL),
                     0);
    ask_for_attempt();
    let_pass(now_ms + 1000);
    expect_written(2);
    assert_true(vault_is_clear(&vault));
}

static void
test_a_store_that_is_left_alone_is_not_asked_either(void **state)
{
    const int64_t before_ms = now_ms - 1;
    int attempts;

    (void)state;
    fake.away = true;
    assert_int_equal(put_until_settled(0, 1), VAULT_SPOOLED);
    attempts = fake.attempts;
    assert_int_equal(find(0, before_ms), STORE_FOUND);
    assert_int_equal(find(1, before_ms), STORE_FAILED);
    assert_int_equal(fake.attempts, attempts);
    /* But somebody waits for an answer: not a minute. */
    let_pass(now_ms + 2000);
    assert_int_equal(fake.attempts, attempts + 1);
}

/* By whichever scribe: it was never given to the store. */
static void
test_what_was_submitted_while_the_store_was_away_is_not_there(void **state)
{
    const int64_t away_ms = now_ms;

    (void)state;
    fake.away = true;
    assert_int_equal(put_until_settled(0, 1), VAULT_SPOOLED);
    assert_int_equal(find(1, away_ms + 1), STORE_NONE);
    open_again(false); /* a new scribe */
    assert_int_equal(find(1, away_ms + 1), STORE_NONE);
    assert_int_equal(find(1, away_ms), STORE_FAILED);
    assert_int_equal(find(0, away_ms + 1), STORE_FOUND);
    fake.away = false;
    let_pass(now_ms + 61000);
    assert_int_equal(vault.away_since_mono_ms, 0);
    open_again(false);
    assert_int_equal(vault.away_since_mono_ms, 0);
}

/* Its answer was lost, and its scribe killed before it could be spooled. */
static void
test_what_was_given_to_a_store_that_fails_may_be_there(void **state)
{
    int64_t submitted_ms;

    (void)state;
    fake.away = true;
    now_ms += 10000;
    vault_work(&vault); /* the first failure is nobody's batch */
    now_ms += 500;
    submitted_ms = now_ms;
    fake.commits_in_secret = true;
    assert_int_equal(put(0, 1), VAULT_HELD);
    expect_written(1);
    open_again(false);
    assert_int_equal(find(0, submitted_ms), STORE_FAILED);
    assert_int_equal(find(1, now_ms + 1), STORE_NONE);
}

/* There it is given entries at any time, and the answer may be lost. */
static void
test_with_the_policy_closed_nobody_knows_what_is_not_there(void **state)
{
    (void)state;
    open_again(true);
    fake.away = true;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(put(0, 1), VAULT_HELD);
        now_ms = vault_retry_mono_ms(&vault);
    }
    now_ms -= 1000;
    assert_int_equal(find(1, now_ms + 1), STORE_FAILED);
}

static void
test_the_store_is_closed_with_the_vault(void **state)
{
    (void)state;
    vault_close(&vault);
    assert_true(fake.closed);
    vault_close(&vault);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_a_store_that_works_gets_everything_at_once),
        TEST(test_a_short_failure_is_waited_out),
        TEST(test_after_five_attempts_the_spool_takes_over),
        TEST(test_one_probe_a_minute_then_the_spool_is_drained_in_order),
        TEST(test_newer_entries_do_not_pass_those_that_wait),
        TEST(test_an_unknown_outcome_doubles_nothing),
        TEST(test_a_bad_entry_is_blamed_and_nothing_is_spooled),
        TEST(
            test_a_bad_entry_in_the_spool_is_set_aside_and_the_others_get_through),
        TEST(test_a_bad_entry_in_the_spool_is_found_in_few_attempts),
        TEST(test_a_batch_that_cannot_be_read_is_no_outage),
        TEST(test_a_process_without_descriptors_tries_its_spool_again),
        TEST(test_a_start_without_the_store_spools_at_once),
        TEST(test_what_an_earlier_scribe_spooled_comes_first),
        TEST(test_a_schema_out_of_range_is_spooled_for_and_looked_at_again),
        TEST(test_a_spool_that_fails_holds_the_batch_and_refuses_runs),
        TEST(test_a_spool_with_its_reserve_left_takes_no_runs_but_ends),
        TEST(test_closed_means_the_store_or_nothing),
        TEST(test_somebody_may_ask_for_an_attempt_now),
        TEST(test_a_batch_put_into_an_empty_spool_is_taken_from_there),
        TEST(test_a_store_that_is_left_alone_is_not_asked_either),
        TEST(test_what_was_submitted_while_the_store_was_away_is_not_there),
        TEST(test_the_spool_is_drained_while_newer_entries_come),
        TEST(test_an_idle_vault_waits_for_a_store_that_is_away),
        TEST(test_looking_at_the_schema_does_not_begin_the_attempts_anew),
        TEST(test_whoever_is_in_a_hurry_makes_one_attempt),
        TEST(test_what_was_given_to_a_store_that_fails_may_be_there),
        TEST(test_with_the_policy_closed_nobody_knows_what_is_not_there),
        TEST(test_the_store_is_closed_with_the_vault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
