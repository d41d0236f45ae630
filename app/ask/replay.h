/*
 * replay - the frames of a run once more, from its record.
 *
 *     replay_tell(run, &telling, &out, &err)
 *
 * What a client was told follows from what the models gave, in which order, and
 * from the vocabulary: the rules of turn.h are run again with the facts of the
 * record, so the same frames come with the same ids.  A run without an end
 * gives the frames that are certain already; one that was lost ends in an
 * error.
 */
#ifndef ASK_REPLAY_H
#define ASK_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "ask/vocab.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

enum replay_result {
    REPLAY_FAILED = -1, /* err says why */
    REPLAY_ENDED,       /* out ends in done */
    REPLAY_OPEN,        /* the run is not over */
    REPLAY_ERASED,      /* a text is not there any more: nothing was added */
    REPLAY_HIDDEN, /* a text is null, not for this reader's eyes: likewise */
};

/* How a run is told. */
struct replay_telling {
    unsigned after; /* frames up to this seq are left out; then the last told */
    bool again;     /* for another request: frames say "replayed" */
    enum vocab_words words; /* of those, then; else the run's own */
};

/* Appends the frames of a run as reader_get() tells it. */
enum replay_result replay_tell(const json_t *run,
                               struct replay_telling *telling, struct buf *out,
                               struct err *err);

/* Who made the run: NULL when nobody was asked. */
const char *replay_principal(const json_t *run);

#endif
