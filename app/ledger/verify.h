/*
 * verify - read the whole ledger and say where it is not what was written.
 *
 *     verify_run(source, &options, &watcher, &counts, &err);
 *
 * Recomputes every hash from the bodies and the content, compares every column
 * with the body beside it, follows the chain of logs, pairs beginnings with
 * ends, checks every checkpoint, and asks the source whether the store is as it
 * was made.  What that proves, and what it cannot, is in docs/LEDGER.md.
 *
 * Reads one moment of the ledger as a stream; memory grows with the numbers of
 * logs and checkpoints only.  Never writes.  The watcher is called as things
 * are found.
 */
#ifndef LEDGER_VERIFY_H
#define LEDGER_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/uuid.h"
#include "ledger/entry.h"
#include "ledger/note.h"
#include "ledger/source.h"

#define VERIFY_MAX_LOGS  1000000
#define VERIFY_MAX_MARKS 20000000

enum verify_weight {
    VERIFY_FINDING, /* not what was written */
    VERIFY_NOTE,    /* worth knowing, and in order */
};

/* Where and what.  Borrowed for the call. */
struct verify_report {
    enum verify_weight weight;
    const char *check;  /* a short fixed word such as leaf_hash */
    const char *log_id; /* NULL where it does not apply, */
    int64_t idx;        /* -1, */
    const char *run_id; /* NULL, */
    const char *part;   /* NULL */
    const char *text;   /* a sentence, without personal text */
};

/* The state of a log: what an anchor is made from. */
struct verify_head {
    struct uuid log_id;
    int64_t size;
    uint8_t root[ENTRY_HASH_LEN];
    bool closed;
};

/* A head that was kept elsewhere: the log must have had this root at this
 * size. */
struct verify_anchor {
    struct uuid log_id;
    int64_t size; /* at least 1 */
    uint8_t root[ENTRY_HASH_LEN];
};

/* Borrowed. */
struct verify_options {
    const struct verify_anchor *anchors;
    size_t anchor_count;
    const struct note_key *keys; /* who may have signed checkpoints */
    size_t key_count;            /* 0: signatures are not checked */
    bool without_texts;          /* the source has none, or may not read them */
};

struct verify_watcher {
    void *arg;
    void (*report)(void *arg, const struct verify_report *report);
    void (*head)(void *arg, const struct verify_head *newest); /* each host */
    void (*progress)(void *arg, int64_t done, int64_t total);  /* entries */
};

struct verify_counts {
    int64_t entries;
    int64_t logs;
    int64_t runs;
    int64_t contents;
    int64_t open_runs;
    int64_t checkpoints;
    int64_t findings;
};

/* 0 when everything was read, whatever was found; -1 when it could not be
 * checked: ERR_INVALID, ERR_SYSTEM, ERR_NOMEM, ERR_LIMIT. */
int verify_run(struct source *source, const struct verify_options *options,
               const struct verify_watcher *watcher,
               struct verify_counts *counts, struct err *err) ATTR_MUST_CHECK;

#endif
