/*
 * child - what a forked process knows, and how it waits for work.
 *
 *     int worker_main(struct child *child)        runs after fork(2)
 *     {
 *         ... open connections ...
 *         child_ready(child);
 *         while ((fd = child_accept(child)) != -1) {
 *             ... one request; child_should_hurry() says cut it short ...
 *             child_idle(child);
 *         }
 *         return CHILD_EXIT_OK;
 *     }
 *
 * SIGQUIT asks to leave after the present request, SIGTERM to cut it short;
 * both only set flags and wake child_fd().  A child whose master is gone is
 * asked to hurry, and is ended by a timer after CHILD_ORPHAN_MS at the latest,
 * whatever it does.  SIGUSR1 makes the next wait or question call the master's
 * rotate hook.  SIGUSR2 belongs to this module.
 */
#ifndef PREFORK_CHILD_H
#define PREFORK_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "prefork/board.h"
#include "prefork/plan.h"

/* What an orphan has to put its affairs in order. */
#define CHILD_ORPHAN_MS 4000

/* Exit codes are an interface (sysexits.h names the last two). */
enum child_exit {
    CHILD_EXIT_OK = 0,      /* asked to leave, or served its quota */
    CHILD_EXIT_SICK = 75,   /* cannot work now: respawn, with the brake */
    CHILD_EXIT_CONFIG = 78, /* cannot work with this configuration */
};

/* Filled by the master; a child reads it. */
struct child {
    struct board *board;
    int slot;
    unsigned pool;
    unsigned generation;
    int listen_fd;      /* -1 when the pool has none */
    int64_t quota;      /* requests before it leaves by itself; 0: no limit */
    const void *config; /* of its generation, as the master's caller gave it */
    struct child_private *private;
};

/* Tells the master that this child can work; stage IDLE. */
void child_ready(struct child *child);

/* On the way there, when it is long: the watchdog begins to count anew. */
void child_progress(struct child *child);

/* Waits for a connection with EPOLLEXCLUSIVE.  Returns an owned descriptor with
 * stage READING, or -1 when the child should leave (stage LEAVING). */
int child_accept(struct child *child) ATTR_MUST_CHECK;

/* After a request, also a refused one: counts it, stage IDLE, job none. */
void child_idle(struct child *child);

/* Asked to leave after the present work. */
bool child_should_leave(struct child *child);

/* Asked to cut the present work short. */
bool child_should_hurry(struct child *child);

/* Readable when one of the two above may have become true.  Level-triggered and
 * drained by the two questions. */
int child_fd(const struct child *child);

/* ---- for the master ---- */

/* What ties a child to its master.  Borrowed for the life of the child. */
struct child_wiring {
    const char *name;               /* of the pool; a literal */
    const struct plan_limits *size; /* of the pool */
    pid_t master_pid;
    int nudge_fd;              /* an eventfd: look at the board now */
    int life_fd;               /* end of file says that the master is gone */
    int life_write_fd;         /* the master's end, to be closed */
    void (*rotate)(void *arg); /* after SIGUSR1; may be NULL */
    void *rotate_arg;
    const sigset_t *signal_mask; /* as it was before sig_block() */
};

/* The whole life of a child: called in it right after fork(2), with the
 * master's signals still blocked.  Ends the process with what body returns. */
ATTR_NORETURN void child_run(struct child *child,
                             const struct child_wiring *wiring,
                             int (*body)(struct child *child));

#endif
