/*
 * clock - the two clocks, and what is left until a deadline.
 *
 * Monotonic values end in _mono_ms (or are called deadline); wall-clock ones
 * in _unix_ms or _unix_us.  The two never mix.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_UTC_LEN 28 /* "2026-01-31T23:59:59.123456Z" and its NUL */

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_unix_us(void);

/* Whole milliseconds until deadline_mono_ms: 0 when past, at most INT_MAX, so
 * the value fits poll(2). */
int clock_left_ms(int64_t deadline_mono_ms);

/* The earlier of two moments of one clock. */
static inline int64_t
clock_sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* RFC 3339 in UTC with microseconds. */
void clock_format_utc(int64_t unix_us, char text[CLOCK_UTC_LEN]);

#endif
