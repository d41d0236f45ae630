/* reload.c - see reload.h. */
#include "prefork/reload.h"

#include <assert.h>
#include <string.h>

#include "sys/log.h"

#define READY_MS 30000 /* longest wait for a new generation */

void
reload_init(struct reload *reload, struct crew *crew, struct pool *pools)
{
    *reload = (struct reload){ .crew = crew, .pools = pools };
    reload->current = crew_generation_new(crew, crew->config->config);
    for (unsigned i = 0; i < crew->config->pool_count; i++)
        pool_begin(&pools[i], crew, i);
}

/* ---- forth ------------------------------------------------------------- */

bool
reload_is_possible(const struct reload *reload)
{
    return crew_has_room_for_generation(reload->crew);
}

static void
begin_pools(struct reload *reload)
{
    for (unsigned i = 0; i < reload->crew->config->pool_count; i++)
        pool_begin(&reload->pools[i], reload->crew, i);
}

bool
reload_begin(struct reload *reload, int64_t now_mono_ms)
{
    const struct master_config *config = reload->crew->config;
    const struct master_hooks *hooks = config->hooks;
    const size_t pools_size = config->pool_count * sizeof(config->pools[0]);
    const void *next = NULL;
    struct err err = { 0 };

    assert(reload_is_possible(reload));
    memcpy(reload->saved, config->pools, pools_size);
    if (hooks->reload == NULL ||
        hooks->reload(hooks->arg, config->pools, &next, &err) == -1) {
        log_error("reload_refused", "configuration unchanged: %s",
                  err.kind != ERR_NONE ? err.text : "there is no other");
        memcpy(config->pools, reload->saved, pools_size);
        return false;
    }
    reload->previous = reload->current;
    reload->current = crew_generation_new(reload->crew, next);
    reload->deadline_mono_ms = now_mono_ms + READY_MS;
    begin_pools(reload);
    log_info("reload_started", "old_generation=%u new_generation=%u",
             reload->previous->number, reload->current->number);
    return true;
}

void
reload_note_ready(struct reload *reload, size_t slot)
{
    const struct crew_member *member = &reload->crew->members[slot];
    struct pool *pool = &reload->pools[member->pool];

    if (member->generation != reload->current)
        return;
    pool_note_ready(pool);
    pool_retire_one_other(pool, reload->current);
}

/* True when the pool's new generation has taken over. */
static bool
change_over(struct reload *reload, struct pool *pool, int64_t now_mono_ms)
{
    pool_grow(pool, reload->current, now_mono_ms);
    if (pool->is_crowded)
        pool_retire_one_other(pool, reload->current);
    if (!pool_is_settled(pool, reload->current))
        return false;
    pool_retire_all_others(pool, reload->current);
    return true;
}

/* The same for a pool whose old child must have gone before. */
static bool
change_over_exclusive(struct reload *reload, struct pool *pool,
                      int64_t now_mono_ms)
{
    if (!pool_has_others(pool, reload->current))
        return change_over(reload, pool, now_mono_ms);
    pool_retire_all_others(pool, reload->current);
    /* The new one's time has not begun. */
    reload->deadline_mono_ms = now_mono_ms + READY_MS;
    return false;
}

static bool
change_over_pools(struct reload *reload, bool exclusive, int64_t now_mono_ms)
{
    const struct master_config *config = reload->crew->config;
    bool done = true;

    for (size_t i = 0; i < config->pool_count; i++) {
        struct pool *pool = &reload->pools[i];

        if (config->pools[i].exclusive != exclusive)
            continue;
        done &= exclusive ? change_over_exclusive(reload, pool, now_mono_ms)
                          : change_over(reload, pool, now_mono_ms);
    }
    return done;
}

/* ---- and back ---------------------------------------------------------- */

/* Those at work may finish it. */
static void
dismiss(struct reload *reload, const struct crew_generation *generation)
{
    struct crew *crew = reload->crew;

    for (size_t i = 0; i < crew->member_count; i++)
        if (crew->members[i].pid != 0 &&
            crew->members[i].generation == generation)
            crew_ask(crew, i,
                     crew->members[i].is_ready ? CREW_LEAVE : CREW_DIE);
}

static void
go_back(struct reload *reload, const char *why)
{
    const struct master_config *config = reload->crew->config;

    log_error("reload_abandoned", "generation=%u stays: %s",
              reload->previous->number, why);
    dismiss(reload, reload->current);
    memcpy(config->pools, reload->saved,
           config->pool_count * sizeof(config->pools[0]));
    reload->current = reload->previous;
    reload->previous = NULL;
    begin_pools(reload);
    for (size_t i = 0; i < config->pool_count; i++)
        pool_note_ready(&reload->pools[i]); /* it has been, before */
}

static const char *
why_to_go_back(const struct reload *reload, int64_t now_mono_ms)
{
    for (size_t i = 0; i < reload->crew->config->pool_count; i++)
        if (pool_is_hopeless(&reload->pools[i]))
            return "children of the new one fail before they are ready";
    return now_mono_ms >= reload->deadline_mono_ms
               ? "the new one takes too long to get ready"
               : NULL;
}

enum reload_outcome
reload_step(struct reload *reload, int64_t now_mono_ms)
{
    const char *why;

    if (change_over_pools(reload, false, now_mono_ms) &&
        change_over_pools(reload, true, now_mono_ms)) {
        log_info("reload_finished", "generation=%u", reload->current->number);
        reload->previous = NULL;
        return RELOAD_FINISHED;
    }
    why = why_to_go_back(reload, now_mono_ms);
    if (why == NULL)
        return RELOAD_GOES_ON;
    go_back(reload, why);
    return RELOAD_ABANDONED;
}

void
reload_drop(struct reload *reload)
{
    reload->previous = NULL;
}
