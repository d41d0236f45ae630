/*
 * master.c - see master.h.
 *
 * The loop at the end finds out what happened; the table of states by events
 * says which of the functions before it reacts.
 */
#include "prefork/master.h"

#include <assert.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "prefork/crew.h"
#include "prefork/drain.h"
#include "prefork/pool.h"
#include "prefork/reload.h"
#include "sys/log.h"
#include "sys/sig.h"

#define TICK_MS     250
#define EXIT_KILLED 1

enum state {
    STARTING, /* some pool has not been ready yet */
    RUNNING,
    RELOADING, /* one generation takes over from another */
    DRAINING,  /* children finish what they do */
    STOPPING,  /* children cut it short */
    STOPPED,   /* nothing happens any more, so the table ends before it */
};

enum event {
    CHILD_READY,
    CHILD_GONE,
    FEW_IDLE, /* a child says so */
    TICK,
    WANT_RELOAD,
    WANT_ROTATE,
    WANT_STOP,
    WANT_STOP_NOW,
    NOBODY_LEFT,
    EVENT_COUNT,
};

struct master {
    const struct master_config *config;
    enum state state;
    struct crew crew;
    struct pool pools[MASTER_MAX_POOLS];
    struct reload reload;
    struct drain drain;
    bool is_reload_wanted;
    int exit_code;
    int64_t now_mono_ms; /* when the loop last woke up */
    int64_t next_tick_mono_ms;
    size_t ready_slot;     /* what CHILD_READY is about */
    struct crew_loss loss; /* what CHILD_GONE is about */
};

/* ---- every day --------------------------------------------------------- */

static void
nothing(struct master *master)
{
    (void)master;
}

static void
rotate(struct master *master)
{
    const struct master_hooks *hooks = master->config->hooks;

    if (hooks->rotate != NULL)
        hooks->rotate(hooks->arg);
    crew_signal_all(&master->crew, SIGUSR1);
    log_info("logs_reopened", "after SIGUSR1");
}

static void
grow(struct master *master)
{
    for (size_t i = 0; i < master->config->pool_count; i++)
        pool_grow(&master->pools[i], master->reload.current,
                  master->now_mono_ms);
}

static void
keep_size(struct master *master)
{
    for (size_t i = 0; i < master->config->pool_count; i++)
        pool_keep_size(&master->pools[i], master->reload.current,
                       master->now_mono_ms);
}

/* Only the current generation is replaced, and only its deaths are braked. */
static void
note_loss(struct master *master)
{
    const struct crew_loss *loss = &master->loss;

    if (loss->member.generation == master->reload.current)
        pool_note_loss(&master->pools[loss->member.pool], loss,
                       master->now_mono_ms);
}

static void
replace(struct master *master)
{
    note_loss(master);
    grow(master);
}

static void
note_ready(struct master *master)
{
    const struct crew_member *member =
        &master->crew.members[master->ready_slot];

    if (member->generation == master->reload.current)
        pool_note_ready(&master->pools[member->pool]);
}

/* ---- reloading --------------------------------------------------------- */

static void
reload_if_wanted(struct master *master)
{
    if (!master->is_reload_wanted || !reload_is_possible(&master->reload))
        return;
    master->is_reload_wanted = false;
    if (!reload_begin(&master->reload, master->now_mono_ms))
        return;
    master->state = RELOADING;
    eventfd_write(master->crew.nudge_fd, 1); /* for the first step */
}

static void
remember_reload(struct master *master)
{
    master->is_reload_wanted = true;
    log_info("reload_waits", "until the present generation is ready");
}

static void
begin_reload(struct master *master)
{
    master->is_reload_wanted = true;
    reload_if_wanted(master);
}

static void
go_on_running(struct master *master)
{
    keep_size(master);
    reload_if_wanted(master);
}

static void
go_on_reloading(struct master *master)
{
    if (reload_step(&master->reload, master->now_mono_ms) == RELOAD_GOES_ON)
        return;
    master->state = RUNNING;
    grow(master);
    reload_if_wanted(master);
}

static void
reload_ready(struct master *master)
{
    reload_note_ready(&master->reload, master->ready_slot);
    go_on_reloading(master);
}

static void
reload_gone(struct master *master)
{
    note_loss(master);
    go_on_reloading(master);
}

/* ---- stopping ---------------------------------------------------------- */

static void
begin_stop(struct master *master, enum state state, enum crew_ask ask)
{
    const struct master_hooks *hooks = master->config->hooks;

    master->state = state;
    reload_drop(&master->reload);
    if (hooks->draining != NULL)
        hooks->draining(hooks->arg);
    drain_begin(&master->drain, &master->crew, ask, master->now_mono_ms);
    drain_step(&master->drain, master->now_mono_ms);
}

