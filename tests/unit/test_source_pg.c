/*
 * Verification, proof and export of a ledger in a real PostgreSQL, written
 * through the store and tampered with by a superuser.  Two hosts write; one of
 * them could not look up its last log at first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/str.h"
#include "ledger/checkpoint.h"
#include "ledger/export.h"
#include "ledger/proof.h"
#include "ledger/store.h"
#include "ledger/verify.h"
#include "support/pg_cluster.h"
#include "support/spoken.h"

#define ATTEMPT_MS 2000
#define MAX_SAID   64
#define MAX_TEXT   (1u << 20)

#define NO_TRIGGERS \
    "ALTER TABLE tandem.entry DISABLE TRIGGER ALL;" \
    "ALTER TABLE tandem.content DISABLE TRIGGER ALL;" \
    "ALTER TABLE tandem.checkpoint DISABLE TRIGGER ALL;" \
    "ALTER TABLE tandem.run_claim DISABLE TRIGGER ALL;" \
    "ALTER TABLE tandem.open_run DISABLE TRIGGER ALL;"

/* A log on its way. */
struct log {
    struct uuid id;
    const char *host;
    struct merkle tree;
};

static struct store *store;
static struct log first, second, other;
static struct uuid run_id, open_id;
static struct crypto_key *private_key;
static struct note_key key;
static char database[32] = "ledger";
static int copy_count;
static struct verify_options options;

/* ---- writing ------------------------------------------------------------- */

static void
must(int result, const struct err *err)
{
    if (result == -1)
        fail_msg("%s", err->text);
}

static const char *
url_of(const char *user)
{
    static char url[512];

    snprintf(url, sizeof(url), "host=%s dbname=%s user=%s", pg_cluster_folder(),
             database, user);
    return url;
}

/* Takes over facts. */
static void
put(struct log *log, enum entry_kind kind, const struct uuid *run,
    json_t *facts, const struct entry_content *parts, size_t part_count)
{
    const struct seal_place place = { log->id, log->tree.size,
                                      clock_unix_us() };
    char *text = spoken_text_take(facts);
    struct entry_record record = { .kind = kind,
                                   .facts = text,
                                   .facts_len = strlen(text),
                                   .parts = parts,
                                   .part_count = part_count };
    struct seal *seal = calloc(1, sizeof(*seal));
    const struct seal *entries[] = { seal };
    struct err err = { 0 };

    assert_non_null(seal);
    seal_init(seal);
    if (run != NULL)
        record.run_id = *run;
    must(seal_record(seal, &record, &place, &err), &err);
    must(store->ops->write(store, entries, 1, &err), &err);
    must(merkle_append(&log->tree, seal->leaf_hash, &err), &err);
    free(text);
    seal_close(seal);
    free(seal);
}

/* {log_id, size, root}, as log_opened and log_linked name a log. */
static json_t *
name_log(const struct log *log)
{
    char id[UUID_TEXT_LEN], hex[2 * ENTRY_HASH_LEN + 1];
    uint8_t root[ENTRY_HASH_LEN];

    if (log == NULL)
        return json_null();
    uuid_format(&log->id, id);
    assert_int_equal(merkle_root(&log->tree, root, NULL), 0);
    str_to_hex(root, sizeof(root), hex);
    return json_pack("{s:s, s:I, s:s}", "log_id", id, "size",
                     (json_int_t)log->tree.size, "root", hex);
}

static void
open_log(struct log *log, const char *host, const struct log *previous,
         bool known)
{
    assert_int_equal(uuid_v7_new(&log->id, NULL), 0);
    log->host = host;
    put(log, ENTRY_LOG_OPENED, NULL,
        json_pack("{s:s, s:i, s:o, s:b}", "host", host, "scribe_pid", 7,
                  "previous", name_log(previous), "previous_known",
                  known ? 1 : 0),
        NULL, 0);
}

static json_t *
facts_of(const char *status)
{
    return json_pack("{s:s, s:s?, s:s, s:s}", "started_at",
                     "2026-01-31T23:59:59.123456Z", "status", status, "user_id",
                     "u-1", "principal", "key:\"demo\"\n");
}

