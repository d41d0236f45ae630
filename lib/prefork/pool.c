/* pool.c - see pool.h. */
#include "prefork/pool.h"

#include "prefork/plan.h"
#include "sys/log.h"

#define MAX_BRAKES_BEFORE_READY 3
#define QUIET_MS                10000
#define RESCUE_MS               100 /* the least between two rescues */

static const struct master_pool *
spec_of(const struct pool *pool)
{
    return &pool->crew->config->pools[pool->index];
}

void
pool_begin(struct pool *pool, struct crew *crew, unsigned index)
{
    *pool = (struct pool){ .crew = crew, .index = index };
}

/* ---- the brake --------------------------------------------------------- */

static void
pull_brake(struct pool *pool, int64_t born_mono_ms, int64_t lived_ms,
           int64_t now_mono_ms)
{
    /* Many may die of one cause: whoever was there already when the brake was
     * pulled does not pull it again. */
    if (pool->braked_mono_ms != 0 && born_mono_ms <= pool->braked_mono_ms)
        return;
    if (born_mono_ms > pool->brake_until_mono_ms + QUIET_MS)
        pool->brake_ms = 0;
    pool->brake_ms = plan_brake_ms(lived_ms, pool->brake_ms);
    if (pool->brake_ms == 0)
        return;
    pool->brake_count++;
    pool->braked_mono_ms = now_mono_ms;
    pool->brake_until_mono_ms = now_mono_ms + pool->brake_ms;
    log_warn("respawn_braked", "pool=%s wait_ms=%lld", spec_of(pool)->name,
             (long long)pool->brake_ms);
}

void
pool_note_ready(struct pool *pool)
{
    pool->is_ready = true;
}

void
pool_note_loss(struct pool *pool, const struct crew_loss *loss,
               int64_t now_mono_ms)
{
    pool->is_ready |= loss->member.is_ready;
    if (loss->end == CREW_END_EXPECTED)
        return;
    pool->is_futile = !loss->member.is_ready;
    if (loss->end == CREW_END_CONFIG) {
        log_error("child_refused_config",
                  "pool=%s a child cannot work with this configuration",
                  spec_of(pool)->name);
        pool->is_refused = true;
    }
    /* One that never got ready has not lived, however long that took. */
    pull_brake(pool, loss->member.born_mono_ms,
               loss->member.is_ready ? loss->lived_ms : 0, now_mono_ms);
}

bool
pool_is_hopeless(const struct pool *pool)
{
    return !pool->is_ready &&
           (pool->is_refused || pool->brake_count >= MAX_BRAKES_BEFORE_READY);
}

/* ---- counting ---------------------------------------------------------- */

static struct plan_facts
count(const struct pool *pool, const struct crew_generation *generation)
{
    const struct crew *crew = pool->crew;
    struct plan_facts facts = { 0 };

    for (size_t i = 0; i < crew->member_count; i++) {
        const struct crew_member *member = &crew->members[i];
        enum board_stage stage;

        if (member->pid == 0 || member->pool != pool->index ||
            member->generation != generation)
            continue;
        facts.total++;
        /* One that leaves still counts against the maximum.  One killed for
         * starting too long is replaced when its death has been judged. */
        if (member->asked != CREW_STAY && !member->was_overdue) {
            facts.leaving++;
            continue;
        }
        stage = board_look(crew->config->board, i).stage;
        facts.starting += stage == BOARD_STARTING;
        facts.idle += stage == BOARD_IDLE;
    }
    return facts;
}

bool
pool_is_settled(const struct pool *pool,
                const struct crew_generation *generation)
{
    const struct plan_limits *size = &spec_of(pool)->size;
    const struct crew *crew = pool->crew;
    const int wanted = size->min > size->spare ? size->min : size->spare;
    int ready = 0;

    for (size_t i = 0; i < crew->member_count; i++) {
        const struct crew_member *member = &crew->members[i];

        ready += member->pid != 0 && member->pool == pool->index &&
                 member->generation == generation && member->is_ready &&
                 member->asked == CREW_STAY;
    }
    return ready >= (wanted < size->max ? wanted : size->max);
}

bool
pool_has_others(const struct pool *pool,
                const struct crew_generation *generation)
{
    const struct crew *crew = pool->crew;

    for (size_t i = 0; i < crew->member_count; i++)
        if (crew->members[i].pid != 0 && crew->members[i].pool == pool->index &&
            crew->members[i].generation != generation)
            return true;
    return false;
}

/* ---- starting ---------------------------------------------------------- */

