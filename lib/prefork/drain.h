/*
 * drain - stopping escalates: QUIT, TERM, KILL, one stop order after another.
 *
 *     drain_begin(&drain, &crew, CREW_LEAVE, now_mono_ms);
 *     drain_step(&drain, now_mono_ms);     after anything happened, until true
 *     drain_raise(&drain, CREW_HURRY, now_mono_ms);   the operator insists
 *
 * Pools of the lowest stop order go first; the next ones only when nobody of
 * those is left.  Inside the master's process only.
 */
#ifndef PREFORK_DRAIN_H
#define PREFORK_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "prefork/crew.h"

struct drain {
    struct crew *crew;     /* borrowed */
    int stop_order;        /* whose turn it is */
    enum crew_ask least;   /* how each order begins */
    enum crew_ask ask;     /* what the present order is asked */
    int64_t asked_mono_ms; /* since when */
};

void drain_begin(struct drain *drain, struct crew *crew, enum crew_ask least,
                 int64_t now_mono_ms);

/* From now on at least this, for the present order and those to come. */
void drain_raise(struct drain *drain, enum crew_ask least, int64_t now_mono_ms);

/* True when nobody is left. */
bool drain_step(struct drain *drain, int64_t now_mono_ms);

#endif