static void
drain(struct master *master)
{
    log_info("drain_started", "children=%zu", master->crew.living);
    begin_stop(master, DRAINING, CREW_LEAVE);
}

static void
stop(struct master *master)
{
    log_info("stop_started", "children=%zu", master->crew.living);
    begin_stop(master, STOPPING, CREW_HURRY);
}

static void
hurry(struct master *master)
{
    log_info("drain_hurried", "children=%zu", master->crew.living);
    master->state = STOPPING;
    drain_raise(&master->drain, CREW_HURRY, master->now_mono_ms);
    drain_step(&master->drain, master->now_mono_ms);
}

static void
kill_all(struct master *master)
{
    log_warn("stop_forced", "children=%zu", master->crew.living);
    drain_raise(&master->drain, CREW_DIE, master->now_mono_ms);
    for (size_t i = 0; i < master->crew.member_count; i++)
        crew_ask(&master->crew, i, CREW_DIE);
}

/* Pools whose turn comes later are still needed by those that finish now. */
static void
go_on_stopping(struct master *master)
{
    if (drain_step(&master->drain, master->now_mono_ms) ||
        master->drain.least == CREW_DIE)
        return;
    for (size_t i = 0; i < master->config->pool_count; i++)
        if (master->config->pools[i].stop_order > master->drain.stop_order)
            pool_grow(&master->pools[i], master->reload.current,
                      master->now_mono_ms);
}

static void
stop_gone(struct master *master)
{
    if (WIFSIGNALED(master->loss.how) && master->exit_code == 0)
        master->exit_code = EXIT_KILLED;
    note_loss(master);
    go_on_stopping(master);
}

static void
refuse_reload(struct master *master)
{
    (void)master;
    log_info("reload_refused", "the service is stopping");
}

static void
finish(struct master *master)
{
    master->state = STOPPED;
    log_info("master_stopped", "exit_code=%d", master->exit_code);
}

/* ---- starting ---------------------------------------------------------- */

static bool
is_everything_ready(const struct master *master)
{
    for (size_t i = 0; i < master->config->pool_count; i++)
        if (!master->pools[i].is_ready && master->config->pools[i].size.max > 0)
            return false;
    return true;
}

static void
go_on_starting(struct master *master)
{
    if (!is_everything_ready(master))
        return;
    master->state = RUNNING;
    log_info("master_running", "children=%zu", master->crew.living);
    reload_if_wanted(master);
}

static void
start_ready(struct master *master)
{
    note_ready(master);
    go_on_starting(master);
}

static void
give_up(struct master *master, const struct pool *pool)
{
    log_error("start_failed", "pool=%s %s",
              master->config->pools[pool->index].name,
              pool->is_refused ? "its children refuse the configuration"
                               : "its children fail before they are ready");
    master->exit_code = pool->is_refused ? CHILD_EXIT_CONFIG : CHILD_EXIT_SICK;
    begin_stop(master, STOPPING, CREW_HURRY);
}

static void
start_gone(struct master *master)
{
    const struct pool *pool = &master->pools[master->loss.member.pool];

    note_loss(master);
    if (pool_is_hopeless(pool)) {
        give_up(master, pool);
        return;
    }
    grow(master);
    go_on_starting(master); /* it may have been ready for a moment */
}

static void
start_tick(struct master *master)
{
    keep_size(master);
    /* A system that cannot fork loses no child: there is no other event. */
    for (size_t i = 0; i < master->config->pool_count; i++)
        if (pool_is_hopeless(&master->pools[i])) {
            give_up(master, &master->pools[i]);
            return;
        }
}

/* ---- states by events -------------------------------------------------- */

typedef void reaction(struct master *master);

static reaction *const table[STOPPED][EVENT_COUNT] = {
    [STARTING] = {
        [CHILD_READY] = start_ready,
        [CHILD_GONE] = start_gone,
        [FEW_IDLE] = grow,
        [TICK] = start_tick,
        [WANT_RELOAD] = remember_reload,
        [WANT_ROTATE] = rotate,
        [WANT_STOP] = drain,
        [WANT_STOP_NOW] = stop,
        [NOBODY_LEFT] = nothing, /* the brake will let some in */
    },
    [RUNNING] = {
        [CHILD_READY] = note_ready,
        [CHILD_GONE] = replace,
        [FEW_IDLE] = grow,
        [TICK] = go_on_running,
        [WANT_RELOAD] = begin_reload,
        [WANT_ROTATE] = rotate,
        [WANT_STOP] = drain,
        [WANT_STOP_NOW] = stop,
        [NOBODY_LEFT] = nothing,
    },
    [RELOADING] = {
        [CHILD_READY] = reload_ready,
        [CHILD_GONE] = reload_gone,
        [FEW_IDLE] = go_on_reloading,
        [TICK] = go_on_reloading,
        [WANT_RELOAD] = remember_reload,
        [WANT_ROTATE] = rotate,
        [WANT_STOP] = drain,
        [WANT_STOP_NOW] = stop,
        [NOBODY_LEFT] = nothing,
    },
    [DRAINING] = {
        [CHILD_READY] = nothing, /* whose turn it is was asked already */
        [CHILD_GONE] = stop_gone,
        [FEW_IDLE] = nothing,
        [TICK] = go_on_stopping,
        [WANT_RELOAD] = refuse_reload,
        [WANT_ROTATE] = rotate,
        [WANT_STOP] = hurry,
        [WANT_STOP_NOW] = hurry,
        [NOBODY_LEFT] = finish,
    },
    [STOPPING] = {
        [CHILD_READY] = nothing,
        [CHILD_GONE] = stop_gone,
        [FEW_IDLE] = nothing,
        [TICK] = go_on_stopping,
        [WANT_RELOAD] = refuse_reload,
        [WANT_ROTATE] = rotate,
        [WANT_STOP] = nothing,
        [WANT_STOP_NOW] = kill_all,
        [NOBODY_LEFT] = finish,
    },
};

