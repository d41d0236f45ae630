/*
 * spool - batches of entries on the local disk, while the database is away.
 *
 *     spool = spool_open(&config, deadline, &err);
 *     spool_add(spool, entries, count, &err);        durable when it is 0
 *     file = spool_first(spool, &err);               the oldest batch
 *     spool_drop(spool, file)                        it is committed, or
 *     spool_set_aside(spool, file)                   it never can be
 *     spool_close(spool);
 *
 * A folder with the folders new, one file for each batch (spool_file.h), named
 * by a number that rises, and bad, where what the database will never take is
 * kept for people to look at.  Nothing is deleted but what was committed,
 * and what a killed scribe had begun to write.  One process at a time writes
 * here: a lock says so.
 *
 * Whoever wants a batch to be tried again puts it back into new; the file
 * "drain" beside the folders asks for an attempt now.
 */
#ifndef LEDGER_SPOOL_H
#define LEDGER_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "ledger/entry.h"
#include "ledger/seal.h"
#include "ledger/spool_file.h"
#include "ledger/store.h"

#define SPOOL_NEW         "new"
#define SPOOL_BAD         "bad"
#define SPOOL_DRAIN       "drain"
#define SPOOL_AWAY        "away"
#define SPOOL_NAME_LEN    23 /* sixteen hex digits, ".jsonl" and a NUL */
#define SPOOL_MAX_BATCHES 1000000

struct spool_config {
    const char *folder;
    int64_t max_bytes;     /* of all batches together */
    int64_t reserve_bytes; /* of quota and of disk, for runs under way */

    /* Called for every entry of a batch that is found in new, in their order:
     * when it is opened, and later when somebody has put one there.  Borrowed
     * during the call; -1 (with err set) ends that.  NULL: nobody asks. */
    int (*found)(void *arg, const struct seal *entry, struct err *err);
    void *found_arg;
};

struct spool_counts {
    size_t batches; /* that wait */
    size_t bytes;
    size_t set_aside; /* files in bad, and those that cannot be moved there */
};

struct spool;

/* Makes the folders.  Waits for another process's lock until the deadline,
 * then ERR_LIMIT.  Batches that cannot be read are set aside, and logged. */
struct spool *spool_open(const struct spool_config *config,
                         int64_t deadline_mono_ms,
                         struct err *err) ATTR_MUST_CHECK;
void spool_close(struct spool *spool); /* NULL is fine */

bool spool_is_empty(const struct spool *spool);
struct spool_counts spool_counts(const struct spool *spool);

/* May a run begin?  Its end needs room as well. */
bool spool_has_room(const struct spool *spool);

/* Durable, or -1: ERR_LIMIT when it is full, else ERR_SYSTEM, ERR_NOMEM. */
int spool_add(struct spool *spool, const struct seal *const *entries,
              size_t count, struct err *err) ATTR_MUST_CHECK;

/* The oldest batch, owned by the caller until it is dropped or set aside; NULL
 * on error, ERR_NOMEM when it may be read later. */
struct spool_file *spool_first(const struct spool *spool,
                               struct err *err) ATTR_MUST_CHECK;

/* Removes the oldest batch, whose content is given. */
void spool_drop(struct spool *spool, const struct spool_file *file);

/* Moves the oldest batch to bad; file is its content, or NULL when it could not
 * be read.  One that cannot be moved is logged, and left alone until the next
 * scribe or until somebody asks for an attempt. */
void spool_set_aside(struct spool *spool, const struct spool_file *file);

/* Looks for batches that were put there, and whether somebody asks for an
 * attempt now. */
bool spool_look_again(struct spool *spool);

/* Since when the database has been away, for the next scribe; 0: it is there.
 * Survives a killed process, not a power cut. */
void spool_mark_away(struct spool *spool, int64_t since_mono_ms);
int64_t spool_away_since(const struct spool *spool);

/* Counts the files of a spool that may be another process's; bytes is 0. */
int spool_look(const char *folder, struct spool_counts *counts,
               struct err *err) ATTR_MUST_CHECK;

/* As the store's functions of these names, for what waits here. */
enum store_answer spool_find(const struct spool *spool,
                             const struct uuid *run_id, enum entry_kind kind,
                             struct entry_receipt *receipt);
enum store_answer spool_read_body(const struct spool *spool,
                                  const struct uuid *run_id,
                                  enum entry_kind kind, struct buf *body,
                                  struct err *err);
int spool_open_runs(const struct spool *spool,
                    int (*each)(void *arg, const struct uuid *run_id,
                                struct err *err),
                    void *arg, struct err *err) ATTR_MUST_CHECK;

#endif
