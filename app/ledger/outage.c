/* outage.c - see outage.h. */
#include "ledger/outage.h"

bool
outage_is_open(const struct outage *outage)
{
    return outage->failures >= OUTAGE_ATTEMPTS;
}

bool
outage_may_try(const struct outage *outage, int64_t now_mono_ms)
{
    return outage->failures == 0 || now_mono_ms >= outage->retry_mono_ms;
}

void
outage_failed(struct outage *outage, int64_t now_mono_ms, int jitter)
{
    int64_t pause_ms = OUTAGE_FIRST_PAUSE_MS;

    if (outage->failures < OUTAGE_ATTEMPTS)
        outage->failures++;
    if (outage_is_open(outage)) {
        outage_open(outage, now_mono_ms);
        return;
    }
    for (int i = 1; i < outage->failures; i++)
        pause_ms *= 2;
    if (pause_ms > OUTAGE_LONGEST_PAUSE_MS)
        pause_ms = OUTAGE_LONGEST_PAUSE_MS;
    outage->retry_mono_ms = now_mono_ms + pause_ms + pause_ms * jitter / 1000;
}

void
outage_succeeded(struct outage *outage)
{
    outage->failures = 0;
}

void
outage_open(struct outage *outage, int64_t now_mono_ms)
{
    outage->failures = OUTAGE_ATTEMPTS;
    outage->retry_mono_ms = now_mono_ms + OUTAGE_OPEN_MS;
}

void
outage_hasten(struct outage *outage, int64_t now_mono_ms)
{
    if (outage->retry_mono_ms > now_mono_ms)
        outage->retry_mono_ms = now_mono_ms;
}
