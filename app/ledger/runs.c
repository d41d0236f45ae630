/* runs.c - see runs.h. */
#include "ledger/runs.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#define BUCKET_COUNT 4096 /* a power of two */

struct runs {
    size_t count;
    size_t touched; /* runs at and beyond this one were never used */
    struct run *unused;
    struct run *buckets[BUCKET_COUNT];
    struct run all[RUNS_MAX];
};

struct runs *
runs_new(struct err *err)
{
    struct runs *runs = calloc(1, sizeof(*runs));

    if (runs == NULL)
        err_set(err, ERR_NOMEM, "table of open runs");
    return runs;
}

void
runs_free(struct runs *runs)
{
    free(runs);
}

size_t
runs_count(const struct runs *runs)
{
    return runs->count;
}

/* The last bytes of an identifier are random. */
static struct run **
bucket_of(struct runs *runs, const struct uuid *id)
{
    const size_t hash = (size_t)id->bytes[14] << 8 | id->bytes[15];

    return &runs->buckets[hash % BUCKET_COUNT];
}

struct run *
runs_find(struct runs *runs, const struct uuid *id)
{
    struct run *run = *bucket_of(runs, id);

    while (run != NULL && !uuid_equals(&run->id, id))
        run = run->next;
    return run;
}

static struct run *
take_unused(struct runs *runs)
{
    struct run *run = runs->unused;

    if (run != NULL)
        runs->unused = run->next;
    else if (runs->touched < RUNS_MAX)
        run = &runs->all[runs->touched++];
    return run;
}

struct run *
runs_add(struct runs *runs, const struct uuid *id)
{
    struct run **bucket = bucket_of(runs, id);
    struct run *run = take_unused(runs);

    if (run == NULL)
        return NULL;
    *run = (struct run){ .id = *id, .next = *bucket, .used = true };
    *bucket = run;
    runs->count++;
    return run;
}

void
runs_remove(struct runs *runs, struct run *run)
{
    struct run **at = bucket_of(runs, &run->id);

    assert(run->used);
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    *run = (struct run){ .next = runs->unused };
    runs->unused = run;
    runs->count--;
}

struct run *
runs_next(struct runs *runs, const struct run *after)
{
    size_t index = after == NULL ? 0 : (size_t)(after - runs->all) + 1;

    while (index < runs->touched && !runs->all[index].used)
        index++;
    return index < runs->touched ? &runs->all[index] : NULL;
}
