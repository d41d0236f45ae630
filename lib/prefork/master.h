/*
 * master - supervise pools of forked children.
 *
 * Forks, watches the board, replaces the dead with a brake, grows and shrinks,
 * reloads by generation, drains, escalates QUIT, TERM, KILL.  States by events
 * as a table: STARTING, RUNNING, RELOADING, DRAINING, STOPPING.
 *
 *   SIGHUP         reload: ask the caller for the next configuration, start the
 *                  new generation, retire the old one as the new gets ready
 *   SIGTERM, QUIT  drain: children finish what they do; pools in stop order
 *   second TERM, INT   hurry: children cut it short
 *   SIGUSR1        on_rotate(), also in children through their own handler
 *
 * A reload that comes during another one, or before the first generation is
 * ready, is done afterwards.  A new generation that does not get ready (three
 * failures in a row, a child's exit code 78, or 30 s) is abandoned, and the old
 * one stays.
 *
 * Stopping goes by stop_order: the next pools are asked only when nobody of the
 * former is left; until then their dead are still replaced.
 *
 * Takes the signals itself, by sig_open(), once per process, and keeps them
 * after the end, so that a late one cannot kill a caller who tidies up.  Waits
 * for every child of the process.  Logs.  Knows nothing of FastCGI, HTTP or
 * databases.
 */
#ifndef PREFORK_MASTER_H
#define PREFORK_MASTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "prefork/board.h"
#include "prefork/child.h"
#include "prefork/plan.h"

#define MASTER_MAX_POOLS 8

struct master_pool {
    const char *name;                 /* literal; the children's log role */
    int (*main)(struct child *child); /* returns the exit code */
    struct plan_limits size;
    int64_t quota;      /* requests per child; 0: no limit */
    int64_t reading_ms; /* watchdog: longest READING or REPLYING */
    int64_t overdue_ms; /* watchdog: grace past a BUSY deadline */
    int listen_fd;      /* borrowed; -1 for none */
    int stop_order;     /* lower numbers drain first */
    bool exclusive;     /* never two at once: a reload retires the old one
                         * before it starts the new one */
};

/* What the caller supplies; each may be NULL.  Pools may change in a reload
 * (sizes, quota), not in number, order, main, name or listen_fd; the last may
 * end with draining. */
struct master_hooks {
    void *arg;

    /* Parse aside.  On success *config is the new configuration and pools are
     * updated; on failure nothing changes and err says why, for the log.  When
     * the new generation is abandoned later, the pools get back what they were
     * and the new configuration is forgotten. */
    int (*reload)(void *arg, struct master_pool *pools, const void **config,
                  struct err *err);

    /* No child uses this configuration any more, and none will.  The one in
     * use at the end is not forgotten. */
    void (*forget)(void *arg, const void *config);

    /* SIGUSR1: reopen logs.  Called in the master and in each child. */
    void (*rotate)(void *arg);

    /* Draining begins: stop listening where that is ours to do, and set the
     * listen_fd of such pools to -1, for the number soon means something else.
     * Once. */
    void (*draining)(void *arg);

    /* Once per tick, every 250 ms or a little sooner: gauges and the like.
     * Returns a mask of pools (1u << number) whose children are to leave after
     * their present work and be replaced, because their listen_fd has become
     * another socket under the same number. */
    unsigned (*tick)(void *arg, const struct board *board);

    /* A child has gone; how is as from waitpid(2).  view is its last state. */
    void (*gone)(void *arg, const struct board_view *view, int how);
};

struct master_config {
    struct board *board;
    struct master_pool *pools;
    size_t pool_count;
    const struct master_hooks *hooks;
    const void *config; /* of generation 1 */
    int64_t drain_ms;   /* from drain to TERM */
    int64_t hurry_ms;   /* from TERM to KILL */
};

/* Runs until everything has stopped.  Returns an exit code: 0 after an orderly
 * stop, 1 when somebody had to be killed or crashed during the stop, 78 when the
 * first children refuse the configuration, 75 when they fail or it cannot begin. */
int master_run(const struct master_config *config);

#endif
