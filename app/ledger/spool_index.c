/* spool_index.c - see spool_index.h. */
#include "ledger/spool_index.h"

#include <stdlib.h>

#define BUCKET_COUNT 65536 /* a power of two */

struct spool_index {
    struct spool_item *buckets[BUCKET_COUNT];
};

struct spool_index *
spool_index_new(struct err *err)
{
    struct spool_index *index = calloc(1, sizeof(*index));

    if (index == NULL)
        err_set(err, ERR_NOMEM, "index of the spool");
    return index;
}

void
spool_index_free(struct spool_index *index)
{
    if (index == NULL)
        return;
    for (size_t i = 0; i < BUCKET_COUNT; i++)
        while (index->buckets[i] != NULL) {
            struct spool_item *item = index->buckets[i];

            index->buckets[i] = item->next;
            free(item);
        }
    free(index);
}

/* The last bytes of an identifier are random. */
static size_t
bucket_of(const struct uuid *run_id)
{
    return ((size_t)run_id->bytes[14] << 8 | run_id->bytes[15]) % BUCKET_COUNT;
}

/* Where the item stands, or where it would. */
static struct spool_item **
seek(struct spool_item **at, const struct uuid *run_id, enum entry_kind kind)
{
    while (*at != NULL &&
           ((*at)->kind != kind || !uuid_equals(&(*at)->run_id, run_id)))
        at = &(*at)->next;
    return at;
}

int
spool_index_add(struct spool_index *index, const struct spool_item *item,
                struct err *err)
{
    struct spool_item **at = seek(&index->buckets[bucket_of(&item->run_id)],
                                  &item->run_id, item->kind);
    struct spool_item *added;

    if (*at != NULL)
        return 0;
    added = malloc(sizeof(*added));
    if (added == NULL)
        return err_set(err, ERR_NOMEM, "index of the spool");
    *added = *item;
    added->next = NULL;
    *at = added;
    return 0;
}

const struct spool_item *
spool_index_find(const struct spool_index *index, const struct uuid *run_id,
                 enum entry_kind kind)
{
    struct spool_item *first = index->buckets[bucket_of(run_id)];

    return *seek(&first, run_id, kind);
}

void
spool_index_remove(struct spool_index *index, const struct uuid *run_id,
                   enum entry_kind kind, uint64_t file)
{
    struct spool_item **at =
        seek(&index->buckets[bucket_of(run_id)], run_id, kind);
    struct spool_item *item = *at;

    if (item == NULL || item->file != file)
        return;
    *at = item->next;
    free(item);
}

const struct spool_item *
spool_index_next(const struct spool_index *index,
                 const struct spool_item *after)
{
    size_t bucket = 0;

    if (after != NULL && after->next != NULL)
        return after->next;
    if (after != NULL)
        bucket = bucket_of(&after->run_id) + 1;
    while (bucket < BUCKET_COUNT && index->buckets[bucket] == NULL)
        bucket++;
    return bucket < BUCKET_COUNT ? index->buckets[bucket] : NULL;
}
