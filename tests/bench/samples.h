/*
 * samples - many durations, and what most of them do not exceed.
 *
 *     samples_init(&samples);          room for SAMPLES_MAX, or the end
 *     samples_note(&samples, us);
 *     samples_print("total_us", &samples);   as a member of a JSON object
 */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

#define SAMPLES_MAX 4000000 /* later ones are not kept */

struct samples {
    int64_t *us; /* owned until the process ends */
    size_t count;
};

void samples_init(struct samples *samples);
void samples_note(struct samples *samples, int64_t us);

/* Sorts them.  Prints nothing when there are none. */
void samples_print(const char *name, struct samples *samples);

#endif
