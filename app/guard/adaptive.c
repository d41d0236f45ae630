/* adaptive.c - see adaptive.h. */
#include "guard/adaptive.h"

#include <assert.h>

#define STEP_PERCENT 20

static int64_t
at_least(int64_t value, int64_t least)
{
    return value > least ? value : least;
}

static int64_t
at_most(int64_t value, int64_t most)
{
    return value < most ? value : most;
}

static uint64_t
sum(const uint64_t *buckets, size_t count)
{
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += buckets[i];
    return total;
}

int64_t
adaptive_p95_ms(const uint64_t *buckets, const int64_t *bounds_ms,
                size_t bound_count)
{
    const uint64_t total = sum(buckets, bound_count + 1);
    const uint64_t rank = (total * 95 + 99) / 100;
    uint64_t below = 0;
    size_t bucket = 0;
    int64_t lower_ms;

    assert(total > 0);
    while (below + buckets[bucket] < rank)
        below += buckets[bucket++];
    if (bucket == bound_count)
        return bounds_ms[bound_count - 1];
    lower_ms = bucket > 0 ? bounds_ms[bucket - 1] : 0;
    return lower_ms + (bounds_ms[bucket] - lower_ms) * (int64_t)(rank - below) /
                          (int64_t)buckets[bucket];
}

int64_t
adaptive_next_ms(const struct adaptive_policy *policy, int64_t now_ms,
                 int64_t p95_ms)
{
    const int64_t step_ms = now_ms * STEP_PERCENT / 100;
    int64_t next_ms = p95_ms * policy->percent / 100;

    next_ms = at_most(at_least(next_ms, policy->min_ms), policy->max_ms);
    next_ms = at_most(at_least(next_ms, now_ms - step_ms), now_ms + step_ms);
    return at_most(next_ms, policy->ceiling_ms);
}
