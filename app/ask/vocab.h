/*
 * vocab - tell a turn's actions as server-sent events, in the words a client
 * knows: classic, staged, or both (DESIGN.md 5.1).
 *
 * Every frame is one line of JSON with run_id, trace_id (its classic name) and
 * seq, which counts from 1 without gaps; its id is RUN_ID:SEQ.
 */
#ifndef ASK_VOCAB_H
#define ASK_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "ask/turn.h"
#include "base/buf.h"
#include "ledger/entry.h"
#include "model/model.h"

enum vocab_words { VOCAB_CLASSIC, VOCAB_STAGED, VOCAB_BOTH };

const char *vocab_words_name(enum vocab_words words);

/* "classic", "staged" or "both".  -1 for anything else. */
int vocab_words_parse(const char *text, enum vocab_words *words);

/* What the frames tell, as far as it is known when one is told.  Borrowed. */
struct vocab_facts {
    const char *run_id;
    const char *query; /* as it was taken: redacted */
    size_t query_len;
    const char *requested_model[MODEL_ROLE_COUNT];
    struct model_answer answer[MODEL_ROLE_COUNT];
    int64_t deadline_ms; /* of the run, from its start */
    int64_t total_ms;
    struct turn_verdict verdict;
    const struct entry_receipt *receipt; /* NULL: the record failed */
    bool replayed;                       /* told again, from the record */
};

/* Called for each frame in the order of its telling. */
typedef void (*vocab_on_frame)(void *arg, const char *event, unsigned seq);

struct vocab {
    enum vocab_words words;
    const struct vocab_facts *facts;
    unsigned seq; /* of the last frame; 0 before the first */
    vocab_on_frame on_frame;
    void *arg;
};

void vocab_init(struct vocab *vocab, enum vocab_words words,
                const struct vocab_facts *facts, vocab_on_frame on_frame,
                void *arg);

/* Appends the frames of one action: none, one or two.  -1 when out or memory
 * is full; then out is as it was. */
int vocab_tell(struct vocab *vocab, const struct turn_action *action,
               struct buf *out) ATTR_MUST_CHECK;

/* The code that a model's failure has in events and records, such as
 * flash_timeout; "" for an answer. */
const char *vocab_failure_code(enum model_role role,
                               enum model_outcome outcome);

#endif
