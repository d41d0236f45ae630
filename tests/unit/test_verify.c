#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/str.h"
#include "client/lite.h"
#include "ledger/columns.h"
#include "ledger/merkle.h"
#include "ledger/verify.h"
#include "support/ledger_fixture.h"
#include "sys/file.h"
#include "sys/log.h"

#define MAX_REPORTS   64
#define MAX_DB_BYTES  (4u << 20)
#define MAX_SQL_BYTES 16384

/* What a verification said; texts are copied. */
struct said {
    struct one {
        enum verify_weight weight;
        char check[16];
        char log_id[48];
        int64_t idx;
        char run_id[48];
        char part[32];
        char text[200];
    } all[MAX_REPORTS];
    size_t count;
    struct verify_head head;
    struct verify_counts counts;
};

static struct fixture fixture;
static struct said said;

static void
copy(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%.*s", (int)size - 1, from != NULL ? from : "");
}

static void
on_report(void *arg, const struct verify_report *report)
{
    struct said *to = arg;
    struct one *one;

    if (to->count == MAX_REPORTS)
        return;
    one = &to->all[to->count++];
    one->weight = report->weight;
    one->idx = report->idx;
    copy(one->check, sizeof(one->check), report->check);
    copy(one->log_id, sizeof(one->log_id), report->log_id);
    copy(one->run_id, sizeof(one->run_id), report->run_id);
    copy(one->part, sizeof(one->part), report->part);
    copy(one->text, sizeof(one->text), report->text);
}

static void
on_head(void *arg, const struct verify_head *newest)
{
    ((struct said *)arg)->head = *newest;
}

static void
on_progress(void *arg, int64_t done, int64_t total)
{
    (void)arg;
    assert_true(done <= total);
}

/* What the next verifications are told. */
static struct verify_options options;

static int
verify_path(const char *path, struct err *err)
{
    const struct verify_watcher watcher = { .arg = &said,
                                            .report = on_report,
                                            .head = on_head,
                                            .progress = on_progress };
    struct source *source = source_lite_open(path, err);
    int result;

    memset(&said, 0, sizeof(said));
    if (source == NULL)
        return -1;
    result = verify_run(source, &options, &watcher, &said.counts, err);
    source->ops->close(source);
    return result;
}

static void
verify_with(const struct verify_anchor *anchor)
{
    struct err err = { 0 };

    options.anchors = anchor;
    options.anchor_count = anchor != NULL ? 1 : 0;
    if (verify_path(fixture.path, &err) == -1)
        fail_msg("%s", err.text);
}

static void
verify(void)
{
    verify_with(NULL);
}

static bool
says(const char *check, const char *text)
{
    for (size_t i = 0; i < said.count; i++)
        if (strcmp(said.all[i].check, check) == 0 &&
            strstr(said.all[i].text, text) != NULL)
            return true;
    return false;
}

static void
assert_clean(void)
{
    verify();
    for (size_t i = 0; i < said.count; i++)
        if (said.all[i].weight == VERIFY_FINDING)
            fail_msg("%s: %s", said.all[i].check, said.all[i].text);
    assert_int_equal(said.counts.findings, 0);
}

static void
assert_found(const char *check, const char *text)
{
    verify();
    assert_true(said.counts.findings > 0);
    if (!says(check, text))
        fail_msg("first of %zu is %s: %s", said.count, said.all[0].check,
                 said.all[0].text);
}

/* Three logs: one closed in order, one cut off, one still open.  The run of the
 * second has its last entry in the third. */
static int
set_up(void **state)
{
    struct uuid run_id = fixture_new_run();

    (void)state;
    fixture_make(&fixture);
    fixture_open_log(&fixture);
    fixture_write_run(&fixture);
    fixture_write(&fixture, ENTRY_ACCEPTED, &run_id, NULL);
    fixture_write(&fixture, ENTRY_ORPHANED, &run_id, NULL);
    fixture_close_log(&fixture);
    fixture_open_log(&fixture);
    run_id = fixture_write_run(&fixture);
    fixture_lose_log(&fixture);
    fixture_open_log(&fixture);
    fixture_write_run(&fixture);
    fixture_write(&fixture, ENTRY_LEFT, &run_id, NULL);
    fixture_lose_log(&fixture);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    fixture_remove(&fixture);
    return 0;
}

