/*
 * store - where entries are kept: one interface, a file for each database.
 *
 *     store = store_lite_open(path, deadline, &err);
 *     store->ops->last_log(store, &log, &err);
 *     store->ops->write(store, seals, count, &err);
 *     store->ops->close(store);
 *
 * For the scribe alone: whoever only looks uses reader.h or verify.h.  A store
 * does not log.  Errors: ERR_INVALID and ERR_LIMIT when one of the entries is
 * at fault, everything else may heal.
 */
#ifndef LEDGER_STORE_H
#define LEDGER_STORE_H

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

/* The newest log there is, recomputed from its leaf hashes. */
struct store_log {
    struct uuid log_id;
    struct merkle tree;
};

struct store_ops {
    void (*close)(struct store *store);

    /* All of them, durable, or none. */
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

    enum store_answer (*last_log)(struct store *store, struct store_log *log,
                                  struct err *err);

    /* Calls each() for every run accepted without an end, until it returns
     * -1 (with err set). */
    int (*open_runs)(struct store *store,
                     int (*each)(void *arg, const struct uuid *run_id,
                                 struct err *err),
                     void *arg, struct err *err);
};

/* What every store begins with. */
struct store {
    const struct store_ops *ops;
};

/* The SQLite ledger, made on first use.  Holds a lock beside the file, so that
 * there is one writer; waits for it until the deadline, then ERR_LIMIT.
 * ERR_INVALID when the ledger is of a newer version. */
struct store *store_lite_open(const char *path, int64_t deadline_mono_ms,
                              struct err *err) ATTR_MUST_CHECK;

#endif
