/* timers.c - see timers.h. */
#include "modelsim/timers.h"

#include <stdlib.h>

#include "base/clock.h"

#define FIRST_CAPACITY 64

void
timers_close(struct timers *timers)
{
    free(timers->heap);
    *timers = (struct timers){ 0 };
}

static void
put(struct timers *timers, size_t place, struct timer *timer)
{
    timers->heap[place - 1] = timer;
    timer->place = place;
}

static struct timer *
at(const struct timers *timers, size_t place)
{
    return timers->heap[place - 1];
}

/* Both end with timer in its right place, given that it is free. */
static void
sift_up(struct timers *timers, size_t place, struct timer *timer)
{
    while (place > 1 &&
           at(timers, place / 2)->due_mono_ms > timer->due_mono_ms) {
        put(timers, place, at(timers, place / 2));
        place /= 2;
    }
    put(timers, place, timer);
}

static void
sift_down(struct timers *timers, size_t place, struct timer *timer)
{
    for (;;) {
        size_t child = place * 2;

        if (child < timers->count &&
            at(timers, child + 1)->due_mono_ms < at(timers, child)->due_mono_ms)
            child++;
        if (child > timers->count ||
            at(timers, child)->due_mono_ms >= timer->due_mono_ms)
            break;
        put(timers, place, at(timers, child));
        place = child;
    }
    put(timers, place, timer);
}

static int
make_room(struct timers *timers, struct err *err)
{
    const size_t capacity =
        timers->capacity == 0 ? FIRST_CAPACITY : timers->capacity * 2;
    struct timer **heap;

    if (timers->count < timers->capacity)
        return 0;
    heap = reallocarray(timers->heap, capacity, sizeof(struct timer *));
    if (heap == NULL)
        return err_set(err, ERR_NOMEM, "%zu timers", capacity);
    timers->heap = heap;
    timers->capacity = capacity;
    return 0;
}

int
timers_set(struct timers *timers, struct timer *timer, int64_t due_mono_ms,
           struct err *err)
{
    timers_clear(timers, timer);
    if (make_room(timers, err) == -1)
        return -1;
    timer->due_mono_ms = due_mono_ms;
    timers->count++;
    sift_up(timers, timers->count, timer);
    return 0;
}

void
timers_clear(struct timers *timers, struct timer *timer)
{
    const size_t place = timer->place;
    struct timer *last;

    if (place == 0)
        return;
    timer->place = 0;
    last = at(timers, timers->count--);
    if (last == timer)
        return;
    if (place > 1 && at(timers, place / 2)->due_mono_ms > last->due_mono_ms)
        sift_up(timers, place, last);
    else
        sift_down(timers, place, last);
}

struct timer *
timers_take_due(struct timers *timers, int64_t now_mono_ms)
{
    struct timer *first = timers->count == 0 ? NULL : timers->heap[0];

    if (first == NULL || first->due_mono_ms > now_mono_ms)
        return NULL;
    timers_clear(timers, first);
    return first;
}

int
timers_left_ms(const struct timers *timers)
{
    if (timers->count == 0)
        return -1;
    return clock_left_ms(timers->heap[0]->due_mono_ms);
}
