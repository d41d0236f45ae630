/*
 * frame - what clerk and scribe say to each other over a stream socket.
 *
 * A frame is a header of 8 bytes (version, type, two zero bytes, length of the
 * payload) and the payload.  Integers are unsigned and big-endian, runs are
 * the 16 bytes of their UUID.
 *
 *     RECORD    kind 1, run 16, submitted 8, parts 1, facts length 4, facts
 *               (JSON text), then for each part: part 1, cleaned 1, length 4,
 *               bytes
 *     OPEN_RUN  run 16: "this connection's worker is still busy with it"
 *     RECEIPT   kind 1, run 16, state 1, log 16, idx 8, recorded_us 8, leaf 32
 *     REFUSAL   kind 1, run 16, reason (text)
 *     TAKEN     kind 1, run 16, holder's run 16, same request 1, ended 1: the
 *               idempotency key of an accepted run is another run's
 *
 * A clerk sends the first two and gets the last three.  Nothing here trusts the
 * other end: every length is checked, everything unknown is refused.  This
 * module does no input or output.
 */
#ifndef LEDGER_FRAME_H
#define LEDGER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "ledger/entry.h"

#define FRAME_HEADER_LEN       8
#define FRAME_MAX_BYTES        (24u << 20) /* header included */
#define FRAME_MAX_FACTS_BYTES  (1u << 20)
#define FRAME_MAX_REASON_BYTES 200

enum frame_type {
    FRAME_RECORD = 1,
    FRAME_OPEN_RUN,
    FRAME_RECEIPT,
    FRAME_REFUSAL,
    FRAME_TAKEN,
};

enum frame_status {
    FRAME_MORE,  /* the rest has not arrived yet */
    FRAME_WHOLE, /* *frame is filled */
    FRAME_BAD,   /* not our language: close the connection; err says why */
};

/* Borrowed from the bytes it was found in. */
struct frame {
    enum frame_type type;
    const uint8_t *payload;
    size_t len;       /* of the payload */
    size_t whole_len; /* with the header: what to consume */
};

/* A record as it goes over the wire.  What it points to is borrowed: by the
 * clerk from its caller, by who reads a frame from the frame. */
struct frame_record {
    enum entry_kind kind; /* from a worker: accepted, finished, left, admin */
    struct uuid run_id;
    int64_t submitted_mono_ms; /* by the host's clock, which all share */
    const char *facts; /* the canonical text of an object, not looked at here;
                        * members as listed in docs/LEDGER.md */
    size_t facts_len;
    struct entry_content parts[ENTRY_MAX_PARTS];
    size_t part_count;
};

/* An answer to the record of this kind and run. */
struct frame_answer {
    enum entry_kind kind;
    struct uuid run_id;
    struct entry_receipt receipt;            /* of a FRAME_RECEIPT */
    char reason[FRAME_MAX_REASON_BYTES + 1]; /* of a FRAME_REFUSAL */
    struct entry_holder holder;              /* of a FRAME_TAKEN */
};

/* Looks at the first frame of bytes. */
enum frame_status frame_look(const void *bytes, size_t len, struct frame *frame,
                             struct err *err) ATTR_MUST_CHECK;

/* ---- reading: -1 on ERR_INVALID ---- */

int frame_read_record(const struct frame *frame, struct frame_record *record,
                      struct err *err) ATTR_MUST_CHECK;
int frame_read_open_run(const struct frame *frame, struct uuid *run_id,
                        struct err *err) ATTR_MUST_CHECK;
int frame_read_answer(const struct frame *frame, struct frame_answer *answer,
                      struct err *err) ATTR_MUST_CHECK;

/* ---- writing: -1 on ERR_LIMIT, ERR_NOMEM.  After a failure out holds half a
 * frame and is of no further use ---- */

int frame_append_record(struct buf *out, const struct frame_record *record,
                        struct err *err) ATTR_MUST_CHECK;
int frame_append_open_run(struct buf *out, const struct uuid *run_id,
                          struct err *err) ATTR_MUST_CHECK;
int frame_append_receipt(struct buf *out, enum entry_kind kind,
                         const struct uuid *run_id,
                         const struct entry_receipt *receipt,
                         struct err *err) ATTR_MUST_CHECK;
int frame_append_refusal(struct buf *out, enum entry_kind kind,
                         const struct uuid *run_id, const char *reason,
                         struct err *err) ATTR_MUST_CHECK;
int frame_append_taken(struct buf *out, enum entry_kind kind,
                       const struct uuid *run_id,
                       const struct entry_holder *holder,
                       struct err *err) ATTR_MUST_CHECK;

#endif
