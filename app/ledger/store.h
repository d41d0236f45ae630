/*
 * store - where entries are kept: one interface, a file for each database.
 *
 *     store = store_open(&place, deadline, &err);
 *     store->ops->write(store, seals, count, &err);
 *     store->ops->close(store);
 *
 * For the scribe alone: whoever only looks uses reader.h or verify.h.  A store
 * does not log.  Errors: ERR_INVALID and ERR_LIMIT when one of the entries is
 * at fault, everything else may heal.
 */
#ifndef LEDGER_STORE_H
#define LEDGER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "ledger/entry.h"
#include "ledger/merkle.h"
#include "ledger/seal.h"

struct store;

enum store_answer { STORE_FAILED = -1, STORE_NONE = 0, STORE_FOUND = 1 };

/* The newest log of a host, recomputed from its leaf hashes. */
struct store_log {
    struct uuid log_id;
    struct merkle tree;
};

/* The version of the schema that is there, and those this program can use. */
struct store_schema {
    int64_t found;
    int64_t min;
    int64_t max;
};

/* The run that an idempotency key was used for. */
struct store_key {
    struct uuid run_id;
    char request_hash[ENTRY_HASH_HEX_LEN + 1];
    bool ended;
};

/* A signed statement of a log's size and root; see checkpoint.h. */
struct store_checkpoint {
    struct uuid log_id;
    int64_t size;
    uint8_t root[ENTRY_HASH_LEN];
    int64_t recorded_unix_us;
    const char *note; /* its text */
};

struct store_ops {
    void (*close)(struct store *store);

    /* The database answers and has a schema: which?  An attempt like any
     * other: it may fail for a while. */
    int (*check)(struct store *store, struct store_schema *schema,
                 struct err *err);

    /* All of them, durable, or none; one attempt, within a deadline of its own.
     * When it fails for a reason that may heal they may be there all the same:
     * give exactly the same entries again.  Entries that are there already are
     * fine; another entry in the place of one is ERR_INVALID. */
    int (*write)(struct store *store, const struct seal *const *entries,
                 size_t count, struct err *err);

    /* The entry of this kind about the run. */
    enum store_answer (*find)(struct store *store, const struct uuid *run_id,
                              enum entry_kind kind,
                              struct entry_receipt *receipt, struct err *err);

    /* Appends the body of that entry. */
    enum store_answer (*read_body)(struct store *store,
                                   const struct uuid *run_id,
                                   enum entry_kind kind, struct buf *body,
                                   struct err *err);

    /* Of the logs that this host opened, but for the one named except, the
     * newest.  NULL where nobody else can write. */
    enum store_answer (*newest_log)(struct store *store, const char *host,
                                    const struct uuid *except,
                                    struct uuid *log_id, struct err *err);

    /* The same for the log next, which is about to name it, with all that it
     * will ever hold: what a scribe that died left under way is waited for, and
     * what comes later is refused. */
    enum store_answer (*last_log)(struct store *store, const char *host,
                                  const struct uuid *next,
                                  struct store_log *log, struct err *err);

    /* Calls each() for every run that was accepted in a log of this host and
     * has no end, until it returns -1 (with err set). */
    int (*open_runs)(struct store *store, const char *host,
                     int (*each)(void *arg, const struct uuid *run_id,
                                 struct err *err),
                     void *arg, struct err *err);

    /* The newest run with this idempotency key (its hash, in hex), unless it
     * was accepted before since_unix_us. */
    enum store_answer (*find_key)(struct store *store, const char *key_hash,
                                  int64_t since_unix_us, struct store_key *key,
                                  struct err *err);

    /* Durable.  One that is there already is fine. */
    int (*write_checkpoint)(struct store *store,
                            const struct store_checkpoint *checkpoint,
                            struct err *err);
};

/* What every store begins with. */
struct store {
    const struct store_ops *ops;
};

/* Where the ledger is; borrowed by store_open(). */
struct store_place {
    const char *path;    /* of the SQLite ledger */
    const char *url;     /* of PostgreSQL, which is used when it is not "" */
    int64_t database_ms; /* for one attempt there */
};

/* The store of that place; see the two below. */
struct store *store_open(const struct store_place *place,
                         int64_t deadline_mono_ms,
                         struct err *err) ATTR_MUST_CHECK;

/* The SQLite ledger, made on first use.  Holds a lock beside the file, so that
 * there is one writer; waits for it until the deadline, then ERR_LIMIT.
 * ERR_INVALID when the ledger is of a newer version. */
struct store *store_lite_open(const char *path, int64_t deadline_mono_ms,
                              struct err *err) ATTR_MUST_CHECK;

/* The first step of sql/ that this program needs, and the last number before
 * those of steps that it could not live with. */
#define STORE_PG_SCHEMA_MIN 15
#define STORE_PG_SCHEMA_MAX 99

/* The ledger in PostgreSQL, with the schema of sql/.  Connects when it is used
 * and again after each failure; an attempt takes attempt_ms, and a second more
 * for each 4 MB.  ERR_INVALID when the URL is none. */
struct store *store_pg_open(const char *url, int64_t attempt_ms,
                            struct err *err) ATTR_MUST_CHECK;

#endif
