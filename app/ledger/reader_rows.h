/*
 * reader_rows - what a database does for reader.c: questions and their rows.
 *
 * A question's rows come from next() until it is done; stop() is called in any
 * case.  Columns are those of the enums below, in this order.
 */
#ifndef LEDGER_READER_ROWS_H
#define LEDGER_READER_ROWS_H

#include "ledger/reader.h"

/* list(): one set. */
enum reader_list_column {
    LIST_ID, /* as text */
    LIST_STARTED_AT,
    LIST_STATUS,
    LIST_QUERY,
    LIST_FLASH_RESPONSE,
    LIST_PRO_RESPONSE,
    LIST_FLASH_LATENCY_MS,
    LIST_PRO_LATENCY_MS,
    LIST_TOTAL_MS,
    LIST_USER_ID,
    LIST_SALVAGE,
    LIST_FLASH_MODEL,
    LIST_PRO_MODEL,
    LIST_COLUMN_COUNT,
};

/* get(): the set of entries in the order of a run's life, then its content. */
enum reader_get_set { GET_ENTRIES, GET_CONTENT };

enum reader_entry_column {
    ENTRY_LOG_ID, /* as text */
    ENTRY_IDX,
    ENTRY_RECORDED_AT,
    ENTRY_OF_KIND,
    ENTRY_LEAF_HASH,
    ENTRY_BODY,
    ENTRY_STATUS,
};

enum reader_content_column { CONTENT_PART, CONTENT_TEXT };

enum reader_step { READER_FAILED = -1, READER_DONE = 0, READER_ROW = 1 };

struct reader_ops {
    void (*close)(struct reader *reader);

    /* At most limit + 1 rows. */
    int (*list)(struct reader *reader, const struct reader_query *query,
                struct err *err);
    int (*get)(struct reader *reader, const struct uuid *run_id,
               struct err *err);

    enum reader_step (*next)(struct reader *reader, struct err *err);
    void (*stop)(struct reader *reader);

    /* The present row. */
    int (*set)(const struct reader *reader);
    bool (*is_null)(struct reader *reader, int column);
    int64_t (*number)(struct reader *reader, int column);
    int64_t (*unix_us)(struct reader *reader, int column);
    const char *(*text)(struct reader *reader, int column, size_t *len);
};

/* What every reader begins with. */
struct reader {
    const struct reader_ops *ops;
    bool hides_texts;
};

struct reader *reader_lite_open(const char *path,
                                struct err *err) ATTR_MUST_CHECK;
struct reader *reader_pg_open(const struct reader_place *place,
                              struct err *err) ATTR_MUST_CHECK;

#endif
