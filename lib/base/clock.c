/* clock.c - see clock.h. */
#include "base/clock.h"

#include <limits.h>
#include <time.h>

static int64_t
read_us(clockid_t which)
{
    struct timespec now;

    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t
clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t
clock_unix_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int
clock_left_ms(int64_t deadline_mono_ms)
{
    const int64_t left_ms = deadline_mono_ms - clock_mono_ms();

    if (left_ms <= 0)
        return 0;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

/* Writes the last digits of value, and what follows them. */
static char *
put_digits(char *at, unsigned value, int count, char after)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    at[count] = after;
    return at + count + 1;
}

void
clock_format_utc(int64_t unix_us, char text[CLOCK_UTC_LEN])
{
    const time_t seconds = (time_t)(unix_us / 1000000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    text = put_digits(text, (unsigned)tm.tm_year + 1900, 4, '-');
    text = put_digits(text, (unsigned)tm.tm_mon + 1, 2, '-');
    text = put_digits(text, (unsigned)tm.tm_mday, 2, 'T');
    text = put_digits(text, (unsigned)tm.tm_hour, 2, ':');
    text = put_digits(text, (unsigned)tm.tm_min, 2, ':');
    text = put_digits(text, (unsigned)tm.tm_sec, 2, '.');
    text = put_digits(text, (unsigned)(unix_us % 1000000), 6, 'Z');
    *text = '\0';
}
