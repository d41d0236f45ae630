/*
 * spool_list - which batches wait in the spool, rising by number.
 *
 *     spool_list_reserve(&list, &err);           before each add
 *     spool_list_add(&list, number, bytes);
 *     spool_list_first(&list), spool_list_take(&list)
 *     spool_list_close(&list);
 */
#ifndef LEDGER_SPOOL_LIST_H
#define LEDGER_SPOOL_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct spool_batch {
    uint64_t number; /* its name */
    size_t bytes;
};

/* Open because the spool embeds it.  Zero is an empty one. */
struct spool_list {
    struct spool_batch *batches;
    size_t first; /* those before it are gone */
    size_t end;
    size_t places;
    size_t bytes; /* of those that are there */
};

void spool_list_close(struct spool_list *list);

/* Room for one more; -1 on ERR_NOMEM. */
int spool_list_reserve(struct spool_list *list,
                       struct err *err) ATTR_MUST_CHECK;

/* There is room for it, and it is not there. */
void spool_list_add(struct spool_list *list, uint64_t number, size_t bytes);
bool spool_list_has(const struct spool_list *list, uint64_t number);
size_t spool_list_count(const struct spool_list *list);

/* The lowest number, and taking it off; there is one. */
uint64_t spool_list_first(const struct spool_list *list);
void spool_list_take(struct spool_list *list);

#endif
