/* verify.c - see verify.h. */
#include "ledger/verify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/crypto.h"
#include "client/lite.h"
#include "ledger/schema.h"
#include "ledger/verify_pass.h"

#define BUSY_MS 5000

void
verify_report(struct verify *verify, enum verify_weight weight,
              const char *check, const struct verify_place *place,
              const char *fmt, ...)
{
    struct verify_report report = {
        .weight = weight,
        .check = check,
        .log_id = place->log_id,
        .idx = place->idx,
        .run_id = place->run_id,
        .part = place->part,
    };
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    report.text = text;
    if (weight == VERIFY_FINDING)
        verify->counts.findings++;
    verify->watcher->report(verify->watcher->arg, &report);
}

int
verify_add_to_sum(const struct verify *verify, uint64_t *sum,
                  const char *run_id, size_t run_id_len, const char *part,
                  size_t part_len, struct err *err)
{
    const struct crypto_part parts[] = {
        { verify->key, sizeof(verify->key) },
        { run_id, run_id_len },
        { part, part_len },
    };
    uint8_t digest[SHA256_LEN];
    uint64_t term;

    if (crypto_sha256(parts, ARRAY_LEN(parts), digest, err) == -1)
        return -1;
    memcpy(&term, digest, sizeof(term));
    *sum += term; /* overflow wraps, and is meant to */
    return 0;
}

/* ---- is the file what we made? ----------------------------------------- */

/* SQLite's own check of pages, indexes and constraints. */
static int
check_integrity(struct verify *verify, struct err *err)
{
    static const struct verify_place nowhere = { .idx = -1 };
    struct lite_stmt *stmt =
        lite_prepare(verify->db, "PRAGMA integrity_check", err);
    enum lite_step step;

    if (stmt == NULL)
        return -1;
    while ((step = lite_step(stmt, err)) == LITE_ROW) {
        const char *text = lite_text(stmt, 0, NULL);

        if (text == NULL || strcmp(text, "ok") != 0)
            verify_report(verify, VERIFY_FINDING, "file", &nowhere,
                          "SQLite finds the file damaged: %s",
                          text != NULL ? text : "no reason given");
    }
    lite_finalize(stmt);
    return step == LITE_DONE ? 0 : -1;
}

/* Reports every object of one database that the other has not, or has
 * otherwise. */
static int
compare_schemas(struct verify *verify, struct lite *one, struct lite *other,
                const char *what, struct err *err)
{
    static const struct verify_place nowhere = { .idx = -1 };
    struct lite_stmt *objects =
        lite_prepare(one,
                     "SELECT type, name, sql FROM sqlite_schema "
                     "WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
                     err);
    struct lite_stmt *same = lite_prepare(
        other,
        "SELECT 1 FROM sqlite_schema WHERE type = ? AND name = ? AND sql = ?",
        err);
    enum lite_step step = LITE_FAILED;

    while (objects != NULL && same != NULL &&
           (step = lite_step(objects, err)) == LITE_ROW) {
        for (int i = 0; i < 3; i++) {
            size_t len;
            const char *text = lite_text(objects, i, &len);

            lite_bind_text(same, i + 1, text, len);
        }
        step = lite_step(same, err);
        lite_reset(same);
        if (step == LITE_FAILED)
            break;
        if (step == LITE_DONE)
            verify_report(verify, VERIFY_FINDING, "schema", &nowhere,
                          "%s %s %s", lite_text(objects, 0, NULL),
                          lite_text(objects, 1, NULL), what);
    }
    lite_finalize(objects);
    lite_finalize(same);
    return step == LITE_DONE ? 0 : -1;
}

static int
check_schema(struct verify *verify, struct err *err)
{
    struct lite *model = schema_model(err);
    int result = -1;

    if (model != NULL &&
        compare_schemas(verify, model, verify->db, "is missing or was changed",
                        err) == 0 &&
        compare_schemas(verify, verify->db, model,
                        "is not part of the ledger or was changed", err) == 0)
        result = 0;
    lite_close(model);
    return result;
}

int
verify_file(struct verify *verify, struct err *err)
{
    if (check_schema(verify, err) == -1)
        return -1;
    return check_integrity(verify, err);
}

/* ---- all of it --------------------------------------------------------- */

static int
open_ledger(struct verify *verify, const char *path, struct err *err)
{
    if (access(path, F_OK) == -1 && errno == ENOENT)
        return err_set(err, ERR_INVALID, "there is no ledger at %s", path);
    verify->db = lite_open(path, LITE_READ_ONLY, BUSY_MS, err);
    if (verify->db == NULL || schema_check(verify->db, err) == -1)
        return -1;
    /* Room for the inner pages of all indexes and little more: what is read
     * but once only drives other things out of the processor's caches.  One
     * moment for all passes, while the scribe goes on writing. */
    return lite_exec(verify->db, "PRAGMA cache_size = -16384; BEGIN", err);
}

static int
make_passes(struct verify *verify, struct err *err)
{
    static int (*const passes[])(struct verify *, struct err *) = {
        verify_file, verify_entries, verify_chain, verify_runs, verify_content,
    };
    static const struct verify_place nowhere = { .idx = -1 };

    for (size_t i = 0; i < ARRAY_LEN(passes); i++) {
        struct err why = { 0 };

        if (passes[i](verify, &why) == 0)
            continue;
        if (why.kind != ERR_INVALID)
            return err_set(err, why.kind, "%s", why.text);
        /* A file so damaged that it cannot be read is a finding. */
        verify_report(verify, VERIFY_FINDING, "file", &nowhere,
                      "the file cannot be read further: %s", why.text);
    }
    return 0;
}

static void
tell_head(struct verify *verify)
{
    const struct verify_log *newest = verify_newest_log(verify);

    if (newest != NULL)
        verify->watcher->head(verify->watcher->arg, &newest->head);
}

int
verify_run(const char *path, const struct verify_anchor *anchors,
           size_t anchor_count, const struct verify_watcher *watcher,
           struct verify_counts *counts, struct err *err)
{
    struct verify verify = { .watcher = watcher,
                             .anchors = anchors,
                             .anchor_count = anchor_count };
    int result = -1;

    if (crypto_random(verify.key, sizeof(verify.key), err) == 0 &&
        open_ledger(&verify, path, err) == 0 &&
        make_passes(&verify, err) == 0) {
        tell_head(&verify);
        result = 0;
    }
    *counts = verify.counts;
    free(verify.logs);
    if (verify.db != NULL)
        lite_rollback(verify.db);
    lite_close(verify.db);
    return result;
}
