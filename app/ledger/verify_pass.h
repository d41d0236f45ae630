/*
 * verify_pass - the passes that verify.c makes over the ledger, one after the
 * other and over one moment of it.  For verify*.c alone.
 */
#ifndef LEDGER_VERIFY_PASS_H
#define LEDGER_VERIFY_PASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/columns.h"
#include "ledger/merkle.h"
#include "ledger/source.h"
#include "ledger/verify.h"

#define VERIFY_KEY_LEN 16

/* A log after its last entry was read. */
struct verify_log {
    struct verify_head head;
    struct column_log previous; /* as its log_opened or log_linked says */
    bool opened;
    bool unlinked; /* it could not look for the log before, and has not yet */
    bool named;    /* by a later log */
    uint64_t host; /* who wrote it; 0 in a ledger of one host */
    int64_t age;   /* logs after it in its chain; -1: in none */
    int64_t chain; /* which one that is */
    int64_t opened_unix_us;
};

/* A root that a log must have at a size: of an anchor or a checkpoint. */
struct verify_mark {
    struct uuid log_id;
    int64_t size;
    uint8_t root[ENTRY_HASH_LEN];
    bool is_anchor;
};

struct verify {
    struct source *source;
    const struct verify_watcher *watcher;
    const struct verify_options *options;
    struct verify_counts counts;
    bool without_texts;

    struct verify_log *logs; /* rising by log_id */
    size_t log_count;
    size_t log_capacity;

    struct verify_mark *marks; /* rising by log_id and size */
    size_t mark_count;
    size_t mark_capacity;

    /* Sums over a keyed hash of (run_id, part): of the content that entries
     * speak of, and of all content.  Equal when the two are the same. */
    uint8_t key[VERIFY_KEY_LEN];
    uint64_t spoken_of_sum;
};

/* Where a report is about; members as in struct verify_report. */
struct verify_place {
    const char *log_id;
    int64_t idx;
    const char *run_id;
    const char *part;
};

void verify_report(struct verify *verify, enum verify_weight weight,
                   const char *check, const struct verify_place *place,
                   const char *fmt, ...) ATTR_PRINTF(5, 6);

/* Adds (run_id, part) to a sum. */
int verify_add_to_sum(const struct verify *verify, uint64_t *sum,
                      const char *run_id, size_t run_id_len, const char *part,
                      size_t part_len, struct err *err) ATTR_MUST_CHECK;

/* The passes, in this order.  -1 when it could not be done. */
int verify_store(struct verify *verify, struct err *err) ATTR_MUST_CHECK;
int verify_checkpoints(struct verify *verify, struct err *err) ATTR_MUST_CHECK;
int verify_entries(struct verify *verify, struct err *err) ATTR_MUST_CHECK;
int verify_chain(struct verify *verify, struct err *err) ATTR_MUST_CHECK;
int verify_runs(struct verify *verify, struct err *err) ATTR_MUST_CHECK;
int verify_content(struct verify *verify, struct err *err) ATTR_MUST_CHECK;

/* The next row; SOURCE_DONE at the end. */
enum source_step verify_next(struct verify *verify, enum source_query query,
                             struct source_row *row,
                             struct err *err) ATTR_MUST_CHECK;

/* NULL when there is no such log. */
struct verify_log *verify_find_log(struct verify *verify,
                                   const struct uuid *log_id);

/* The log that this host wrote to last; NULL when there is none. */
const struct verify_log *verify_newest_log(struct verify *verify,
                                           uint64_t host);

/* The log's first mark, or what comes where it would be. */
size_t verify_find_mark(const struct verify *verify, const struct uuid *log_id);

#endif
