/*
 * line - an entry and its texts as one line of JSON, as the spool and exports
 * keep them.
 *
 *     line_append(&out, &seal, &err);
 *
 *     struct line line;
 *     line_init(&line);
 *     line_read(&line, bytes, len, &err);   and again for the next
 *     line.seal                             the entry, with its parts
 *     line_close(&line);
 *
 *     {"body":"...","leaf_hash":"...","content":
 *      [{"part":"query","salt":"...","body":"..."}]}
 *
 * body is the canonical text as a JSON string, so that it comes back byte for
 * byte; hashes and salts are lower-case hex.  Nothing here trusts the line:
 * what it says of the body is recomputed from the body.
 */
#ifndef LEDGER_LINE_H
#define LEDGER_LINE_H

#include <stddef.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "ledger/entry.h"
#include "ledger/seal.h"

/* Open because callers embed it; change nothing inside. */
struct line {
    struct seal seal; /* its parts are those below */
    struct entry_content parts[ENTRY_MAX_PARTS];
    json_t *json; /* owns the texts */
};

/* Adds the line and its newline, or after an error a part of it.  -1 on
 * ERR_LIMIT (out is full), ERR_NOMEM. */
int line_append(struct buf *out, const struct seal *entry,
                struct err *err) ATTR_MUST_CHECK;

void line_init(struct line *line);
void line_close(struct line *line);

/* One line without its newline.  A text that the body speaks of may be missing
 * (it was erased, or was not asked for); one that is there must be what the
 * body commits to.  -1 on ERR_INVALID, ERR_LIMIT, ERR_NOMEM, ERR_SYSTEM. */
int line_read(struct line *line, const char *bytes, size_t len,
              struct err *err) ATTR_MUST_CHECK;

#endif
