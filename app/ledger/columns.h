/*
 * columns - what an entry's body says about the columns beside it.
 *
 * The body is the truth; the columns are there for people who filter and sum.
 * The store writes what columns_read() found and verification compares with
 * it, so that the two can differ only when somebody changed one of them.
 *
 * A model's name, latency and tokens come from the objects flash and pro where
 * they are (entries about the end of a run), else from flash_model and
 * pro_model.
 */
#ifndef LEDGER_COLUMNS_H
#define LEDGER_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/uuid.h"
#include "ledger/entry.h"

/* In the order of the table, which ends in leaf_hash and body. */
enum column {
    COLUMN_LOG_ID,
    COLUMN_IDX,
    COLUMN_RECORDED_AT,
    COLUMN_KIND,
    COLUMN_RUN_ID,
    COLUMN_STATUS,
    COLUMN_SALVAGE,
    COLUMN_STARTED_AT,
    COLUMN_TOTAL_MS,
    COLUMN_FLASH_LATENCY_MS,
    COLUMN_PRO_LATENCY_MS,
    COLUMN_FLASH_MODEL,
    COLUMN_PRO_MODEL,
    COLUMN_FLASH_INPUT_TOKENS,
    COLUMN_FLASH_OUTPUT_TOKENS,
    COLUMN_PRO_INPUT_TOKENS,
    COLUMN_PRO_OUTPUT_TOKENS,
    COLUMN_PRINCIPAL,
    COLUMN_USER_ID,
    COLUMN_COUNT,
};

#define COLUMNS_MAX_ESCAPED_BYTES 4096 /* of all texts with escapes */
#define COLUMNS_HASH_HEX_LEN      ENTRY_HASH_HEX_LEN

enum column_type { COLUMN_NULL, COLUMN_INT, COLUMN_TEXT };

/* Times are integers: microseconds since 1970. */
struct column_value {
    enum column_type type;
    int64_t number;
    const char *text;
    size_t len;
};

/* What the body commits to for one part. */
struct column_part {
    const char *name; /* of the part; no NUL */
    size_t name_len;
    const char *sha256; /* COLUMNS_HASH_HEX_LEN digits; no NUL */
    int64_t len;        /* bytes of the text */
};

/* A log as another entry speaks of it. */
struct column_log {
    bool present;
    struct uuid log_id; /* of a log_opened's previous; else zero */
    int64_t size;
    uint8_t root[ENTRY_HASH_LEN];
};

/* Borrowed from the body, or points into itself: do not copy. */
struct columns {
    int64_t format; /* v */
    struct column_value at[COLUMN_COUNT];
    struct column_part parts[ENTRY_MAX_PARTS];
    size_t part_count;
    struct column_log previous; /* log_opened, log_linked: the log before */
    bool previous_unknown;      /* log_opened: it could not be looked up */
    const char *host;           /* log_opened; NULL when it names none */
    size_t host_len;
    struct column_log closed; /* log_closed: this log up to here */
    size_t escaped_len;
    char escaped[COLUMNS_MAX_ESCAPED_BYTES];
};

const char *column_name(enum column column);

/* It is this text. */
bool column_is(const struct column_value *value, const char *text);

/* -1 on ERR_INVALID: not canonical, a member of another type than its column,
 * or a log entry without its members. */
int columns_read(struct columns *columns, const char *body, size_t len,
                 struct err *err) ATTR_MUST_CHECK;

#endif
