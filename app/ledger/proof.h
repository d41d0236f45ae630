/*
 * proof - that the entries of a run are in logs whose size and root were
 * signed: a text that can be checked without the ledger.
 *
 *     proof_make(source, &request, &out, &err);      PROOF_MADE
 *     proof_check(text, len, &rules, &watcher, &err);
 *
 * The text is one object,
 *
 *     {"tandem_proof": 1, "run_id", "logs": [{"log_id", "checkpoint": note,
 *      "entries": [{"index", "body", "leaf_hash", "path": [hash]}],
 *      "consistency": null or {"from", "root", "path": [hash]}}]}
 *
 * with hashes in hex.  It holds the bodies, and no personal text.  A run whose
 * entries lie in several logs has each of them.
 */
#ifndef LEDGER_PROOF_H
#define LEDGER_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "ledger/note.h"
#include "ledger/source.h"
#include "ledger/verify.h"

#define PROOF_MARK    "tandem_proof"
#define PROOF_VERSION 1

struct proof_request {
    struct uuid run_id;
    int64_t from; /* also prove that the logs continue those that had so many
                   * entries; 0: no */
    int64_t deadline_mono_ms;
};

enum proof_result {
    PROOF_MADE,
    PROOF_NO_RUN,
    PROOF_NOT_YET,  /* an entry is newer than the last checkpoint of its log */
    PROOF_TOO_LONG, /* the log has too many entries for the deadline */
    PROOF_TOO_NEW,  /* no log with an entry of the run had so many entries */
    PROOF_FAILED,   /* err says why; ERR_INVALID: the ledger is damaged */
};

/* Appends the text and a newline. */
enum proof_result proof_make(struct source *source,
                             const struct proof_request *request,
                             struct buf *out, struct err *err) ATTR_MUST_CHECK;

/* ---- checking ---- */

/* Borrowed. */
struct proof_rules {
    const struct note_key *keys; /* who may have signed */
    size_t key_count;            /* at least 1 */
    const struct verify_anchor *anchors;
    size_t anchor_count;
};

/* What was shown, or why it was not. */
struct proof_watcher {
    void *arg;
    void (*shown)(void *arg, const char *text);
    void (*refuted)(void *arg, const char *text);
};

/* 0 when all of it could be looked at, whatever was refuted; -1 on ERR_INVALID
 * (no proof at all), ERR_NOMEM, ERR_SYSTEM. */
int proof_check(const char *text, size_t len, const struct proof_rules *rules,
                const struct proof_watcher *watcher,
                struct err *err) ATTR_MUST_CHECK;

#endif