/* ---- in order ---------------------------------------------------------- */

static void
test_an_untouched_ledger_is_clean_and_counted(void **state)
{
    (void)state;
    assert_clean();
    assert_int_equal(said.counts.entries, 6 + 3 + 4);
    assert_int_equal(said.counts.logs, 3);
    assert_int_equal(said.counts.runs, 4);
    assert_int_equal(said.counts.contents, 12);
    assert_int_equal(said.counts.open_runs, 0);
    assert_int_equal(said.head.size, 4);
    assert_false(said.head.closed);
}

static void
test_an_open_run_is_a_note_while_the_log_is_being_written(void **state)
{
    const struct uuid run_id = fixture_new_run();

    (void)state;
    fixture_open_log(&fixture);
    fixture_write(&fixture, ENTRY_ACCEPTED, &run_id, NULL);
    fixture_lose_log(&fixture);
    assert_clean();
    assert_int_equal(said.counts.open_runs, 1);
    assert_int_equal(said.all[0].weight, VERIFY_NOTE);
    assert_string_equal(said.all[0].check, "open");
    assert_int_equal(said.all[0].idx, 1);
}

static void
test_an_open_run_is_a_finding_once_the_log_is_closed(void **state)
{
    const struct uuid run_id = fixture_new_run();

    (void)state;
    fixture_open_log(&fixture);
    fixture_write(&fixture, ENTRY_ACCEPTED, &run_id, NULL);
    fixture_close_log(&fixture);
    assert_found("open", "has no end");
}

