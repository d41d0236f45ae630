/*
 * outage - how a store that fails is tried again, and when it is left alone.
 *
 *     if (outage_may_try(&outage, now))
 *         ... outage_succeeded(&outage) or outage_failed(&outage, now, jitter)
 *
 * Pure.  Five attempts in a row, 0.25 s apart, doubling to at most 3 s, each
 * up to a tenth longer so that hosts do not come together.  Then the outage is
 * open: nothing is tried for 60 s, after that one attempt at a time.
 */
#ifndef LEDGER_OUTAGE_H
#define LEDGER_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

#define OUTAGE_ATTEMPTS         5
#define OUTAGE_FIRST_PAUSE_MS   250
#define OUTAGE_LONGEST_PAUSE_MS 3000
#define OUTAGE_OPEN_MS          60000
#define OUTAGE_MAX_JITTER       100 /* thousandths */

/* Zero is a store that works. */
struct outage {
    int failures;          /* in a row; no more than OUTAGE_ATTEMPTS */
    int64_t retry_mono_ms; /* no attempt before */
};

bool outage_is_open(const struct outage *outage);
bool outage_may_try(const struct outage *outage, int64_t now_mono_ms);

/* jitter is 0 to OUTAGE_MAX_JITTER. */
void outage_failed(struct outage *outage, int64_t now_mono_ms, int jitter);
void outage_succeeded(struct outage *outage);

/* Opens it at once: there is nobody who would wait for more attempts. */
void outage_open(struct outage *outage, int64_t now_mono_ms);

/* The next attempt may come now: somebody says that it is worth it. */
void outage_hasten(struct outage *outage, int64_t now_mono_ms);

#endif
