/* ledger_fixture.c - see ledger_fixture.h. */
#include "support/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"
#include "support/scratch.h"
#include "support/spoken.h"

#define WAIT_MS         20000
#define USUAL_START     "2026-01-31T23:59:59.123456Z"
#define MAX_TRIGGERS    16
#define MAX_TRIGGER_SQL 1024

static void
must(int result, const struct err *err)
{
    if (result == -1)
        fail_msg("%s", err->text);
}

void
fixture_make(struct fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    scratch_make(fixture->folder);
    snprintf(fixture->path, sizeof(fixture->path), "%s/ledger.db",
             fixture->folder);
    snprintf(fixture->spool, sizeof(fixture->spool), "%s/spool",
             fixture->folder);
}

void
fixture_remove(struct fixture *fixture)
{
    fixture_lose_log(fixture);
    scratch_remove(fixture->folder);
}

/* ---- writing ----------------------------------------------------------- */

void
fixture_open_log(struct fixture *fixture)
{
    struct vault_config vault = { .spool = { .folder = fixture->spool,
                                             .max_bytes = INT64_MAX },
                                  .host = "test-host" };
    const struct store_place place = {
        .path = fixture->path,
        .url = fixture->url != NULL ? fixture->url : "",
        .database_ms = WAIT_MS,
    };
    struct err err = { 0 };

    vault.store = store_open(&place, clock_mono_ms() + WAIT_MS, &err);
    must(vault.store == NULL ? -1 : 0, &err);
    must(vault_init(&fixture->vault, &vault, clock_mono_ms() + WAIT_MS, &err),
         &err);
    fixture->book = logbook_open(&fixture->vault, "test-host", &err);
    must(fixture->book == NULL ? -1 : 0, &err);
}

void
fixture_lose_log(struct fixture *fixture)
{
    logbook_free(fixture->book);
    fixture->book = NULL;
    vault_close(&fixture->vault);
}

void
fixture_close_log(struct fixture *fixture)
{
    struct err err = { 0 };

    must(logbook_close(fixture->book, &err), &err);
    fixture_lose_log(fixture);
}

struct uuid
fixture_new_run(void)
{
    struct uuid run_id;

    assert_int_equal(uuid_v7_new(&run_id, NULL), 0);
    return run_id;
}

static json_t *
model_facts(const char *served, int latency_ms)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:i}", "outcome", "answered",
                     "served_model", served, "latency_ms", latency_ms,
                     "input_tokens", latency_ms + 1, "output_tokens",
                     latency_ms + 2);
}

static json_t *
make_facts(enum entry_kind kind, const struct fixture_options *options)
{
    const char *started_at =
        options->started_at != NULL ? options->started_at : USUAL_START;
    json_t *facts = json_pack("{s:s, s:s, s:s}", "started_at", started_at,
                              "principal", "key:\"demo\"\n", "user_id", "u-1");
    json_t *more;

    if (kind == ENTRY_FINISHED)
        more = json_pack("{s:s, s:s, s:i, s:o, s:o}", "status",
                         options->status != NULL ? options->status : "ok",
                         "salvage", "none", "total_ms", 2012, "flash",
                         model_facts("quick-1", 800), "pro",
                         model_facts("careful-2", 1900));
    else if (kind == ENTRY_LEFT)
        more = json_pack(
            "{s:s, s:{s:b, s:i, s:i}}", "status",
            options->status != NULL ? options->status : "cancelled", "client",
            "left", 1, "left_after_ms", 2013, "last_seq", 4);
    else
        more = json_pack("{s:s, s:s, s:s?}", "flash_model", "quick",
                         "pro_model", "careful", "status",
                         kind == ENTRY_ORPHANED ? "orphaned" : NULL);
    assert_non_null(facts);
    assert_non_null(more);
    assert_int_equal(json_object_update(facts, more), 0);
    json_decref(more);
    return facts;
}