static bool
start_one(struct pool *pool, struct crew_generation *generation,
          int64_t now_mono_ms)
{
    struct err err = { 0 };

    pool->is_crowded = false;
    if (crew_fork(pool->crew, pool->index, generation, &err) == 0)
        return true;
    /* A full board empties by itself; a system that cannot fork needs time. */
    pool->is_crowded = err.kind == ERR_LIMIT;
    if (!pool->is_crowded || !pool->was_crowded)
        log_warn("child_not_started", "pool=%s %s", spec_of(pool)->name,
                 err.text);
    pool->was_crowded |= pool->is_crowded;
    if (!pool->is_crowded)
        pull_brake(pool, now_mono_ms, 0, now_mono_ms);
    return false;
}

static void
start(struct pool *pool, struct crew_generation *generation, int count_wanted,
      int64_t now_mono_ms)
{
    if (spec_of(pool)->exclusive && pool_has_others(pool, generation))
        return;
    if (count_wanted > 0 && now_mono_ms < pool->brake_until_mono_ms) {
        pool->rescued_mono_ms = now_mono_ms;
        pool->braked_mono_ms = now_mono_ms - 1; /* for a cause of its own */
    }
    while (count_wanted-- > 0)
        if (!start_one(pool, generation, now_mono_ms))
            return;
}

static struct plan_decision
decide(struct pool *pool, const struct crew_generation *generation,
       int64_t now_mono_ms)
{
    const struct plan_limits *size = &spec_of(pool)->size;
    struct plan_facts facts = count(pool, generation);

    if (facts.idle <= 2 * size->spare)
        pool->surplus_since_mono_ms = 0;
    else if (pool->surplus_since_mono_ms == 0)
        pool->surplus_since_mono_ms = now_mono_ms;
    facts.surplus_since_mono_ms = pool->surplus_since_mono_ms;
    facts.brake_until_mono_ms = pool->brake_until_mono_ms;
    facts.may_rescue = pool->is_ready && !pool->is_futile &&
                       now_mono_ms >= pool->rescued_mono_ms + RESCUE_MS;
    facts.now_mono_ms = now_mono_ms;
    return plan_decide(size, &facts);
}

void
pool_grow(struct pool *pool, struct crew_generation *generation,
          int64_t now_mono_ms)
{
    const struct plan_decision decision = decide(pool, generation, now_mono_ms);

    start(pool, generation, decision.start, now_mono_ms);
}

/* ---- retiring ---------------------------------------------------------- */

/* How gladly we see it go: the longest idle first, then those that have not
 * begun, then those at work. */
static int64_t
reluctance(const struct board_view *view)
{
    switch (view->stage) {
    case BOARD_IDLE:
        return view->since_mono_ms;
    case BOARD_STARTING:
        return INT64_MAX / 2;
    case BOARD_FREE:
    case BOARD_READING:
    case BOARD_BUSY:
    case BOARD_REPLYING:
    case BOARD_LEAVING:
        break;
    }
    return INT64_MAX - 1;
}

/* The member of the generation (or, with others, of any other one) that was
 * not asked yet and is missed least; -1 when there is none. */
static int
least_missed(const struct pool *pool, const struct crew_generation *generation,
             bool others)
{
    const struct crew *crew = pool->crew;
    int64_t least = INT64_MAX;
    int found = -1;

    for (size_t i = 0; i < crew->member_count; i++) {
        const struct crew_member *member = &crew->members[i];
        struct board_view view;

        if (member->pid == 0 || member->pool != pool->index ||
            member->asked != CREW_STAY ||
            (member->generation != generation) != others)
            continue;
        view = board_look(crew->config->board, i);
        if (reluctance(&view) < least) {
            least = reluctance(&view);
            found = (int)i;
        }
    }
    return found;
}

void
pool_keep_size(struct pool *pool, struct crew_generation *generation,
               int64_t now_mono_ms)
{
    const struct plan_decision decision = decide(pool, generation, now_mono_ms);
    const int slot =
        decision.retire > 0 ? least_missed(pool, generation, false) : -1;

    start(pool, generation, decision.start, now_mono_ms);
    if (slot != -1)
        crew_ask(pool->crew, (size_t)slot, CREW_LEAVE);
}

void
pool_retire_one_other(struct pool *pool,
                      const struct crew_generation *generation)
{
    const int slot = least_missed(pool, generation, true);

    if (slot != -1)
        crew_ask(pool->crew, (size_t)slot, CREW_LEAVE);
}

void
pool_retire_all_others(struct pool *pool,
                       const struct crew_generation *generation)
{
    const struct crew *crew = pool->crew;

    for (size_t i = 0; i < crew->member_count; i++)
        if (crew->members[i].pid != 0 && crew->members[i].pool == pool->index &&
            crew->members[i].generation != generation)
            crew_ask(pool->crew, i, CREW_LEAVE);
}
