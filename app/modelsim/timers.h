/*
 * timers - one heap of points in time, each inside what it belongs to.
 *
 *     timers_set(&timers, &thing->timer, due, &err);   also moves it
 *     while ((timer = timers_take_due(&timers, now)) != NULL) ...
 *     timers_clear(&timers, &thing->timer);            repeatable
 *     timers_close(&timers);
 *
 * A timer begins as { 0 } and is borrowed while it is set.
 */
#ifndef MODELSIM_TIMERS_H
#define MODELSIM_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct timer {
    int64_t due_mono_ms;
    size_t place; /* in the heap, counted from 1; 0: not set */
};

/* Begins as { 0 }. */
struct timers {
    struct timer **heap; /* the earliest first */
    size_t count;
    size_t capacity;
};

void timers_close(struct timers *timers);

/* -1 on ERR_NOMEM. */
int timers_set(struct timers *timers, struct timer *timer, int64_t due_mono_ms,
               struct err *err) ATTR_MUST_CHECK;
void timers_clear(struct timers *timers, struct timer *timer);

/* The earliest one that is due, no longer set; or NULL. */
struct timer *timers_take_due(struct timers *timers, int64_t now_mono_ms);

/* Milliseconds to the earliest one, for epoll_wait(2); -1 when none is set. */
int timers_left_ms(const struct timers *timers);

#endif