static struct uuid
accept_run(struct log *log)
{
    static const struct entry_content asked = { .part = ENTRY_PART_QUERY,
                                                .bytes = "why? \\ \" \n",
                                                .len = 9 };
    struct uuid run;

    assert_int_equal(uuid_v7_new(&run, NULL), 0);
    put(log, ENTRY_ACCEPTED, &run, facts_of(NULL), &asked, 1);
    return run;
}

static void
finish_run(struct log *log, const struct uuid *run)
{
    static const struct entry_content answers[] = {
        { .part = ENTRY_PART_FLASH, .bytes = "=HYPERLINK(1)", .len = 13 },
        { .part = ENTRY_PART_PRO, .bytes = "", .len = 0 },
    };

    put(log, ENTRY_FINISHED, run, facts_of("ok"), answers, 2);
}

static void
write_checkpoint(const struct log *log)
{
    struct checkpoint checkpoint = { .log_id = log->id,
                                     .size = log->tree.size };
    struct store_checkpoint stored = { .log_id = log->id,
                                       .size = log->tree.size,
                                       .recorded_unix_us = clock_unix_us() };
    struct err err = { 0 };
    struct buf text, note;

    buf_init(&text, NOTE_MAX_BYTES);
    buf_init(&note, NOTE_MAX_BYTES);
    must(merkle_root(&log->tree, checkpoint.root, &err), &err);
    memcpy(stored.root, checkpoint.root, sizeof(stored.root));
    assert_int_equal(checkpoint_append(&text, key.name, &checkpoint), BUF_OK);
    must(note_sign(&note, text.bytes, private_key, &key, &err), &err);
    stored.note = note.bytes;
    must(store->ops->write_checkpoint(store, &stored, &err), &err);
    buf_close(&text);
    buf_close(&note);
}

static void
make_key(void)
{
    uint8_t public[ED25519_PUBLIC_LEN];

    private_key = crypto_ed25519_new(NULL);
    assert_non_null(private_key);
    assert_int_equal(crypto_ed25519_public(private_key, public, NULL), 0);
    assert_int_equal(note_key_make(&key, "log.example", public, NULL), 0);
}

/* host-a: a whole log, and one that was linked late and is being written;
 * host-b: one. */
static void
write_ledger(void)
{
    char hex[2 * ENTRY_HASH_LEN + 1];
    uint8_t root[ENTRY_HASH_LEN];
    struct uuid run;

    open_log(&first, "host-a", NULL, true);
    run_id = accept_run(&first);
    finish_run(&first, &run_id);
    put(&first, ENTRY_LEFT, &run_id, facts_of("cancelled"), NULL, 0);
    assert_int_equal(merkle_root(&first.tree, root, NULL), 0);
    str_to_hex(root, sizeof(root), hex);
    put(&first, ENTRY_LOG_CLOSED, NULL,
        json_pack("{s:I, s:s}", "size", (json_int_t)first.tree.size, "root",
                  hex),
        NULL, 0);
    write_checkpoint(&first);
    open_log(&other, "host-b", NULL, true);
    run = accept_run(&other);
    finish_run(&other, &run);
    open_log(&second, "host-a", NULL, false);
    put(&second, ENTRY_LOG_LINKED, NULL,
        json_pack("{s:o}", "previous", name_log(&first)), NULL, 0);
    write_checkpoint(&second);
    run = accept_run(&second);
    finish_run(&second, &run);
    assert_int_equal(uuid_v7_new(&run, NULL), 0);
    put(&second, ENTRY_ADMIN, &run, json_pack("{s:s}", "what", "reload"), NULL,
        0);
    open_id = accept_run(&second);
}

static int
set_up(void **state)
{
    struct err err = { 0 };

    (void)state;
    if (pg_cluster_start() == -1 || pg_cluster_say("deploy ledger") == -1)
        return -1;
    make_key();
    store = store_pg_open(url_of("scribe"), ATTEMPT_MS, &err);
    assert_non_null(store);
    write_ledger();
    store->ops->close(store);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    crypto_key_free(private_key);
    return pg_cluster_stop();
}

