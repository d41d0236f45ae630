/*
 * verify_pass - the passes that verify.c makes over the ledger, one after the
 * other in one read transaction.  For verify*.c alone.
 */
#ifndef LEDGER_VERIFY_PASS_H
#define LEDGER_VERIFY_PASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "client/lite.h"
#include "ledger/columns.h"
#include "ledger/merkle.h"
#include "ledger/verify.h"

#define VERIFY_KEY_LEN 16

/* A log after its last entry was read. */
struct verify_log {
    struct verify_head head;
    struct column_log previous; /* as its log_opened says */
    bool opened;
    bool named;  /* by a later log */
    int64_t age; /* logs after it in the chain; -1: not in the chain */
    int64_t opened_unix_us;
};

struct verify {
    struct lite *db;
    const struct verify_watcher *watcher;
    const struct verify_anchor *anchors;
    size_t anchor_count;
    struct verify_counts counts;

    struct verify_log *logs; /* rising by log_id */
    size_t log_count;
    size_t log_capacity;

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
int verify_file(struct verify *verify, struct err *err) ATTR_MUST_CHECK;
int verify_entries(struct verify *verify, struct err *err) ATTR_MUST_CHECK;
int verify_chain(struct verify *verify, struct err *err) ATTR_MUST_CHECK;
int verify_runs(struct verify *verify, struct err *err) ATTR_MUST_CHECK;
int verify_content(struct verify *verify, struct err *err) ATTR_MUST_CHECK;

/* NULL when there is no such log. */
struct verify_log *verify_find_log(struct verify *verify,
                                   const struct uuid *log_id);

/* The log that was written to last; NULL when there is none. */
const struct verify_log *verify_newest_log(struct verify *verify);

#endif
