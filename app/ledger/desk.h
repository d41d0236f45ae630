/*
 * desk - where records are decided on, and open runs are looked after.
 *
 *     desk_init(&desk, &config, &err);
 *     desk_record(desk, link, &frame, &err)  into the batch, answered at once,
 *                                            or to be brought again later
 *     desk_open_run(desk, link, &run)    a connection claims a run
 *     desk_link_gone(link)               its run is unclaimed now
 *     desk_check_runs(desk)              every DESK_CHECK_MS: orphans?
 *     desk_catch_up(desk)                what the database knows of before
 *     desk_flush(desk)                   writes the batch, answers everybody
 *     desk_close(&desk);
 *
 * The rules: a record that is there already gets its first receipt.  `finished`
 * needs an accepted run that is still open, `left` one that has finished.  A
 * run that no connection claims and no living worker shows on the board, in two
 * checks in a row, is orphaned.
 *
 * An idempotency key belongs to one run for as long as it is remembered: a
 * second run that names it is refused, and its clerk is told whose it is.
 * While the database is away the host's own table decides.
 *
 * A batch that cannot be made durable yet is held: its records stay on their
 * links, whether their clerks wait or not, and nothing else is written before.
 *
 * A scribe that starts while the database is away does not know what was
 * written before.  It believes clerks who name their runs, and lets records
 * that were submitted before its time wait until it can ask.
 *
 * Frames given to desk_record() are borrowed until desk_flush() is done.
 */
#ifndef LEDGER_DESK_H
#define LEDGER_DESK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "ledger/frame.h"
#include "ledger/halving.h"
#include "ledger/keys.h"
#include "ledger/link.h"
#include "ledger/logbook.h"
#include "ledger/runs.h"
#include "ledger/vault.h"
#include "prefork/board.h"

#define DESK_MAX_BATCH_BYTES (32u << 20) /* begun batches may pass it once */
#define DESK_CHECK_MS        100

/* What desk_flush() tells those who count. */
struct desk_tally {
    size_t written[ENTRY_KIND_COUNT];
    size_t spooled;    /* of these */
    int64_t commit_us; /* 0: nothing was written */
};

struct desk_item {
    struct link *link; /* NULL for the scribe's own */
    struct frame_record from;
    struct frame frame; /* to pass on the link afterwards */
    struct buf own;     /* the facts, of the scribe's own */
    struct key key;     /* of an accepted run */
};

/* Borrowed. */
struct desk_config {
    struct vault *vault;
    struct logbook *book;
    const struct board *board;
    struct keys *keys;
};

/* Open because the scribe embeds it. */
struct desk {
    struct vault *vault;       /* borrowed */
    struct logbook *book;      /* borrowed */
    const struct board *board; /* borrowed */
    struct keys *keys;         /* borrowed */
    struct runs *runs;
    int64_t began_mono_ms;
    bool caught_up;              /* with what the database knows */
    bool linked;                 /* to the log before, as far as the desk can */
    int64_t link_mono_ms;        /* not before */
    int64_t quiet_until_mono_ms; /* no orphans before: one failed */

    /* The batch.  results[] below halving.done are settled. */
    struct desk_item items[LOGBOOK_MAX_BATCH];
    struct logbook_result results[LOGBOOK_MAX_BATCH];
    size_t item_count;
    size_t item_bytes;
    struct halving halving; /* of those that are being written */
    int64_t begin_mono_us;
};

enum desk_decision {
    DESK_TAKEN,    /* in the batch: the frame stays until desk_flush() */
    DESK_ANSWERED, /* pass the frame */
    DESK_LATER,    /* bring it again after desk_flush() */
    DESK_BAD,      /* not our language: close the connection */
};

/* Reads the runs that earlier scribes left open, as far as they are known. */
int desk_init(struct desk *desk, const struct desk_config *config,
              struct err *err) ATTR_MUST_CHECK;
void desk_close(struct desk *desk);

/* Notes the idempotency key of an entry in the spool, as the database cannot
 * know it; arg is the keys. */
int desk_note_spooled_key(void *arg, const struct seal *entry,
                          struct err *err) ATTR_MUST_CHECK;

enum desk_decision desk_record(struct desk *desk, struct link *link,
                               const struct frame *frame,
                               struct err *err) ATTR_MUST_CHECK;
void desk_open_run(struct desk *desk, struct link *link,
                   const struct uuid *run_id);
void desk_link_gone(struct link *link);

/* The batch waits for desk_flush() to be called again. */
bool desk_is_holding(const struct desk *desk);

/* Puts orphans into the batch. */
void desk_check_runs(struct desk *desk);
bool desk_has_unclaimed(const struct desk *desk);

/* Once the database answers: takes over the open runs it knows of, and links
 * the log to the one before. */
void desk_catch_up(struct desk *desk);

struct desk_tally desk_flush(struct desk *desk);

#endif
