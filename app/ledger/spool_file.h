/*
 * spool_file - one batch of entries as a file that survives a power cut.
 *
 *     spool_file_write(path, entries, count, &bytes, &err);
 *
 *     file = spool_file_read(path, &err);
 *     file->entries, file->count            in the order of writing
 *     spool_file_free(file);
 *
 * A line for each entry (line.h), then one that counts and hashes them:
 *
 *     {"count":2,"sha256":"..."}
 */
#ifndef LEDGER_SPOOL_FILE_H
#define LEDGER_SPOOL_FILE_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/line.h"
#include "ledger/logbook.h"
#include "ledger/seal.h"

/* The largest batch (DESK_MAX_BATCH_BYTES and a frame), each of its bytes as
 * an escape of six. */
#define SPOOL_FILE_MAX_BYTES (384u << 20)

struct spool_file {
    const struct seal *entries[LOGBOOK_MAX_BATCH];
    size_t count;
    size_t bytes;
    struct line lines[LOGBOOK_MAX_BATCH];
};

/* Durable when it returns 0, mode 0600.  ERR_LIMIT when the batch is larger
 * than a file may be, else as file_write_durably(). */
int spool_file_write(const char *path, const struct seal *const *entries,
                     size_t count, size_t *bytes,
                     struct err *err) ATTR_MUST_CHECK;

/* NULL on ERR_INVALID when the file is not what was written, else ERR_SYSTEM,
 * ERR_NOMEM. */
struct spool_file *spool_file_read(const char *path,
                                   struct err *err) ATTR_MUST_CHECK;
void spool_file_free(struct spool_file *file); /* NULL is fine */

#endif