struct entry_receipt
fixture_write(struct fixture *fixture, enum entry_kind kind,
              const struct uuid *run_id, const struct fixture_options *options)
{
    static const struct fixture_options usual = { .started_at = NULL };
    struct logbook_result result;
    struct err err = { 0 };
    struct entry_record record = { .kind = kind, .run_id = *run_id };
    char *facts;

    if (options == NULL)
        options = &usual;
    facts = spoken_text_take(make_facts(kind, options));
    record.facts = facts;
    record.facts_len = strlen(facts);
    record.parts = options->parts;
    record.part_count = options->part_count;
    assert_int_equal(logbook_write(fixture->book, &record, 1, &result, &err),
                     LOGBOOK_WRITTEN);
    must(result.written ? 0 : -1, &result.err);
    free(facts);
    return result.receipt;
}

struct uuid
fixture_write_run(struct fixture *fixture)
{
    static const struct entry_content asked[] = {
        { .part = ENTRY_PART_QUERY, .bytes = "why?", .len = 4 },
        { .part = ENTRY_PART_CONTEXT, .bytes = "{}", .len = 2 },
    };
    static const struct entry_content answered[] = {
        { .part = ENTRY_PART_FLASH, .bytes = "so", .len = 2, .cleaned = true },
        { .part = ENTRY_PART_PRO, .bytes = "because", .len = 7 },
    };
    const struct uuid run_id = fixture_new_run();

    fixture_write(fixture, ENTRY_ACCEPTED, &run_id,
                  &(struct fixture_options){ .parts = asked, .part_count = 2 });
    fixture_write(
        fixture, ENTRY_FINISHED, &run_id,
        &(struct fixture_options){ .parts = answered, .part_count = 2 });
    return run_id;
}

/* ---- tampering --------------------------------------------------------- */

static struct lite *
open_to_tamper(const struct fixture *fixture)
{
    struct err err = { 0 };
    struct lite *db = lite_open(fixture->path, LITE_READ_WRITE, WAIT_MS, &err);

    must(db == NULL ? -1 : 0, &err);
    must(lite_exec(db, "PRAGMA ignore_check_constraints = ON", &err), &err);
    return db;
}

static void
execute(struct lite *db, const char *sql)
{
    struct err err = { 0 };

    must(lite_exec(db, sql, &err), &err);
}

void
fixture_tamper(const struct fixture *fixture, const char *sql)
{
    struct lite *db = open_to_tamper(fixture);
    struct lite_stmt *triggers =
        lite_prepare(db,
                     "SELECT name, sql FROM sqlite_schema "
                     "WHERE type = 'trigger'",
                     NULL);
    char drop[MAX_TRIGGERS][MAX_TRIGGER_SQL];
    char create[MAX_TRIGGERS][MAX_TRIGGER_SQL];
    size_t count = 0;

    assert_non_null(triggers);
    while (lite_step(triggers, NULL) == LITE_ROW) {
        assert_true(count < MAX_TRIGGERS);
        snprintf(drop[count], MAX_TRIGGER_SQL, "DROP TRIGGER %s",
                 lite_text(triggers, 0, NULL));
        snprintf(create[count], MAX_TRIGGER_SQL, "%s",
                 lite_text(triggers, 1, NULL));
        count++;
    }
    lite_finalize(triggers);
    for (size_t i = 0; i < count; i++)
        execute(db, drop[i]);
    execute(db, sql);
    for (size_t i = 0; i < count; i++)
        execute(db, create[i]);
    lite_close(db);
}

int64_t
fixture_int(const struct fixture *fixture, const char *sql)
{
    struct err err = { 0 };
    struct lite *db = lite_open(fixture->path, LITE_READ_ONLY, WAIT_MS, &err);
    int64_t value = 0;

    must(db == NULL ? -1 : 0, &err);
    must(lite_exec_int(db, sql, &value, &err), &err);
    lite_close(db);
    return value;
}
