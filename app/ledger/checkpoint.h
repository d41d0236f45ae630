/*
 * checkpoint - how large a log was and what root it had, as a signed note of
 * three lines: C2SP's tlog-checkpoint.
 *
 *     NAME/LOG_ID          the origin
 *     SIZE                 decimal
 *     BASE64(ROOT)
 */
#ifndef LEDGER_CHECKPOINT_H
#define LEDGER_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"
#include "ledger/entry.h"
#include "ledger/note.h"

/* Plain bytes. */
struct checkpoint {
    struct uuid log_id;
    int64_t size;
    uint8_t root[ENTRY_HASH_LEN];
};

/* Appends the text to be signed. */
enum buf_status checkpoint_append(struct buf *out, const char *name,
                                  const struct checkpoint *checkpoint)
    ATTR_MUST_CHECK;

/* What the note's text says, whoever signed it; more lines may follow the
 * three.  ERR_INVALID. */
int checkpoint_parse(struct checkpoint *checkpoint, const struct note *note,
                     struct err *err) ATTR_MUST_CHECK;

#endif
