/* plan.c - see plan.h. */
#include "prefork/plan.h"

#define MAX_STARTS     32 /* at once: the master must not fork for seconds */
#define SHORT_LIFE_MS  10000
#define FIRST_BRAKE_MS 1000
#define MAX_BRAKE_MS   30000

static int
at_least(int value, int low)
{
    return value < low ? low : value;
}

static int
at_most(int value, int high)
{
    return value > high ? high : value;
}

static int
how_many_to_start(const struct plan_limits *limits,
                  const struct plan_facts *facts)
{
    const int on_hand = facts->idle + facts->starting;
    int start = at_least(limits->min - facts->total, limits->spare - on_hand);

    /* A burst has eaten the whole reserve: catch up by doubling. */
    if (on_hand == 0 && limits->spare > 0)
        start = at_least(start, facts->total);
    start = at_most(start, limits->max - facts->total);
    return at_least(at_most(start, MAX_STARTS), 0);
}

static bool
has_one_too_many(const struct plan_limits *limits,
                 const struct plan_facts *facts)
{
    return facts->total > limits->min && facts->idle > 2 * limits->spare &&
           facts->surplus_since_mono_ms != 0 &&
           facts->now_mono_ms - facts->surplus_since_mono_ms >= limits->idle_ms;
}

static bool
is_deserted(const struct plan_facts *facts)
{
    return facts->total == facts->leaving;
}

struct plan_decision
plan_decide(const struct plan_limits *limits, const struct plan_facts *facts)
{
    struct plan_decision decision = { 0 };

    if (facts->now_mono_ms >= facts->brake_until_mono_ms)
        decision.start = how_many_to_start(limits, facts);
    else if (facts->may_rescue && is_deserted(facts))
        decision.start = at_most(how_many_to_start(limits, facts), 1);
    if (decision.start == 0 && has_one_too_many(limits, facts))
        decision.retire = 1;
    return decision;
}

int64_t
plan_brake_ms(int64_t lived_ms, int64_t last_delay_ms)
{
    if (lived_ms >= SHORT_LIFE_MS)
        return 0;
    if (last_delay_ms == 0)
        return FIRST_BRAKE_MS;
    return last_delay_ms > MAX_BRAKE_MS / 2 ? MAX_BRAKE_MS : 2 * last_delay_ms;
}
