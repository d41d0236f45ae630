/*
 * signer - checkpoints of the log that is being written: when, and made how.
 *
 *     signer = signer_new(&config, &err);
 *     if (now_mono_ms >= signer_due_mono_ms(signer, tree->size))
 *         signer_sign(signer, &log_id, tree);      in the scribe's loop, and
 *                                                  once after log_closed
 *     signer_free(signer);
 *
 * A checkpoint goes to three places: the service's log, a file outside the
 * database, and the ledger.  One that could not be kept is logged, counted and
 * made again soon; nothing here stops the service.
 */
#ifndef LEDGER_SIGNER_H
#define LEDGER_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/uuid.h"
#include "ledger/merkle.h"
#include "ledger/note.h"
#include "ledger/store.h"
#include "sys/counters.h"

#define SIGNER_IDLE_MS  3600000 /* between checkpoints while nothing arrives */
#define SIGNER_RETRY_MS 10000

struct signer;

/* Borrowed until signer_free(). */
struct signer_config {
    const char *key_file; /* made when there is none */
    const char *name;     /* of the key; begins the origin */
    const char *file;     /* every note is appended to it */
    int64_t interval_ms;  /* between checkpoints while entries arrive */

    /* Puts the note into the ledger.  NULL: nowhere. */
    int (*keep)(void *arg, const struct store_checkpoint *checkpoint,
                struct err *err);
    void *keep_arg;

    struct counters *metrics; /* may be NULL */
    size_t family;            /* counter, labels: made, failed */
};

enum signer_label { SIGNER_MADE, SIGNER_FAILED };

/* Reads the key, or makes it and logs its verifier key.  ERR_INVALID with what
 * to do when the file or the name cannot be used. */
struct signer *signer_new(const struct signer_config *config,
                          struct err *err) ATTR_MUST_CHECK;
void signer_free(struct signer *signer); /* NULL is fine */

/* When the next checkpoint should be made of a log that has so many entries
 * now: at once for the first. */
int64_t signer_due_mono_ms(const struct signer *signer, int64_t size);

void signer_sign(struct signer *signer, const struct uuid *log_id,
                 const struct merkle *tree);

/* Of a log that has ended: a scribe that was killed, or that ended while the
 * database was away, left entries without a checkpoint.  False when it was not
 * kept everywhere: no later one will cover it, so it is worth another attempt
 * SIGNER_RETRY_MS later. */
bool signer_sign_ended(struct signer *signer, const struct uuid *log_id,
                       const struct merkle *tree) ATTR_MUST_CHECK;

#endif
