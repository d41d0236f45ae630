/*
 * vault - where sealed entries become durable: the database, or the spool
 * while it is away.
 *
 *     vault_init(&vault, &config, deadline, &err);
 *     switch (vault_write(vault, entries, count, &err)) ...
 *     vault_work(vault);                      between batches
 *     vault_close(&vault);
 *
 * The order of entries is kept: while batches wait in the spool, newer ones
 * follow them there, and the oldest is committed first.  How often a database
 * that fails is tried is outage.h's affair.
 *
 * A batch is numbered and sealed before it comes here, and may be in the
 * database although an attempt failed.  So a batch that is held must be given
 * again, just as it is, until it is durable; nothing else may come before it.
 */
#ifndef LEDGER_VAULT_H
#define LEDGER_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "ledger/frame.h"
#include "ledger/outage.h"
#include "ledger/seal.h"
#include "ledger/spool.h"
#include "ledger/store.h"

struct vault_config {
    struct store *store; /* taken over by vault_init(), whatever it returns */
    struct spool_config spool;
    const char *host;
    bool closed; /* AUDIT_POLICY: the database or nothing */
};

/* Open because the scribe embeds it. */
struct vault {
    struct store *store;
    struct spool *spool;
    const char *host;
    bool closed;
    struct outage outage;
    bool reached;               /* since the start, at least once */
    bool hurried;               /* one failure is enough for the spool */
    bool holding;               /* the last batch was held */
    int64_t away_since_mono_ms; /* nothing submitted later was given to the
                                 * database but from the spool, by any scribe;
                                 * 0: it is there, or closed */
    struct store_schema schema;
    bool schema_fits;
    int64_t check_mono_ms;       /* the schema is looked at again then */
    int64_t look_mono_ms;        /* and whether somebody asks for an attempt */
    int64_t spool_retry_mono_ms; /* not before, after the spool failed */
    int64_t drain_mono_ms;       /* nor a batch read, after that failed */
    bool refusing;               /* nothing could be made durable, lately */
    uint64_t failure_count;      /* of the database */
    uint64_t replayed_count;     /* entries, from the spool */
};

enum vault_outcome {
    VAULT_COMMITTED,
    VAULT_SPOOLED,
    VAULT_HELD,   /* not durable for certain: the same again, see
                   * vault_retry_mono_ms() */
    VAULT_BLAMED, /* an entry is at fault, none is there; err says why */
};

/* Looks whether the database is there; it need not be.  -1 when the spool
 * cannot be used, or ERR_INVALID when the database never can. */
int vault_init(struct vault *vault, const struct vault_config *config,
               int64_t deadline_mono_ms, struct err *err) ATTR_MUST_CHECK;
void vault_close(struct vault *vault);

enum vault_outcome vault_write(struct vault *vault,
                               const struct seal *const *entries, size_t count,
                               struct err *err) ATTR_MUST_CHECK;

/* Left out, with 0, while the vault is not clear: the entries it speaks of may
 * not be in the database yet.  The next one of that log covers them as well. */
int vault_write_checkpoint(struct vault *vault,
                           const struct store_checkpoint *checkpoint,
                           struct err *err) ATTR_MUST_CHECK;

/* There is no time for more than one attempt any more. */
void vault_hurry(struct vault *vault);

/* When a held batch is worth another attempt. */
int64_t vault_retry_mono_ms(const struct vault *vault);

/* Looks at the schema, tries a database that was away, commits some spooled
 * batches: what is due. */
void vault_work(struct vault *vault);
int64_t vault_wake_mono_ms(const struct vault *vault);

/* Everything written so far is in the database, and it answers. */
bool vault_is_clear(const struct vault *vault);

/* And nothing of earlier logs was set aside: what the database has of them is
 * what was written. */
bool vault_is_whole(const struct vault *vault);

/* May a run begin now? */
bool vault_takes_runs(const struct vault *vault);

/* An entry of a record that was submitted then: in the spool, or in the
 * database unless it has been away since before.  STORE_FAILED at once while
 * the database is left alone; it is tried sooner then, as a clerk waits. */
enum store_answer vault_find(struct vault *vault,
                             const struct frame_record *record,
                             enum entry_kind kind,
                             struct entry_receipt *receipt, struct err *err);

/* As the store's functions of these names. */
enum store_answer vault_read_body(struct vault *vault,
                                  const struct uuid *run_id,
                                  enum entry_kind kind, struct buf *body,
                                  struct err *err);

/* As the store's function of that name, of the database alone. */
enum store_answer vault_find_key(struct vault *vault, const char *key_hash,
                                 int64_t since_unix_us, struct store_key *key,
                                 struct err *err);

/* Only when vault_is_clear(); a log to link to when vault_is_whole(). */
enum store_answer vault_newest_log(struct vault *vault,
                                   const struct uuid *except,
                                   struct uuid *log_id, struct err *err);
enum store_answer vault_last_log(struct vault *vault, const struct uuid *next,
                                 struct store_log *log, struct err *err);
int vault_open_runs(struct vault *vault,
                    int (*each)(void *arg, const struct uuid *run_id,
                                struct err *err),
                    void *arg, struct err *err) ATTR_MUST_CHECK;

#endif
