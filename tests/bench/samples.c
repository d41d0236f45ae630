/* samples.c - see samples.h. */
#include "bench/samples.h"

#include <stdio.h>
#include <stdlib.h>

/* calloc(3) takes the pages from the system when they are first used. */
void
samples_init(struct samples *samples)
{
    *samples = (struct samples){ .us = calloc(SAMPLES_MAX, sizeof(int64_t)) };
    if (samples->us == NULL) {
        perror("samples");
        exit(1);
    }
}

void
samples_note(struct samples *samples, int64_t us)
{
    if (samples->count < SAMPLES_MAX)
        samples->us[samples->count++] = us;
}

static int
compare(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a;
    const int64_t right = *(const int64_t *)b;

    return left < right ? -1 : left > right;
}

/* The smallest sample that so many of a thousand do not exceed. */
static long long
quantile(const struct samples *samples, size_t per_mille)
{
    const size_t rank = (samples->count * per_mille + 999) / 1000;

    return (long long)samples->us[rank - 1];
}

void
samples_print(const char *name, struct samples *samples)
{
    if (samples->count == 0)
        return;
    qsort(samples->us, samples->count, sizeof(samples->us[0]), compare);
    printf(",\"%s\":{\"count\":%zu,\"p50\":%lld,\"p95\":%lld,\"p99\":%lld,"
           "\"max\":%lld}",
           name, samples->count, quantile(samples, 500), quantile(samples, 950),
           quantile(samples, 990), quantile(samples, 1000));
}
