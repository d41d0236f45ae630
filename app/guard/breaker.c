/* breaker.c - see breaker.h. */
#include "guard/breaker.h"

/* A word is 52 bits of time, 10 of failures, 2 of state. */
#define STATE_BITS   2
#define FAILURE_BITS 10
#define MAX_FAILURES ((1u << FAILURE_BITS) - 1)

const char *
breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = { "closed", "half_open", "open" };

    return names[state];
}

static struct breaker
open_until(int64_t until_mono_ms)
{
    return (struct breaker){ .state = BREAKER_OPEN,
                             .until_mono_ms = until_mono_ms };
}

enum breaker_pass
breaker_ask(struct breaker *breaker, int64_t now_mono_ms, int64_t lease_mono_ms)
{
    if (breaker->state == BREAKER_CLOSED)
        return BREAKER_PASSED;
    if (now_mono_ms < breaker->until_mono_ms)
        return BREAKER_REFUSED;
    *breaker = (struct breaker){ .state = BREAKER_HALF_OPEN,
                                 .until_mono_ms = lease_mono_ms };
    return BREAKER_PROBING;
}

static void
count_failure(struct breaker *breaker, const struct breaker_policy *policy,
              int64_t now_mono_ms)
{
    if (breaker->failures == 0 || now_mono_ms >= breaker->until_mono_ms)
        *breaker = (struct breaker){ .until_mono_ms =
                                         now_mono_ms + policy->window_ms };
    if (breaker->failures < MAX_FAILURES)
        breaker->failures++;
    if (policy->failures > 0 && breaker->failures >= policy->failures)
        *breaker = open_until(now_mono_ms + policy->open_ms);
}

/* News of calls that were let go before it opened come late: only good ones
 * still count. */
void
breaker_tell(struct breaker *breaker, const struct breaker_policy *policy,
             enum breaker_pass pass, enum breaker_news news,
             int64_t now_mono_ms)
{
    const bool is_probe =
        pass == BREAKER_PROBING && breaker->state == BREAKER_HALF_OPEN;

    switch (news) {
    case BREAKER_SERVED:
        *breaker = (struct breaker){ .state = BREAKER_CLOSED };
        break;
    case BREAKER_FAILED:
        if (breaker->state == BREAKER_CLOSED)
            count_failure(breaker, policy, now_mono_ms);
        else if (is_probe)
            *breaker = open_until(now_mono_ms + policy->open_ms);
        break;
    case BREAKER_UNKNOWN:
        if (is_probe) /* the next one may try at once */
            *breaker = open_until(now_mono_ms);
        break;
    }
}

uint64_t
breaker_pack(const struct breaker *breaker)
{
    return (uint64_t)breaker->until_mono_ms << (FAILURE_BITS + STATE_BITS) |
           (uint64_t)breaker->failures << STATE_BITS | breaker->state;
}

struct breaker
breaker_unpack(uint64_t word)
{
    return (struct breaker){
        .state = (enum breaker_state)(word & ((1u << STATE_BITS) - 1)),
        .failures = (unsigned)(word >> STATE_BITS) & MAX_FAILURES,
        .until_mono_ms = (int64_t)(word >> (FAILURE_BITS + STATE_BITS)),
    };
}
