/* counters.c - see counters.h.  Each series is a run of cells: one for a
 * counter or gauge; the buckets and then the sum for a histogram.  A
 * histogram's count is the sum of its buckets, so the two cannot disagree. */
#include "sys/counters.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "sys/shm.h"

static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a dead process must hold no lock");

struct counters {
    const struct counters_family *families;
    size_t family_count;
    void *memory;            /* shared */
    _Atomic uint64_t *cells; /* in it */
    size_t cell_count;
    size_t first_cells[]; /* of each family */
};

static size_t
label_count(const struct counters_family *family)
{
    return family->label_count > 0 ? family->label_count : 1;
}

static size_t
cells_per_label(const struct counters_family *family)
{
    return family->kind == COUNTERS_HISTOGRAM ? family->bound_count + 2 : 1;
}

struct counters *
counters_new(const struct counters_family *families, size_t family_count,
             struct err *err)
{
    struct counters *set;

    assert(family_count > 0);
    set = malloc(sizeof(*set) + family_count * sizeof(set->first_cells[0]));
    if (set == NULL) {
        err_set(err, ERR_NOMEM, "counters");
        return NULL;
    }
    *set =
        (struct counters){ .families = families, .family_count = family_count };
    for (size_t i = 0; i < family_count; i++) {
        set->first_cells[i] = set->cell_count;
        set->cell_count +=
            label_count(&families[i]) * cells_per_label(&families[i]);
    }
    set->memory = shm_new(set->cell_count * sizeof(set->cells[0]), err);
    if (set->memory == NULL) {
        free(set);
        return NULL;
    }
    set->cells = set->memory;
    return set;
}

void
counters_free(struct counters *set)
{
    if (set == NULL)
        return;
    shm_free(set->memory, set->cell_count * sizeof(set->cells[0]));
    free(set);
}

static _Atomic uint64_t *
series(const struct counters *set, size_t family, size_t label)
{
    assert(family < set->family_count);
    assert(label < label_count(&set->families[family]));
    return set->cells + set->first_cells[family] +
           label * cells_per_label(&set->families[family]);
}

static void
add(_Atomic uint64_t *cell, uint64_t amount)
{
    atomic_fetch_add_explicit(cell, amount, memory_order_relaxed);
}

static uint64_t
get(const _Atomic uint64_t *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

void
counters_add(struct counters *set, size_t family, size_t label, uint64_t amount)
{
    if (set == NULL)
        return;
    assert(set->families[family].kind != COUNTERS_HISTOGRAM);
    add(series(set, family, label), amount);
}

void
counters_set(struct counters *set, size_t family, size_t label, int64_t value)
{
    if (set == NULL)
        return;
    assert(set->families[family].kind == COUNTERS_GAUGE);
    atomic_store_explicit(series(set, family, label), (uint64_t)value,
                          memory_order_relaxed);
}

void
counters_observe(struct counters *set, size_t family, size_t label,
                 int64_t value)
{
    const struct counters_family *kind;
    _Atomic uint64_t *buckets;
    size_t bucket = 0;

    if (set == NULL)
        return;
    kind = &set->families[family];
    assert(kind->kind == COUNTERS_HISTOGRAM);
    buckets = series(set, family, label);
    while (bucket < kind->bound_count && value > kind->bounds[bucket])
        bucket++;
    add(&buckets[bucket], 1);
    add(&buckets[kind->bound_count + 1], (uint64_t)value);
}

uint64_t
counters_get(const struct counters *set, size_t family, size_t label)
{
    uint64_t total = 0;

    if (set == NULL)
        return 0;
    if (set->families[family].kind != COUNTERS_HISTOGRAM)
        return get(series(set, family, label));
    for (size_t i = 0; i <= set->families[family].bound_count; i++)
        total += counters_bucket(set, family, label, i);
    return total;
}

uint64_t
counters_bucket(const struct counters *set, size_t family, size_t label,
                size_t bucket)
{
    if (set == NULL)
        return 0;
    assert(set->families[family].kind == COUNTERS_HISTOGRAM);
    assert(bucket <= set->families[family].bound_count);
    return get(series(set, family, label) + bucket);
}

int64_t
counters_sum(const struct counters *set, size_t family, size_t label)
{
    if (set == NULL)
        return 0;
    assert(set->families[family].kind == COUNTERS_HISTOGRAM);
    return (int64_t)get(series(set, family, label) +
                        set->families[family].bound_count + 1);
}
