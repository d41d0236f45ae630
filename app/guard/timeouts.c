/*
 * timeouts.c - see timeouts.h.
 *
 * Whoever moves decided_mono_ms with compare-and-swap owns the rest of the cell
 * for an interval.  If it is killed before it is through, the next one decides.
 */
#include "guard/timeouts.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "guard/adaptive.h"
#include "metrics.h"
#include "sys/shm.h"

#define ROLES       2
#define MAX_BUCKETS 32

struct cell {
    _Atomic int64_t limit_ms;           /* 0: as configured */
    _Atomic int64_t decided_mono_ms;    /* 0: never */
    _Atomic uint64_t seen[MAX_BUCKETS]; /* in decisions before */
};

static struct cell *cells;

int
timeouts_init(struct err *err)
{
    assert(metrics_families[METRICS_CALL_DURATION].bound_count < MAX_BUCKETS);
    cells = shm_new(ROLES * sizeof(*cells), err);
    return cells != NULL ? 0 : -1;
}

static const struct config_role *
role_of(size_t role, const struct config *config)
{
    assert(role < ROLES);
    return role == 0 ? &config->flash : &config->pro;
}

void
timeouts_begin(const struct config *config)
{
    for (size_t role = 0; cells != NULL && role < ROLES; role++) {
        atomic_store(&cells[role].limit_ms, 0);
        metrics_gauge(METRICS_TIMEOUT, role, role_of(role, config)->timeout_ms);
    }
}

int64_t
timeouts_ms(size_t role, const struct config *config)
{
    const int64_t configured_ms = role_of(role, config)->timeout_ms;
    int64_t limit_ms = 0;

    if (cells != NULL && config->adaptive_timeouts)
        limit_ms = atomic_load(&cells[role].limit_ms);
    return limit_ms != 0 ? limit_ms : configured_ms;
}

static struct adaptive_policy
policy_of(size_t role, const struct config *config)
{
    static const int64_t percent[ROLES] = { 250, 225 };
    const struct config_role *limits = role_of(role, config);

    return (struct adaptive_policy){
        .percent = percent[role],
        .min_ms = limits->timeout_min_ms,
        .max_ms = limits->timeout_max_ms,
        .ceiling_ms = config->run_deadline_ms - config->audit_share_ms,
    };
}

/* Calls since the last decision; returns how many. */
static int64_t
new_calls(size_t role, uint64_t buckets[MAX_BUCKETS])
{
    const size_t bound_count =
        metrics_families[METRICS_CALL_DURATION].bound_count;
    uint64_t total = 0;

    for (size_t i = 0; i <= bound_count; i++) {
        buckets[i] = counters_bucket(metrics_counters(), METRICS_CALL_DURATION,
                                     role, i) -
                     atomic_load(&cells[role].seen[i]);
        total += buckets[i];
    }
    return (int64_t)total;
}

static bool
win_the_decision(size_t role, const struct config *config)
{
    _Atomic int64_t *decided = &cells[role].decided_mono_ms;
    const int64_t now_mono_ms = clock_mono_ms();
    int64_t last_mono_ms = atomic_load(decided);

    return (last_mono_ms == 0 ||
            now_mono_ms - last_mono_ms >= config->adaptive_interval_ms) &&
           atomic_compare_exchange_strong(decided, &last_mono_ms, now_mono_ms);
}

static void
decide(size_t role, const struct config *config, struct timeouts_change *change)
{
    const struct counters_family *histogram =
        &metrics_families[METRICS_CALL_DURATION];
    const struct adaptive_policy policy = policy_of(role, config);
    uint64_t buckets[MAX_BUCKETS];

    change->calls = new_calls(role, buckets);
    change->from_ms = timeouts_ms(role, config);
    change->p95_ms =
        adaptive_p95_ms(buckets, histogram->bounds, histogram->bound_count);
    change->to_ms = adaptive_next_ms(&policy, change->from_ms, change->p95_ms);
    for (size_t i = 0; i <= histogram->bound_count; i++)
        atomic_fetch_add(&cells[role].seen[i], buckets[i]);
}

bool
timeouts_learn(size_t role, const struct config *config,
               struct timeouts_change *change)
{
    uint64_t buckets[MAX_BUCKETS];

    if (cells == NULL || !config->adaptive_timeouts ||
        new_calls(role, buckets) < ADAPTIVE_MIN_CALLS ||
        !win_the_decision(role, config))
        return false;
    decide(role, config, change);
    if (change->to_ms == change->from_ms)
        return false;
    atomic_store(&cells[role].limit_ms, change->to_ms);
    metrics_gauge(METRICS_TIMEOUT, role, change->to_ms);
    return true;
}
