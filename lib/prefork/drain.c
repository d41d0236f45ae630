/* drain.c - see drain.h. */
#include "prefork/drain.h"

#include <limits.h>

#include "sys/log.h"

static int
stop_order_of(const struct crew *crew, const struct crew_member *member)
{
    return crew->config->pools[member->pool].stop_order;
}

/* INT_MAX, which may also be an order, when nobody is left. */
static int
lowest_order(const struct crew *crew)
{
    int lowest = INT_MAX;

    for (size_t i = 0; i < crew->member_count; i++) {
        const struct crew_member *member = &crew->members[i];

        if (member->pid != 0 && stop_order_of(crew, member) < lowest)
            lowest = stop_order_of(crew, member);
    }
    return lowest;
}

static void
begin_order(struct drain *drain, int64_t now_mono_ms)
{
    drain->stop_order = lowest_order(drain->crew);
    drain->ask = drain->least;
    drain->asked_mono_ms = now_mono_ms;
}

void
drain_begin(struct drain *drain, struct crew *crew, enum crew_ask least,
            int64_t now_mono_ms)
{
    *drain = (struct drain){ .crew = crew, .least = least };
    begin_order(drain, now_mono_ms);
}

static void
ask_more(struct drain *drain, enum crew_ask ask, int64_t now_mono_ms)
{
    if (ask <= drain->ask)
        return;
    drain->ask = ask;
    drain->asked_mono_ms = now_mono_ms;
}

void
drain_raise(struct drain *drain, enum crew_ask least, int64_t now_mono_ms)
{
    drain->least = least;
    ask_more(drain, least, now_mono_ms);
}

static void
escalate(struct drain *drain, int64_t now_mono_ms)
{
    const struct master_config *config = drain->crew->config;
    const int64_t waited_ms = now_mono_ms - drain->asked_mono_ms;

    if (drain->ask == CREW_LEAVE && waited_ms >= config->drain_ms)
        ask_more(drain, CREW_HURRY, now_mono_ms);
    else if (drain->ask == CREW_HURRY && waited_ms >= config->hurry_ms)
        ask_more(drain, CREW_DIE, now_mono_ms);
    else
        return;
    log_warn("drain_escalated", "stop_order=%d signal=%s", drain->stop_order,
             drain->ask == CREW_DIE ? "SIGKILL" : "SIGTERM");
}

bool
drain_step(struct drain *drain, int64_t now_mono_ms)
{
    struct crew *crew = drain->crew;

    if (crew->living == 0)
        return true;
    if (lowest_order(crew) != drain->stop_order)
        begin_order(drain, now_mono_ms);
    escalate(drain, now_mono_ms);
    for (size_t i = 0; i < crew->member_count; i++)
        if (crew->members[i].pid != 0 &&
            stop_order_of(crew, &crew->members[i]) == drain->stop_order)
            crew_ask(crew, i, drain->ask);
    return false;
}
