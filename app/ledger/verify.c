/* verify.c - see verify.h. */
#include "ledger/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/crypto.h"
#include "ledger/verify_pass.h"

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

enum source_step
verify_next(struct verify *verify, enum source_query query,
            struct source_row *row, struct err *err)
{
    return verify->source->ops->next(verify->source, query, row, err);
}

/* ---- is the store what we made? ---------------------------------------- */

static const struct verify_place nowhere = { .idx = -1 };

static void
on_store_report(void *arg, const char *check, const char *text)
{
    verify_report(arg, VERIFY_FINDING, check, &nowhere, "%s", text);
}

int
verify_store(struct verify *verify, struct err *err)
{
    if (verify->source->ops->check == NULL)
        return 0;
    return verify->source->ops->check(verify->source, on_store_report, verify,
                                      err);
}

/* ---- all of it --------------------------------------------------------- */

static int
make_passes(struct verify *verify, struct err *err)
{
    static int (*const passes[])(struct verify *, struct err *) = {
        verify_store, verify_checkpoints, verify_entries,
        verify_chain, verify_runs,        verify_content,
    };

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

/* The newest of each host. */
static void
tell_heads(struct verify *verify)
{
    for (size_t i = 0; i < verify->log_count; i++)
        if (!verify->logs[i].named &&
            verify_newest_log(verify, verify->logs[i].host) == &verify->logs[i])
            verify->watcher->head(verify->watcher->arg, &verify->logs[i].head);
}

int
verify_run(struct source *source, const struct verify_options *options,
           const struct verify_watcher *watcher, struct verify_counts *counts,
           struct err *err)
{
    static const struct source_reading readings[] = {
        { .query = SOURCE_CHECKPOINTS }, { .query = SOURCE_COUNT },
        { .query = SOURCE_ENTRIES },     { .query = SOURCE_OPEN },
        { .query = SOURCE_LISTED },      { .query = SOURCE_UNLISTED },
        { .query = SOURCE_RUNS },        { .query = SOURCE_ACCEPTED_TWICE },
        { .query = SOURCE_UNACCEPTED },  { .query = SOURCE_ENDED_TWICE },
        { .query = SOURCE_LEFT },        { .query = SOURCE_LEFT_TWICE },
        { .query = SOURCE_CONTENT },
    };
    const bool texts = !options->without_texts && !source->without_texts;
    const struct source_plan plan = {
        .readings = readings,
        .count = ARRAY_LEN(readings) - (texts ? 0 : 1),
        .texts = texts,
        .deadline_mono_ms = INT64_MAX,
    };
    struct verify verify = { .source = source,
                             .watcher = watcher,
                             .options = options,
                             .without_texts = !texts };
    int result = -1;

    if (crypto_random(verify.key, sizeof(verify.key), err) == 0 &&
        source->ops->begin(source, &plan, err) == 0 &&
        make_passes(&verify, err) == 0) {
        tell_heads(&verify);
        result = 0;
    }
    *counts = verify.counts;
    free(verify.logs);
    free(verify.marks);
    return result;
}
