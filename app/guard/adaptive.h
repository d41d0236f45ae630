/*
 * adaptive - the rules by which a time-out follows what calls really take.
 *
 * Pure: a histogram and the time-out in force go in, the next one comes out.
 * Calls that ran out of time are in the histogram with their whole time-out;
 * without them the estimate would sink and make ever more calls run out of it.
 */
#ifndef GUARD_ADAPTIVE_H
#define GUARD_ADAPTIVE_H

#include <stddef.h>
#include <stdint.h>

#define ADAPTIVE_MIN_CALLS 50 /* fewer say nothing of the slowest 5 % */

struct adaptive_policy {
    int64_t percent; /* of the 95th percentile */
    int64_t min_ms;
    int64_t max_ms;
    int64_t ceiling_ms; /* what a run leaves its models; wins over min_ms */
};

/* The time within which 95 % of the calls ended, between the bounds of its
 * bucket as if calls were spread evenly there.  Buckets are not cumulative and
 * one more than bounds; at least one call is in them. */
int64_t adaptive_p95_ms(const uint64_t *buckets, const int64_t *bounds_ms,
                        size_t bound_count);

/* At most a fifth away from now_ms. */
int64_t adaptive_next_ms(const struct adaptive_policy *policy, int64_t now_ms,
                         int64_t p95_ms);

#endif