/* Each test has the ledger to itself. */
static int
copy_ledger(void **state)
{
    char sql[128];

    (void)state;
    options = (struct verify_options){ .keys = &key, .key_count = 1 };
    snprintf(database, sizeof(database), "copy%d", ++copy_count);
    snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE ledger", database);
    pg_cluster_sql("postgres", sql);
    return 0;
}

static void
tamper(const char *sql)
{
    char whole[4096];

    snprintf(whole, sizeof(whole), NO_TRIGGERS "%s", sql);
    pg_cluster_sql(database, whole);
}

/* ---- verifying ----------------------------------------------------------- */

static struct said {
    char text[MAX_SAID][256];
    size_t count;
    size_t head_count;
    struct verify_counts counts;
} said;

static void
on_report(void *arg, const struct verify_report *report)
{
    (void)arg;
    if (said.count < MAX_SAID)
        snprintf(said.text[said.count++], sizeof(said.text[0]), "%s %s: %.160s",
                 report->weight == VERIFY_FINDING ? "finding" : "note",
                 report->check, report->text);
}

static void
on_head(void *arg, const struct verify_head *newest)
{
    (void)arg;
    (void)newest;
    said.head_count++;
}

static void
on_progress(void *arg, int64_t done, int64_t total)
{
    (void)arg;
    (void)done;
    (void)total;
}

static void
verify_source(struct source *source)
{
    const struct verify_watcher watcher = { .report = on_report,
                                            .head = on_head,
                                            .progress = on_progress };
    struct err err = { 0 };

    memset(&said, 0, sizeof(said));
    must(verify_run(source, &options, &watcher, &said.counts, &err), &err);
    source->ops->close(source);
}

static struct source *
open_as(const char *user)
{
    struct err err = { 0 };
    struct source *source = source_pg_open(url_of(user), "test", &err);

    must(source == NULL ? -1 : 0, &err);
    return source;
}

static void
verify(void)
{
    verify_source(open_as("auditor"));
}

static void
assert_says(const char *text)
{
    for (size_t i = 0; i < said.count; i++)
        if (strstr(said.text[i], text) != NULL)
            return;
    fail_msg("not \"%s\" but %zu, first \"%s\"", text, said.count,
             said.text[0]);
}

static void
assert_clean(void)
{
    for (size_t i = 0; i < said.count; i++)
        if (strncmp(said.text[i], "finding", 7) == 0)
            fail_msg("%s", said.text[i]);
    assert_int_equal(said.counts.findings, 0);
}

static void
an_untouched_ledger_of_two_hosts_is_clean_and_counted(void **state)
{
    (void)state;
    verify();
    assert_clean();
    assert_int_equal(said.counts.entries, 5 + 3 + 6);
    assert_int_equal(said.counts.logs, 3);
    assert_int_equal(said.counts.runs, 4);
    assert_int_equal(said.counts.contents, 10);
    assert_int_equal(said.counts.open_runs, 1);
    assert_int_equal(said.counts.checkpoints, 2);
    assert_int_equal(said.head_count, 2);
    assert_says("note open");
}

static void
whoever_may_not_see_texts_can_verify_the_rest(void **state)
{
    struct err err = { 0 };
    struct verify_counts counts;
    const struct verify_watcher watcher = { .report = on_report,
                                            .head = on_head,
                                            .progress = on_progress };
    struct source *source = open_as("reader");

    (void)state;
    options.without_texts = true;
    assert_int_equal(verify_run(source, &options, &watcher, &counts, &err), 0);
    assert_int_equal(counts.entries, 14);
    assert_int_equal(counts.findings, 0);
    source->ops->close(source);
    options.without_texts = false;
    source = open_as("reader");
    assert_int_equal(verify_run(source, &options, &watcher, &counts, &err), -1);
    source->ops->close(source);
}

#define BODY_CHANGE \
    "body = replace(body, '\"status\":\"ok\"', '\"status\":\"error\"'), " \
    "status = 'error'"
#define NEW_HASH \
    ", leaf_hash = sha256('\\x00'::bytea || convert_to(replace(body, " \
    "'\"status\":\"ok\"', '\"status\":\"error\"'), 'UTF8'))"
