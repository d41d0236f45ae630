/* spool_list.c - see spool_list.h. */
#include "ledger/spool_list.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PLACES 64

void
spool_list_close(struct spool_list *list)
{
    free(list->batches);
    *list = (struct spool_list){ .batches = NULL };
}

int
spool_list_reserve(struct spool_list *list, struct err *err)
{
    const size_t places = list->places == 0 ? FIRST_PLACES : 2 * list->places;
    struct spool_batch *batches;

    if (list->first > list->places / 2) { /* room at the front will do */
        memmove(list->batches, list->batches + list->first,
                (list->end - list->first) * sizeof(*list->batches));
        list->end -= list->first;
        list->first = 0;
    }
    if (list->end < list->places)
        return 0;
    batches = realloc(list->batches, places * sizeof(*batches));
    if (batches == NULL)
        return err_set(err, ERR_NOMEM, "list of spooled batches");
    list->batches = batches;
    list->places = places;
    return 0;
}

/* Where the number stands, or where it would. */
static size_t
seek(const struct spool_list *list, uint64_t number)
{
    size_t from = list->first;
    size_t to = list->end;

    while (from < to) {
        const size_t middle = from + (to - from) / 2;

        if (list->batches[middle].number < number)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

void
spool_list_add(struct spool_list *list, uint64_t number, size_t bytes)
{
    const size_t at = seek(list, number);

    assert(list->end < list->places);
    memmove(list->batches + at + 1, list->batches + at,
            (list->end - at) * sizeof(*list->batches));
    list->batches[at] =
        (struct spool_batch){ .number = number, .bytes = bytes };
    list->end++;
    list->bytes += bytes;
}

bool
spool_list_has(const struct spool_list *list, uint64_t number)
{
    const size_t at = seek(list, number);

    return at < list->end && list->batches[at].number == number;
}

size_t
spool_list_count(const struct spool_list *list)
{
    return list->end - list->first;
}

uint64_t
spool_list_first(const struct spool_list *list)
{
    assert(list->first < list->end);
    return list->batches[list->first].number;
}

void
spool_list_take(struct spool_list *list)
{
    assert(list->first < list->end);
    list->bytes -= list->batches[list->first++].bytes;
}
