/*
 * spool_index - which records about runs wait in the spool, and in which file.
 *
 * In memory, rebuilt from the files at each start.
 */
#ifndef LEDGER_SPOOL_INDEX_H
#define LEDGER_SPOOL_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "ledger/entry.h"

struct spool_item {
    struct uuid run_id;
    enum entry_kind kind;
    uint64_t file; /* its number */
    struct entry_receipt receipt;
    struct spool_item *next;
};

struct spool_index;

struct spool_index *spool_index_new(struct err *err) ATTR_MUST_CHECK;
void spool_index_free(struct spool_index *index); /* NULL is fine */

/* Copied.  One that is there already stays as it is. */
int spool_index_add(struct spool_index *index, const struct spool_item *item,
                    struct err *err) ATTR_MUST_CHECK;

/* Borrowed until it is removed; NULL when there is none. */
const struct spool_item *spool_index_find(const struct spool_index *index,
                                          const struct uuid *run_id,
                                          enum entry_kind kind);

/* Does nothing when there is none, or when it is of another file. */
void spool_index_remove(struct spool_index *index, const struct uuid *run_id,
                        enum entry_kind kind, uint64_t file);

/* All of them, in no order: begin with NULL, ends with NULL. */
const struct spool_item *spool_index_next(const struct spool_index *index,
                                          const struct spool_item *after);

#endif