#define OF_FIRST \
    " WHERE kind = 'finished' AND log_id = (SELECT log_id FROM " \
    "tandem.entry WHERE kind = 'log_closed')"

#define COPY_OF(kind) \
    "INSERT INTO tandem.entry SELECT (jsonb_populate_record(entry, " \
    "'{\"idx\": 100}')).* FROM tandem.entry WHERE kind = '" kind "' LIMIT 1"

static void
every_tampering_of_a_superuser_is_named(void **state)
{
    static const struct {
        const char *sql;
        const char *found;
    } cases[] = {
        { "UPDATE tandem.entry SET " BODY_CHANGE OF_FIRST,
          "finding leaf_hash" },
        { "UPDATE tandem.entry SET " BODY_CHANGE NEW_HASH OF_FIRST,
          "finding root: the root in log_closed" },
        { "UPDATE tandem.entry SET " BODY_CHANGE NEW_HASH OF_FIRST,
          "finding checkpoint: the root up to here" },
        { "UPDATE tandem.entry SET status = 'error'" OF_FIRST,
          "finding column: the column status" },
        { "UPDATE tandem.entry SET recorded_at = recorded_at + interval '1 "
          "us'" OF_FIRST,
          "finding column: the column recorded_at" },
        { "DELETE FROM tandem.entry" OF_FIRST, "finding gap" },
        { "DELETE FROM tandem.entry WHERE kind = 'log_closed'",
          "finding checkpoint: it had 5 entries" },
        { "UPDATE tandem.content SET body = 'x' WHERE part = 'flash'",
          "finding content: text or salt" },
        { "UPDATE tandem.content SET salt = sha256('x') WHERE part = 'pro'",
          "finding content: text or salt" },
        { "DELETE FROM tandem.content WHERE part = 'query'",
          "finding content: the content is missing" },
        { "INSERT INTO tandem.content SELECT run_id, 'pro_partial', "
          "recorded_at, salt, body FROM tandem.content LIMIT 1",
          "finding content: no entry speaks" },
        { COPY_OF("accepted"),
          "finding double: the run was accepted more than once" },
        { COPY_OF("finished"),
          "finding double: the run has more than one end" },
        { COPY_OF("left"), "finding double: the run was left more than once" },
        { "DELETE FROM tandem.run_claim WHERE class = 'ended'",
          "finding open: the table run_claim or open_run lacks" },
        { "UPDATE tandem.run_claim SET idx = idx + 100",
          "finding open: the table run_claim or open_run has" },
        { "DELETE FROM tandem.open_run", "finding open: the table" },
        { "UPDATE tandem.checkpoint SET note = replace(note, 'log.example/', "
          "'log.exampl/')",
          "finding checkpoint: the checkpoint's signature is false" },
        { "UPDATE tandem.checkpoint SET size = size + 1",
          "finding checkpoint: a checkpoint's columns" },
        { "UPDATE tandem.checkpoint SET note = 'none'",
          "finding checkpoint: a checkpoint cannot be read" },
        { "UPDATE tandem.checkpoint SET note = "
          "replace(note, 'log.example ', 'log.other ')",
          "finding checkpoint: the checkpoint is signed by none" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        copy_ledger(state);
        tamper(cases[i].sql);
        verify();
        assert_says(cases[i].found);
    }
}

/* The newest entries and every trace of them: only what is kept elsewhere
 * tells. */
static void
the_newest_entries_taken_away_take_an_anchor_to_find(void **state)
{
    struct verify_anchor anchor = { .log_id = other.id,
                                    .size = other.tree.size };

    (void)state;
    assert_int_equal(merkle_root(&other.tree, anchor.root, NULL), 0);
    options.anchors = &anchor;
    options.anchor_count = 1;
    verify();
    assert_clean();
    tamper("CREATE TEMP TABLE gone AS SELECT run_id FROM tandem.entry "
           "WHERE log_id = (SELECT log_id FROM tandem.entry "
           "WHERE body LIKE '%host-b%') AND run_id IS NOT NULL;"
           "DELETE FROM tandem.entry WHERE run_id IN (SELECT * FROM gone);"
           "DELETE FROM tandem.content WHERE run_id IN (SELECT * FROM gone);"
           "DELETE FROM tandem.run_claim WHERE run_id IN (SELECT * FROM gone)");
    options.anchor_count = 0;
    verify();
    assert_clean();
    options.anchor_count = 1;
    verify();
    assert_says("finding anchor: it had 3 entries when its head was kept "
                "elsewhere, there are 1");
}

/* ---- proof and export ---------------------------------------------------- */

static int
to_file(void *arg, const char *bytes, size_t len, struct err *err)
{
    (void)err;
    return fwrite(bytes, 1, len, arg) == len ? 0 : -1;
}

static void
export_to(const char *path, const struct export_request *request)
{
    struct source *source = open_as("auditor");
    FILE *file = fopen(path, "w");
    struct err err = { 0 };

    assert_non_null(file);
    must(export_write(source, request, to_file, file, &err), &err);
    fclose(file);
    source->ops->close(source);
}

static struct source *
open_export(const char *path)
{
    struct err err = { 0 };
    struct source *source = source_export_open(path, &err);

    must(source == NULL ? -1 : 0, &err);
    return source;
}

static void
what_is_exported_verifies_as_the_ledger_does(void **state)
{
    static const struct source_selection ended = { .since_unix_us = 1,
                                                   .until_unix_us = INT64_MAX,
                                                   .status = "ok" };
    char path[] = "/tmp/test_source_pg.XXXXXX";

    (void)state;
    assert_true(mkstemp(path) != -1);
    export_to(path, &(struct export_request){ .texts = true });
    verify_source(open_export(path));
    assert_clean();
    assert_int_equal(said.counts.entries, 14);
    assert_int_equal(said.counts.contents, 10);
    assert_int_equal(said.counts.checkpoints, 2);
    assert_int_equal(said.head_count, 2);
    export_to(path,
              &(struct export_request){ .texts = true, .selection = &ended });
    verify_source(open_export(path));
    assert_clean();
    assert_int_equal(said.counts.runs, 2); /* one was left, one is open */
    assert_int_equal(said.counts.entries, 4);
    unlink(path);
}

static void
count_shown(void *arg, const char *text)
{
    (void)text;
    ++*(int *)arg;
}

static void
count_none(void *arg, const char *text)
{
    (void)arg;
    fail_msg("%s", text);
}

static void
a_run_is_proved_and_one_without_a_checkpoint_is_not_yet(void **state)
{
    struct proof_request request = { .run_id = run_id,
                                     .from = 2,
                                     .deadline_mono_ms = INT64_MAX };
    const struct proof_rules rules = { .keys = &key, .key_count = 1 };
    struct source *source = open_as("reader");
    int shown_count = 0;
    const struct proof_watcher watcher = { .arg = &shown_count,
                                           .shown = count_shown,
                                           .refuted = count_none };
    struct err err = { 0 };
    struct buf proof;

    (void)state;
    buf_init(&proof, MAX_TEXT);
    assert_int_equal(proof_make(source, &request, &proof, &err), PROOF_MADE);
    must(proof_check(proof.bytes, proof.len, &rules, &watcher, &err), &err);
    assert_int_equal(shown_count, 1 + 3 + 1);
    request.run_id = open_id;
    assert_int_equal(proof_make(source, &request, &proof, &err), PROOF_NOT_YET);
    assert_int_equal(uuid_v7_new(&request.run_id, NULL), 0);
    assert_int_equal(proof_make(source, &request, &proof, &err), PROOF_NO_RUN);
    buf_close(&proof);
    source->ops->close(source);
}

#define ON_A_COPY(name) cmocka_unit_test_setup(name, copy_ledger)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_COPY(an_untouched_ledger_of_two_hosts_is_clean_and_counted),
        ON_A_COPY(whoever_may_not_see_texts_can_verify_the_rest),
        ON_A_COPY(every_tampering_of_a_superuser_is_named),
        ON_A_COPY(the_newest_entries_taken_away_take_an_anchor_to_find),
        ON_A_COPY(what_is_exported_verifies_as_the_ledger_does),
        ON_A_COPY(a_run_is_proved_and_one_without_a_checkpoint_is_not_yet),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
