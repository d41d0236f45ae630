/*
 * source - rows of a ledger to verify, prove or export, wherever they are kept.
 *
 *     source = source_open(&place, &err);              or an export
 *     source->ops->begin(source, &plan, &err);         what will be read
 *     while ((step = source->ops->next(source, SOURCE_ENTRIES, &row, &err)) ==
 *            SOURCE_ROW)
 *         ...
 *     source->ops->close(source);
 *
 * All readings of a plan see one moment of the ledger, whoever goes on writing;
 * they are made in the order of the plan, and one that is asked for passes over
 * those before it.  Memory is bounded by the widest row, never by their number.
 * A source changes nothing and does not log.
 */
#ifndef LEDGER_SOURCE_H
#define LEDGER_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/uuid.h"
#include "ledger/columns.h"

/* What can be read, and the columns of a row. */
enum source_query {
    SOURCE_CHECKPOINTS,    /* log_id, size, root, note; by log and size */
    SOURCE_COUNT,          /* number of entries, about */
    SOURCE_ENTRIES,        /* every column, leaf_hash, body; by log and idx */
    SOURCE_OPEN,           /* run_id, log_id, idx, listed; has no end */
    SOURCE_LISTED,         /* run_id, log_id, idx; what is listed wrongly */
    SOURCE_UNLISTED,       /* run_id, log_id, idx; what should be listed */
    SOURCE_RUNS,           /* number of accepted runs */
    SOURCE_ACCEPTED_TWICE, /* run_id, log_id, idx */
    SOURCE_UNACCEPTED,     /* likewise */
    SOURCE_ENDED_TWICE,    /* likewise */
    SOURCE_LEFT,           /* run_id, log_id, idx, log_id and idx of finished */
    SOURCE_LEFT_TWICE,     /* run_id, log_id, idx */
    SOURCE_CONTENT,        /* run_id, part */
    SOURCE_UNSPOKEN,       /* run_id, part, mentions: other than once */
    SOURCE_HASHES,         /* log_id, leaf_hash; by log and idx */
    SOURCE_RUN,            /* log_id, idx, leaf_hash, body; of the run id */
    SOURCE_LAST_CHECKPOINT, /* size, root, note: the largest of the log id */
    SOURCE_LEAVES,          /* leaf_hash: the first size of the log id */
    SOURCE_QUERY_COUNT,
};

#define SOURCE_MAX_COLUMNS  (COLUMN_COUNT + 2)
#define SOURCE_MAX_READINGS 16

/* The places of leaf_hash and body in a row of SOURCE_ENTRIES. */
#define SOURCE_LEAF_HASH (COLUMN_COUNT)
#define SOURCE_BODY      (COLUMN_COUNT + 1)

enum source_type {
    SOURCE_NULL,
    SOURCE_INT, /* times are microseconds since 1970 */
    SOURCE_TEXT,
    SOURCE_BYTES,
};

/* Borrowed until the next row.  Text ends in a NUL that is not counted. */
struct source_value {
    enum source_type type;
    int64_t number;
    const char *bytes; /* NULL unless text or bytes */
    size_t len;
};

struct source_row {
    struct source_value at[SOURCE_MAX_COLUMNS];
};

/* Runs, not entries: all entries of a run or none.  Those about a log belong to
 * no run. */
struct source_selection {
    int64_t since_unix_us; /* started then or later; INT64_MIN: all */
    int64_t until_unix_us; /* started before; INT64_MAX: all */
    const char *user;      /* NULL: all */
    const char *status;    /* of the run's end; NULL: all */
};

/* Borrowed while its rows are read. */
struct source_reading {
    enum source_query query;
    const struct uuid *id;                    /* where the query is about one */
    int64_t size;                             /* of SOURCE_LEAVES */
    const struct source_selection *selection; /* of SOURCE_ENTRIES, or NULL */
};

struct source_plan {
    const struct source_reading *readings;
    size_t count;             /* at most SOURCE_MAX_READINGS */
    bool texts;               /* find_text() will be asked */
    int64_t deadline_mono_ms; /* for all of it; INT64_MAX: whatever it takes */
};

/* A text with its salt; borrowed likewise, and without a NUL. */
struct source_text {
    struct source_value salt;
    struct source_value body;
};

enum source_step { SOURCE_FAILED = -1, SOURCE_DONE = 0, SOURCE_ROW = 1 };

struct source;

struct source_ops {
    void (*close)(struct source *source);

    int (*begin)(struct source *source, const struct source_plan *plan,
                 struct err *err);

    enum source_step (*next)(struct source *source, enum source_query query,
                             struct source_row *row, struct err *err);

    /* A text of the entry that was read last. */
    enum source_step (*find_text)(struct source *source,
                                  const struct column_value *run_id,
                                  const struct column_part *part,
                                  struct source_text *text, struct err *err);

    /* Is the store itself as it was made?  Calls report() with a short word
     * and a sentence for whatever is not.  NULL: nothing to look at. */
    int (*check)(struct source *source,
                 void (*report)(void *arg, const char *check, const char *text),
                 void *arg, struct err *err);
};

/* What every source begins with. */
struct source {
    const struct source_ops *ops;
    bool has_many_hosts;  /* each with a chain of logs of its own */
    bool is_selection;    /* not every entry is there */
    bool without_texts;   /* none is there */
    const char *run_list; /* the table of SOURCE_LISTED; NULL: none */
};

/* Where the ledger is; borrowed by source_open(). */
struct source_place {
    const char *path;        /* of the SQLite ledger */
    const char *url;         /* of PostgreSQL, which is read when not "" */
    const char *application; /* as the database lists us */
};

/* The source of that place; see the two below. */
struct source *source_open(const struct source_place *place,
                           struct err *err) ATTR_MUST_CHECK;

/* The SQLite ledger.  ERR_INVALID when there is none or its version is
 * another. */
struct source *source_lite_open(const char *path,
                                struct err *err) ATTR_MUST_CHECK;

/* The ledger in PostgreSQL, where we are listed as application.  Connects when
 * first asked. */
struct source *source_pg_open(const char *url, const char *application,
                              struct err *err) ATTR_MUST_CHECK;

/* A file that tandemctl export wrote.  It is read at once, into a temporary
 * database.  ERR_INVALID, with the line, when it is none or was cut short. */
struct source *source_export_open(const char *path,
                                  struct err *err) ATTR_MUST_CHECK;

#endif