static void
react(struct master *master, enum event event)
{
    if (master->state != STOPPED)
        table[master->state][event](master);
}

/* ---- the loop ---------------------------------------------------------- */

static void
wait_for_news(struct master *master)
{
    struct pollfd entries[] = {
        { .fd = sig_fd(), .events = POLLIN },
        { .fd = master->crew.nudge_fd, .events = POLLIN },
    };

    /* Interrupted or not, the loop looks at everything. */
    poll(entries, ARRAY_LEN(entries), clock_left_ms(master->next_tick_mono_ms));
    master->now_mono_ms = clock_mono_ms();
}

static void
take_signals(struct master *master)
{
    int signo;

    while ((signo = sig_next()) != 0)
        switch (signo) {
        case SIGHUP:
            react(master, WANT_RELOAD);
            break;
        case SIGUSR1:
            react(master, WANT_ROTATE);
            break;
        case SIGTERM:
        case SIGQUIT:
            react(master, WANT_STOP);
            break;
        case SIGINT:
            react(master, WANT_STOP_NOW);
            break;
        default: /* SIGCHLD only wakes the loop */
            break;
        }
}

static void
take_children(struct master *master)
{
    uint64_t nudges;
    const bool is_nudged =
        read(master->crew.nudge_fd, &nudges, sizeof(nudges)) > 0;

    while (crew_next_ready(&master->crew, &master->ready_slot))
        react(master, CHILD_READY);
    while (crew_bury(&master->crew, &master->loss))
        react(master, CHILD_GONE);
    if (is_nudged)
        react(master, FEW_IDLE);
    if (master->crew.living == 0)
        react(master, NOBODY_LEFT);
}

static void
renew_pools(struct master *master, unsigned pool_mask)
{
    for (size_t i = 0; i < master->crew.member_count; i++)
        if ((pool_mask >> master->crew.members[i].pool & 1u) != 0)
            crew_ask(&master->crew, i, CREW_LEAVE);
}

/* A deadline that passes before the next tick brings it forward. */
static void
take_tick(struct master *master)
{
    const struct master_hooks *hooks = master->config->hooks;
    int64_t overdue_mono_ms;

    if (master->now_mono_ms < master->next_tick_mono_ms)
        return;
    master->next_tick_mono_ms = master->now_mono_ms + TICK_MS;
    overdue_mono_ms = crew_watch(&master->crew, master->now_mono_ms);
    if (overdue_mono_ms < master->next_tick_mono_ms)
        master->next_tick_mono_ms = overdue_mono_ms;
    react(master, TICK);
    if (hooks->tick != NULL)
        renew_pools(master, hooks->tick(hooks->arg, master->config->board));
}

int
master_run(const struct master_config *config)
{
    static const int signals[] = { SIGHUP, SIGTERM, SIGQUIT,
                                   SIGINT, SIGUSR1, SIGCHLD };
    struct master master = { .config = config, .state = STARTING };
    struct err err = { 0 };

    assert(config->pool_count > 0 && config->pool_count <= MASTER_MAX_POOLS);
    if (sig_open(signals, ARRAY_LEN(signals), &err) == -1 ||
        crew_open(&master.crew, config, &err) == -1) {
        log_error("start_failed", "%s", err.text);
        return CHILD_EXIT_SICK;
    }
    reload_init(&master.reload, &master.crew, master.pools);
    /* The first tick, which is due at once, starts the first children. */
    while (master.state != STOPPED) {
        wait_for_news(&master);
        take_signals(&master);
        take_children(&master);
        take_tick(&master);
        crew_forget_unused(&master.crew, master.reload.current,
                           master.reload.previous);
    }
    crew_close(&master.crew);
    return master.exit_code;
}
