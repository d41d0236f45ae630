/*
 * desk - where records are decided on, and open runs are looked after.
 *
 *     desk_init(&desk, store, book, board);
 *     desk_record(desk, link, &frame)    into the batch, answered at once, or to
 *                                        be brought again later
 *     desk_open_run(desk, link, &run)    a connection claims a run
 *     desk_link_gone(desk, link)         its run is unclaimed now
 *     desk_check_runs(desk)              every DESK_CHECK_MS: orphans?
 *     desk_flush(desk)                   writes the batch, answers everybody
 *     desk_close(&desk);
 *
 * The rules: a record that is there already gets its first receipt.  `finished`
 * needs an accepted run that is still open, `left` one that has finished.  A
 * run that no connection claims and no living worker shows on the board, in two
 * checks in a row, is orphaned.
 *
 * A record that the store cannot write for a reason that may heal stays on its
 * link and is tried again, with pauses, for as long as its clerk waits; that of
 * a run which has ended is written even when its clerk has given up.
 *
 * Frames given to desk_record() are borrowed until desk_flush().
 */
#ifndef LEDGER_DESK_H
#define LEDGER_DESK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/frame.h"
#include "ledger/link.h"
#include "ledger/logbook.h"
#include "ledger/runs.h"
#include "ledger/store.h"
#include "prefork/board.h"

#define DESK_MAX_BATCH_BYTES (32u << 20) /* begun batches may pass it once */
#define DESK_CHECK_MS        100

/* What desk_flush() tells those who count. */
struct desk_tally {
    size_t written[ENTRY_KIND_COUNT];
    int64_t commit_us;
    bool failed; /* the store would not */
};

struct desk_item {
    struct link *link; /* NULL for the scribe's own: an orphan */
    struct frame_record from;
    struct frame frame; /* to pass on the link afterwards */
    json_t *facts;
};

/* Open because the scribe embeds it. */
struct desk {
    struct store *store;       /* borrowed */
    struct logbook *book;      /* borrowed */
    const struct board *board; /* borrowed */
    struct runs *runs;
    struct desk_item items[LOGBOOK_MAX_BATCH];
    size_t item_count;
    size_t item_bytes;
    int64_t quiet_until_mono_ms; /* no orphans before: the store failed */
    bool store_is_failing;       /* records wait on their links meanwhile */
    int64_t pause_ms;            /* between two attempts; doubles */
    int64_t retry_mono_ms;       /* no attempt before */
};

enum desk_decision {
    DESK_TAKEN,    /* in the batch: the frame stays until desk_flush() */
    DESK_ANSWERED, /* pass the frame */
    DESK_LATER,    /* bring it again after desk_flush() */
    DESK_BAD,      /* not our language: close the connection */
};

/* Reads the runs that earlier scribes left open. */
int desk_init(struct desk *desk, struct store *store, const char *host,
              struct logbook *book, const struct board *board,
              struct err *err) ATTR_MUST_CHECK;
void desk_close(struct desk *desk);

enum desk_decision desk_record(struct desk *desk, struct link *link,
                               const struct frame *frame,
                               struct err *err) ATTR_MUST_CHECK;
void desk_open_run(struct desk *desk, struct link *link,
                   const struct uuid *run_id);
void desk_link_gone(struct desk *desk, struct link *link);

/* The store would not write: leave the records where they are until then.  0
 * when there is nothing to wait for. */
int64_t desk_retry_mono_ms(const struct desk *desk);

/* Puts orphans into the batch. */
void desk_check_runs(struct desk *desk);
bool desk_has_unclaimed(const struct desk *desk);

struct desk_tally desk_flush(struct desk *desk);

#endif