static void
test_what_is_no_ledger_cannot_be_checked(void **state)
{
    static const char noise[] = "this is no database, but longer than a header"
                                " of SQLite, which has a hundred bytes or so";
    struct err err = { 0 };
    char path[128];

    (void)state;
    assert_int_equal(verify_path("/nowhere/ledger.db", &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    snprintf(path, sizeof(path), "%s/noise", fixture.folder);
    assert_int_equal(file_write_durably(path, 0600, noise, sizeof(noise), NULL),
                     0);
    err = (struct err){ 0 };
    assert_int_equal(verify_path(path, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    remove(path);
}

/* ---- every column of every row ----------------------------------------- */

/* A row as it was before and is after; either may be named. */
struct named {
    char log_id[48];
    int64_t idx;
    char run_id[48];
    char part[32];
};

static struct named
row_name(struct lite *db, const char *table, int64_t rowid)
{
    const bool is_entry = strcmp(table, "entry") == 0;
    struct named named = { .idx = -1 };
    struct lite_stmt *stmt =
        lite_prepare(db,
                     is_entry ? "SELECT log_id, idx FROM entry WHERE rowid = ?"
                              : "SELECT run_id, part FROM content "
                                "WHERE rowid = ?",
                     NULL);

    assert_non_null(stmt);
    lite_bind_int(stmt, 1, rowid);
    assert_int_equal(lite_step(stmt, NULL), LITE_ROW);
    if (is_entry) {
        copy(named.log_id, sizeof(named.log_id), lite_text(stmt, 0, NULL));
        named.idx = lite_int(stmt, 1);
    } else {
        copy(named.run_id, sizeof(named.run_id), lite_text(stmt, 0, NULL));
        copy(named.part, sizeof(named.part), lite_text(stmt, 1, NULL));
    }
    lite_finalize(stmt);
    return named;
}

static bool
is_named(const struct named *named)
{
    for (size_t i = 0; i < said.count; i++) {
        const struct one *one = &said.all[i];

        if (one->weight != VERIFY_FINDING)
            continue;
        if (named->log_id[0] != '\0' &&
            strcmp(one->log_id, named->log_id) == 0 && one->idx == named->idx)
            return true;
        if (named->part[0] != '\0' && strcmp(one->run_id, named->run_id) == 0 &&
            strcmp(one->part, named->part) == 0)
            return true;
    }
    return false;
}

static struct named
name_now(const char *table, int64_t rowid)
{
    struct lite *db = lite_open(fixture.path, LITE_READ_ONLY, 1000, NULL);
    struct named named;

    assert_non_null(db);
    named = row_name(db, table, rowid);
    lite_close(db);
    return named;
}

/* Changes one field by as little as its type allows.  Numbers go far enough
 * not to meet the next row's. */
static void
change_field(const char *table, const char *column, int64_t rowid)
{
    char sql[1024];

    snprintf(sql, sizeof(sql),
             "UPDATE %s SET %s = CASE typeof(%s)"
             " WHEN 'integer' THEN %s + 1000"
             " WHEN 'text' THEN CASE WHEN %s LIKE '%%a'"
             "  THEN substr(%s, 1, length(%s) - 1) || 'b'"
             "  ELSE substr(%s, 1, length(%s) - 1) || 'a' END"
             " WHEN 'blob' THEN CAST(substr(%s, 1, 31) || CASE"
             "  WHEN substr(%s, 32) = x'00' THEN x'01' ELSE x'00' END AS BLOB)"
             " ELSE 7 END WHERE rowid = %" PRId64,
             table, column, column, column, column, column, column, column,
             column, column, column, rowid);
    fixture_tamper(&fixture, sql);
}

static void
restore(const struct buf *original)
{
    assert_int_equal(file_write_durably(fixture.path, 0600, original->bytes,
                                        original->len, NULL),
                     0);
}

static void
tamper_with_every_row(const char *table, const char *column,
                      const struct buf *original)
{
    char sql[64];
    int64_t row_count;

    snprintf(sql, sizeof(sql), "SELECT max(rowid) FROM %s", table);
    row_count = fixture_int(&fixture, sql);
    for (int64_t rowid = 1; rowid <= row_count; rowid++) {
        const struct named before = name_now(table, rowid);
        struct named after;

        change_field(table, column, rowid);
        after = name_now(table, rowid);
        verify();
        if (!is_named(&before) && !is_named(&after))
            fail_msg("%s.%s of row %" PRId64 " was changed unnoticed", table,
                     column, rowid);
        restore(original);
    }
}

static void
test_a_change_of_any_column_of_any_row_is_named(void **state)
{
    static const char *const tables[] = { "entry", "content" };
    struct lite *model;
    struct buf original;
    size_t columns = 0;

    (void)state;
    buf_init(&original, MAX_DB_BYTES);
    assert_int_equal(file_read(fixture.path, &original, NULL), 0);
    model = lite_open(fixture.path, LITE_READ_ONLY, 1000, NULL);
    assert_non_null(model);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        char names[40][32];
        size_t count = 0;
        char sql[64];
        struct lite_stmt *stmt;

        snprintf(sql, sizeof(sql), "PRAGMA table_info(%s)", tables[i]);
        stmt = lite_prepare(model, sql, NULL);
        while (lite_step(stmt, NULL) == LITE_ROW) {
            assert_true(count < ARRAY_LEN(names));
            copy(names[count++], sizeof(names[0]), lite_text(stmt, 1, NULL));
        }
        lite_finalize(stmt);
        if (i == ARRAY_LEN(tables) - 1) {
            lite_close(model);
            model = NULL;
        }
        columns += count;
        for (size_t j = 0; j < count; j++)
            tamper_with_every_row(tables[i], names[j], &original);
    }
    assert_int_equal(columns, COLUMN_COUNT + 2 + 4);
    buf_close(&original);
}

/* ---- rows that go or come ---------------------------------------------- */

static void
test_a_missing_entry_is_a_gap(void **state)
{
    (void)state;
    fixture_tamper(&fixture, "DELETE FROM entry WHERE rowid = 2");
    assert_found("gap", "entries 1 to 1 before it are missing");
    assert_int_equal(said.all[0].idx, 2);
}

static void
test_a_log_cut_short_is_found_by_the_next(void **state)
{
    (void)state;
    fixture_tamper(&fixture, "DELETE FROM entry WHERE kind = 'log_closed'");
    assert_found("chain", "had 6 entries, there are 5");
}

static void
test_a_missing_log_is_found_by_the_next(void **state)
{
    (void)state;
    fixture_tamper(&fixture,
                   "DELETE FROM content WHERE run_id IN (SELECT run_id FROM "
                   "entry WHERE rowid BETWEEN 7 AND 9);"
                   "DELETE FROM entry WHERE rowid BETWEEN 7 AND 9");
    assert_found("chain", "with 3 entries, is missing");
    assert_true(says("chain", "no later log names it"));
}

static void
test_a_log_without_its_beginning_is_found(void **state)
{
    (void)state;
    fixture_tamper(&fixture, "DELETE FROM entry WHERE rowid = 1");
    assert_found("log_opened", "does not begin with log_opened");
    assert_true(says("gap", "entries 0 to 0"));
}

static void
test_missing_content_is_found(void **state)
{
    (void)state;
    fixture_tamper(&fixture, "DELETE FROM content WHERE rowid = 3");
    assert_found("content", "the content is missing");
    assert_string_equal(said.all[0].part, "flash");
}

static void
test_content_that_no_entry_speaks_of_is_found(void **state)
{
    (void)state;
    fixture_tamper(&fixture,
                   "INSERT INTO content SELECT run_id, 'pro_partial', salt, "
                   "body FROM content WHERE rowid = 1");
    assert_found("content", "no entry speaks of this content");
    assert_string_equal(said.all[0].part, "pro_partial");
}

static void
test_texts_that_changed_places_are_found(void **state)
{
    (void)state;
    fixture_tamper(&fixture,
                   "UPDATE content SET part = 'x' WHERE rowid = 3;"
                   "UPDATE content SET part = 'flash' WHERE rowid = 4;"
                   "UPDATE content SET part = 'pro' WHERE rowid = 3");
    assert_found("content", "not what the entry committed to");
    assert_int_equal(said.counts.findings, 2);
}

static void
test_an_end_without_a_beginning_is_found(void **state)
{
    (void)state;
    fixture_tamper(&fixture, "DELETE FROM entry WHERE rowid = 4");
    assert_found("unaccepted", "never accepted");
}

static void
test_an_open_run_that_the_list_lacks_is_found(void **state)
{
    const struct uuid run_id = fixture_new_run();

    (void)state;
    fixture_open_log(&fixture);
    fixture_write(&fixture, ENTRY_ACCEPTED, &run_id, NULL);
    fixture_lose_log(&fixture);
    assert_clean();
    fixture_tamper(&fixture, "DELETE FROM open_run");
    assert_found("open", "open_run lacks this run");
    assert_int_equal(said.counts.findings, 1);
}

static void
test_a_run_that_is_listed_as_open_and_is_not_is_found(void **state)
{
    (void)state;
    fixture_tamper(&fixture, "INSERT INTO open_run SELECT run_id FROM entry "
                             "WHERE kind = 'finished' LIMIT 1;"
                             "INSERT INTO open_run VALUES ('never seen')");
    assert_found("open", "open_run has a run that is not open");
    assert_int_equal(said.counts.findings, 2);
}

static void
test_a_run_left_without_having_finished_is_found(void **state)
{
    const struct uuid run_id = fixture_new_run();

    (void)state;
    fixture_open_log(&fixture);
    fixture_write(&fixture, ENTRY_ACCEPTED, &run_id, NULL);
    fixture_write(&fixture, ENTRY_LEFT, &run_id, NULL);
    fixture_lose_log(&fixture);
    assert_found("left", "was left and has not finished");
    assert_int_equal(said.counts.findings, 1);
}

static void
test_an_orphaned_run_cannot_be_left(void **state)
{
    const struct uuid run_id = fixture_new_run();

    (void)state;
    fixture_open_log(&fixture);
    fixture_write(&fixture, ENTRY_ACCEPTED, &run_id, NULL);
    fixture_write(&fixture, ENTRY_ORPHANED, &run_id, NULL);
    fixture_write(&fixture, ENTRY_LEFT, &run_id, NULL);
    fixture_lose_log(&fixture);
    assert_found("left", "was left and has not finished");
    assert_int_equal(said.counts.findings, 1);
}

/* With all hashes in order: only a scribe that breaks its rules does this. */
static void
test_a_run_left_before_it_finished_is_found(void **state)
{
    static const struct uuid run_id = { { 1 } }, next_id = { { 2 } };

    (void)state;
    fixture_open_log(&fixture);
    fixture_write(&fixture, ENTRY_ACCEPTED, &run_id, NULL);
    fixture_write(&fixture, ENTRY_LEFT, &run_id, NULL);
    fixture_write(&fixture, ENTRY_FINISHED, &run_id, NULL);
    fixture_write(&fixture, ENTRY_ACCEPTED, &next_id, NULL);
    fixture_write(&fixture, ENTRY_LEFT, &next_id, NULL);
    fixture_lose_log(&fixture);
    fixture_open_log(&fixture);
    fixture_write(&fixture, ENTRY_FINISHED, &next_id, NULL);
    fixture_lose_log(&fixture);
    assert_found("left", "stands before the run's finished entry");
    assert_int_equal(said.counts.findings, 2); /* in one log, and across two */
    assert_int_equal(said.all[0].idx, 2);
    assert_int_equal(said.all[1].idx, 5);
}

static void
test_a_run_left_twice_is_found(void **state)
{
    (void)state;
    fixture_tamper(&fixture,
                   "DROP INDEX entry_left;"
                   "INSERT INTO entry SELECT log_id, 4, recorded_at, kind, "
                   "run_id, status, salvage, started_at, total_ms, "
                   "flash_latency_ms, pro_latency_ms, flash_model, pro_model, "
                   "flash_input_tokens, flash_output_tokens, "
                   "pro_input_tokens, pro_output_tokens, principal, user_id, "
                   "leaf_hash, body FROM entry WHERE rowid = 13");
    assert_found("double", "the run was left more than once");
    assert_true(says("schema", "index entry_left is missing"));
}

/* ---- consistent rewriting ---------------------------------------------- */

/* Replaces words in one body and mends its hash and columns: what somebody with
 * all rights and this source can do. */
static void
rewrite(int64_t rowid, const char *words, const char *others)
{
    struct lite *db = lite_open(fixture.path, LITE_READ_ONLY, 1000, NULL);
    struct lite_stmt *stmt =
        lite_prepare(db,
                     "SELECT replace(body, ?, ?) FROM entry "
                     "WHERE rowid = ?",
                     NULL);
    char sql[MAX_SQL_BYTES], hex[2 * ENTRY_HASH_LEN + 1];
    uint8_t leaf[ENTRY_HASH_LEN];
    const char *body;
    size_t len;

    assert_non_null(stmt);
    lite_bind_text(stmt, 1, words, strlen(words));
    lite_bind_text(stmt, 2, others, strlen(others));
    lite_bind_int(stmt, 3, rowid);
    assert_int_equal(lite_step(stmt, NULL), LITE_ROW);
    body = lite_text(stmt, 0, &len);
    assert_int_equal(merkle_leaf(body, len, leaf, NULL), 0);
    str_to_hex(leaf, sizeof(leaf), hex);
    snprintf(sql, sizeof(sql),
             "UPDATE entry SET body = '%s', leaf_hash = x'%s', "
             "status = CASE status WHEN 'ok' THEN 'error' ELSE status END "
             "WHERE rowid = %" PRId64,
             body, hex, rowid);
    lite_finalize(stmt);
    lite_close(db);
    fixture_tamper(&fixture, sql);
}

#define MADE_UP "\"status\":\"ok\"", "\"status\":\"error\""

static void
test_a_consistent_change_in_a_closed_log_is_found_by_its_root(void **state)
{
    (void)state;
    rewrite(3, MADE_UP);
    assert_found("root", "root in log_closed");
    assert_true(says("root", "it gives for log"));
}

static void
test_a_consistent_change_in_a_lost_log_is_found_by_the_next(void **state)
{
    (void)state;
    rewrite(9, MADE_UP);
    assert_found("root", "it gives for log");
    assert_int_equal(said.counts.findings, 1);
}

/* And this is why heads are kept elsewhere. */
static void
test_a_consistent_change_in_the_newest_log_takes_an_anchor_to_find(void **state)
{
    struct verify_anchor anchor;

    (void)state;
    assert_clean();
    anchor = (struct verify_anchor){ .log_id = said.head.log_id,
                                     .size = said.head.size };
    memcpy(anchor.root, said.head.root, sizeof(anchor.root));
    verify_with(&anchor);
    assert_int_equal(said.counts.findings, 0);
    rewrite(12, MADE_UP);
    assert_clean();
    verify_with(&anchor);
    assert_true(says("anchor", "not the one kept elsewhere"));
}

static void
test_a_newest_log_cut_short_takes_an_anchor_to_find(void **state)
{
    struct verify_anchor anchor;

    (void)state;
    verify();
    anchor = (struct verify_anchor){ .log_id = said.head.log_id,
                                     .size = said.head.size };
    memcpy(anchor.root, said.head.root, sizeof(anchor.root));
    fixture_tamper(&fixture,
                   "DELETE FROM content WHERE run_id IN (SELECT run_id FROM "
                   "entry WHERE rowid = 12);"
                   "DELETE FROM entry WHERE rowid IN (11, 12, 13)");
    assert_clean();
    verify_with(&anchor);
    assert_true(says("anchor", "had 4 entries when its head was kept"));
}

/* ---- logs that are linked late, and checkpoints ------------------------- */

/* A log that was opened while nobody could tell the one before it. */
static void
make_newest_log_unlinked(void)
{
    const int64_t rowid = fixture_int(
        &fixture, "SELECT max(rowid) FROM entry WHERE kind = 'log_opened'");
    char sql[512];

    snprintf(sql, sizeof(sql),
             "UPDATE entry SET body = replace(substr(body, 1, "
             "instr(body, '\"previous\":') - 1) || "
             "'\"previous\":null,\"previous_known\":false,\"recorded_at\"' || "
             "substr(body, instr(body, '\"recorded_at\"') + 13), 'x', 'x') "
             "WHERE rowid = %" PRId64,
             rowid);
    fixture_tamper(&fixture, sql);
    rewrite(rowid, "none", "none"); /* mends the hash */
}

static void
test_a_log_that_is_not_linked_yet_is_a_note(void **state)
{
    (void)state;
    make_newest_log_unlinked();
    assert_clean();
    assert_true(says("chain", "is not linked to it yet"));
    assert_true(says("chain", "no later log names it"));
}

static void
test_a_link_in_a_log_that_names_its_predecessor_is_found(void **state)
{
    static const char facts[] = "{\"previous\":null}";
    const struct entry_record record = { .kind = ENTRY_LOG_LINKED,
                                         .facts = facts,
                                         .facts_len = strlen(facts) };
    struct logbook_result result;

    (void)state;
    fixture_open_log(&fixture);
    assert_int_equal(logbook_write(fixture.book, &record, 1, &result, NULL),
                     LOGBOOK_WRITTEN);
    fixture_lose_log(&fixture);
    assert_found("log_linked", "whose predecessor is known");
}

static void
test_a_checkpoint_of_another_root_is_found(void **state)
{
    (void)state;
    fixture_tamper(&fixture,
                   "INSERT INTO checkpoint SELECT log_id, 2, 1, "
                   "zeroblob(32), 'x/' || log_id || char(10) || '2' || "
                   "char(10) || 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=' "
                   "|| char(10) || char(10) || char(8212) || ' x AAAA' || "
                   "char(10) FROM entry WHERE rowid = 1");
    assert_found("checkpoint", "the root up to here");
    assert_int_equal(said.counts.checkpoints, 1);
    assert_true(says("checkpoint", "no key was given"));
}

static void
test_an_entry_after_log_closed_is_found(void **state)
{
    char sql[512];

    (void)state;
    snprintf(sql, sizeof(sql),
             "INSERT INTO entry (log_id, idx, recorded_at, kind, leaf_hash, "
             "body) SELECT log_id, 6, recorded_at, 'late', leaf_hash, body "
             "FROM entry WHERE rowid = 6");
    fixture_tamper(&fixture, sql);
    assert_found("log_closed", "an entry after log_closed (5)");
}

/* One text spoken of twice and another not at all: the numbers agree. */
static void
test_a_text_spoken_of_twice_does_not_hide_one_that_is_not(void **state)
{
    (void)state;
    rewrite(12, "\"part\":\"flash\"", "\"part\":\"query\"");
    assert_found("content", "no entry speaks of this content");
    assert_true(says("content", "more than one entry speaks of this"));
}

static void
test_a_body_that_is_not_canonical_is_found(void **state)
{
    (void)state;
    rewrite(3, ",\"kind\":", ", \"kind\":");
    assert_found("body", "not canonical");
}

/* ---- the file ---------------------------------------------------------- */

static void
test_a_missing_trigger_is_found(void **state)
{
    struct lite *db = lite_open(fixture.path, LITE_READ_WRITE, 1000, NULL);

    (void)state;
    assert_int_equal(lite_exec(db, "DROP TRIGGER entry_no_delete", NULL), 0);
    lite_close(db);
    assert_found("schema", "trigger entry_no_delete is missing");
}

static void
test_a_foreign_trigger_is_found(void **state)
{
    struct lite *db = lite_open(fixture.path, LITE_READ_WRITE, 1000, NULL);

    (void)state;
    assert_int_equal(lite_exec(db,
                               "CREATE TRIGGER quiet BEFORE INSERT ON entry "
                               "WHEN new.status = 'error' BEGIN "
                               "SELECT raise(IGNORE); END",
                               NULL),
                     0);
    lite_close(db);
    assert_found("schema", "trigger quiet is not part of the ledger");
}

static void
test_a_damaged_page_is_a_finding(void **state)
{
    struct buf file;

    (void)state;
    buf_init(&file, MAX_DB_BYTES);
    assert_int_equal(file_read(fixture.path, &file, NULL), 0);
    memset(file.bytes + 4096, 0x5a, 4096); /* the root of the first table */
    restore(&file);
    buf_close(&file);
    verify();
    assert_true(said.counts.findings > 0);
    assert_true(says("file", ""));
}

#define VERIFY_TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        VERIFY_TEST(test_an_untouched_ledger_is_clean_and_counted),
        VERIFY_TEST(test_an_open_run_is_a_note_while_the_log_is_being_written),
        VERIFY_TEST(test_an_open_run_is_a_finding_once_the_log_is_closed),
        VERIFY_TEST(test_what_is_no_ledger_cannot_be_checked),
        VERIFY_TEST(test_a_change_of_any_column_of_any_row_is_named),
        VERIFY_TEST(test_a_missing_entry_is_a_gap),
        VERIFY_TEST(test_a_log_cut_short_is_found_by_the_next),
        VERIFY_TEST(test_a_missing_log_is_found_by_the_next),
        VERIFY_TEST(test_a_log_without_its_beginning_is_found),
        VERIFY_TEST(test_missing_content_is_found),
        VERIFY_TEST(test_content_that_no_entry_speaks_of_is_found),
        VERIFY_TEST(test_texts_that_changed_places_are_found),
        VERIFY_TEST(test_an_end_without_a_beginning_is_found),
        VERIFY_TEST(test_an_open_run_that_the_list_lacks_is_found),
        VERIFY_TEST(test_a_run_that_is_listed_as_open_and_is_not_is_found),
        VERIFY_TEST(test_a_run_left_without_having_finished_is_found),
        VERIFY_TEST(test_an_orphaned_run_cannot_be_left),
        VERIFY_TEST(test_a_run_left_before_it_finished_is_found),
        VERIFY_TEST(test_a_run_left_twice_is_found),
        VERIFY_TEST(
            test_a_consistent_change_in_a_closed_log_is_found_by_its_root),
        VERIFY_TEST(
            test_a_consistent_change_in_a_lost_log_is_found_by_the_next),
        VERIFY_TEST(
            test_a_consistent_change_in_the_newest_log_takes_an_anchor_to_find),
        VERIFY_TEST(test_a_newest_log_cut_short_takes_an_anchor_to_find),
        VERIFY_TEST(test_a_log_that_is_not_linked_yet_is_a_note),
        VERIFY_TEST(test_a_link_in_a_log_that_names_its_predecessor_is_found),
        VERIFY_TEST(test_a_checkpoint_of_another_root_is_found),
        VERIFY_TEST(test_an_entry_after_log_closed_is_found),
        VERIFY_TEST(test_a_text_spoken_of_twice_does_not_hide_one_that_is_not),
        VERIFY_TEST(test_a_body_that_is_not_canonical_is_found),
        VERIFY_TEST(test_a_missing_trigger_is_found),
        VERIFY_TEST(test_a_foreign_trigger_is_found),
        VERIFY_TEST(test_a_damaged_page_is_a_finding),
    };

    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
